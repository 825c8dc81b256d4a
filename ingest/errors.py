"""Errors of how things come in and go out.

IngestError
├── BadDataSet               can't be understood: C000
│   ├── EmptyDataSet         no element at all
│   ├── Truncated            the bytes end inside an element, item or sequence
│   ├── TrailingBytes        bytes after the last element
│   ├── BadLength            a length that no value can have here
│   ├── BadVR                a value representation DICOM does not know
│   ├── BadDelimiter         an item or delimiter where none may stand, or none where one must
│   ├── BadTagOrder          a tag repeated, or lower than the one before
│   ├── MetaInside           group 0000 or 0002 inside the data set
│   ├── BadDeflate           the deflated stream is broken
│   ├── BadUID               a UID that names the instance is missing or malformed
│   ├── TooMany              more elements, values or levels than an archive can answer for
│   └── BadFileMeta          the file meta group can't be read
├── Mismatch                 the data set is not what the command announced: A900
├── OutOfResources           A700
│   ├── SpoolFull            no room in the spool
│   ├── SpoolFailed          the spool can't promise durability any more
│   ├── NotFiledInTime       safe in the spool, but not in the archive in the time a sender is kept waiting
│   └── TooLarge             longer than the limit, or a decompression bomb
├── BadMessage               what came over the wire is no DICOM message, or can't be sent as one
├── FilerBusy                another process of this node files at the moment
├── Undescribable            sound bytes whose values can't be read: filed into quarantine
│   └── ReaderDied           reading them took a process all its memory, too long, or its life
├── PeerRefused              an association is not accepted: A-ASSOCIATE-RJ
│   ├── WrongCalledTitle     we are called by a title that is not ours
│   ├── UnknownPeer          no rule knows the calling title
│   ├── WrongAddress         the calling title comes from where it may not
│   ├── WrongCertificate     the calling title does not show the certificate it is bound to
│   └── TooManyAssociations  no more at once
├── NotAllowed               a presentation context the peer may not use
├── HandshakeFailed          TLS could not be agreed on
├── BadPeerRule              a rule for a peer that can't be
├── BadTls                   keys and certificates that can't be used
├── NotSent                  another node can't be reached or refuses us
│   └── BadPeer              what should name another node does not
├── AssociationLost          an association ended before its work was done
├── NotConvertible           an instance can't be written in a transfer syntax the receiver takes
├── BadIdentifier            a retrieve request that does not say what it wants: A900
├── UnknownDestination       a retrieve request to where nobody is known
└── NotTaken                 an import does not take this path
    ├── UnsafePath           link, device, pipe, or a name that leaves the archive
    ├── FileChanged          the file changed while it was read
    ├── ExecutablePreamble   a DICOM file that is a program as well
    ├── BadZip               the zip archive is damaged or dangerous; refused whole
    ├── Unreadable           the file can't be read
    ├── NoPatientNamed       no DICOM file, and nobody said whose it is
    ├── EmptyFile            there is nothing in it
    └── BadPackage           an OCFL object, bag or DICOM medium that is not what was packed; refused whole
"""

from typing import ClassVar

from ingest.status import StatusClass


class IngestError(Exception):
    """Root of all errors of this room: `code` is stable, `hint` says what to do, `status` is the answer to a peer."""

    code: ClassVar[str] = "LG-ING-000"
    hint: ClassVar[str] = ""
    status: ClassVar[StatusClass] = StatusClass.PROCESSING_FAILURE


class BadDataSet(IngestError):
    """The bytes are not a sound DICOM data set."""

    code = "LG-ING-100"
    hint = "Send or export it again; if it stays so, ask the vendor of the sending system. The bytes are in quarantine."
    status = StatusClass.CANNOT_UNDERSTAND


class EmptyDataSet(BadDataSet):
    """There is no element at all."""

    code = "LG-ING-101"


class Truncated(BadDataSet):
    """The bytes end inside an element, an item or a sequence."""

    code = "LG-ING-102"
    hint = "The file was cut off: copy or send it again from where it came."


class TrailingBytes(BadDataSet):
    """There are bytes after the last element that are no element."""

    code = "LG-ING-103"


class BadLength(BadDataSet):
    """A length that no value can have in this place."""

    code = "LG-ING-104"


class BadVR(BadDataSet):
    """A value representation DICOM does not know, or none where one must stand."""

    code = "LG-ING-105"


class BadDelimiter(BadDataSet):
    """An item or delimiter where none may stand, or none where one must."""

    code = "LG-ING-106"


class BadTagOrder(BadDataSet):
    """A tag is repeated, or lower than the one before: programs disagree on what such a data set says."""

    code = "LG-ING-107"


class MetaInside(BadDataSet):
    """Elements of the command or file meta group stand inside the data set."""

    code = "LG-ING-108"


class BadDeflate(BadDataSet):
    """The deflated stream is broken."""

    code = "LG-ING-109"


class BadUID(BadDataSet):
    """A UID that names the instance is missing or malformed."""

    code = "LG-ING-110"
    hint = "Without sound SOP, Series and Study UIDs an instance can't be filed; ask the vendor of the sending system."


class TooMany(BadDataSet):
    """More elements, values or levels than an archive can answer for."""

    code = "LG-ING-111"
    hint = "If this is a real object of yours, report it: limits are part of the program. Its bytes are in quarantine."


class BadFileMeta(BadDataSet):
    """The file meta group can't be read."""

    code = "LG-ING-112"


class Mismatch(IngestError):
    """The data set is not what the command, or the file meta group, announced."""

    code = "LG-ING-200"
    hint = "The sending system mixes up two objects: tell its vendor. The bytes are in quarantine."
    status = StatusClass.DOES_NOT_MATCH


class OutOfResources(IngestError):
    """The node can't take the object now."""

    code = "LG-ING-300"
    status = StatusClass.OUT_OF_RESOURCES


class SpoolFull(OutOfResources):
    """There is no room in the spool; nothing of the object was kept, nothing was acknowledged."""

    code = "LG-ING-301"
    hint = "Free space on the spool's disk, or see why the filer does not empty it (`lastgate doctor`)."


class SpoolFailed(OutOfResources):
    """The spool's disk failed to make data durable: nothing more is acknowledged until an operator has looked."""

    code = "LG-ING-302"
    hint = "Check the spool's disk. A failed fsync is never tried again: restart the node after the disk is mended."


class TooLarge(OutOfResources):
    """The object is longer than the limit, or inflates beyond all reason."""

    code = "LG-ING-303"
    hint = "If this is a real object of yours, report it with its size: the limits are part of the program."


class BadMessage(IngestError):
    """What came over the wire is no DICOM message, or the peer's limits leave no room for one."""

    code = "LG-ING-310"
    hint = "The sending system breaks the protocol, or something between does: tell its vendor."


class NotFiledInTime(OutOfResources):
    """It is safe in the spool and will be filed, but the site promises senders more than that (``acknowledge``)."""

    code = "LG-ING-304"
    hint = "See why the filer is slow (`lastgate doctor`). The sender sends again, which does no harm."


class FilerBusy(IngestError):
    """Another process of this node files at the moment: there is one filer per node."""

    code = "LG-ING-501"
    hint = "Wait for it, or stop `lastgate serve` first."


class Undescribable(IngestError):
    """The bytes are sound, but the values in them could not be read."""

    code = "LG-ING-502"
    hint = "Report it with the object, if you may: this program should have understood it. It is kept in quarantine."
    status = StatusClass.CANNOT_UNDERSTAND


class ReaderDied(Undescribable):
    """Reading the values took a process all its memory, too long, or its life, twice."""

    code = "LG-ING-504"


class PeerRefused(IngestError):
    """An association is not accepted; `rejection` is result, source and reason of the A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    code = "LG-ING-600"
    rejection: ClassVar[tuple[int, int, int]] = (1, 1, 1)


class WrongCalledTitle(PeerRefused):
    """The peer calls us by a title that is not ours, or not for it."""

    code = "LG-ING-601"
    hint = "Set our title in the peer, or name the other title in `called` of its rule."
    rejection = (1, 1, 7)


class UnknownPeer(PeerRefused):
    """No rule knows the calling title, and strangers are refused."""

    code = "LG-ING-602"
    hint = "If it is a system of yours, write a rule for it ([[node.peers]])."
    rejection = (1, 1, 3)


class WrongAddress(PeerRefused):
    """The calling title comes from an address it may not come from."""

    code = "LG-ING-603"
    hint = "Somebody uses the title of another system, or that system moved: then mend `addresses` of its rule."
    rejection = (1, 1, 3)


class WrongCertificate(PeerRefused):
    """The calling title does not show the certificate it is bound to."""

    code = "LG-ING-604"
    hint = "Somebody uses the title of another system, or its certificate is new: then mend `certificates` of its rule."
    rejection = (1, 1, 3)


class TooManyAssociations(PeerRefused):
    """There are no more associations at once, in all or for this peer."""

    code = "LG-ING-605"
    hint = "It is told to try again. If it happens often, raise node.most_associations or `associations` of its rule."
    rejection = (2, 3, 2)


class NotAllowed(IngestError):
    """A presentation context the peer may not use, or that this node does not offer."""

    code = "LG-ING-606"
    hint = "If the peer should be allowed this, add it to `services` or `sop_classes` of its rule."
    status = StatusClass.NOT_AUTHORIZED


class HandshakeFailed(IngestError):
    """A peer on the TLS port and this node could not agree."""

    code = "LG-ING-607"
    hint = "Does it speak TLS 1.2 or 1.3, with a certificate that one of node.tls.authorities signed?"


class BadPeerRule(IngestError):
    """A rule for a peer contradicts itself, or names what there can't be."""

    code = "LG-ING-608"
    hint = "Mend [[node.peers]] in the settings."


class BadTls(IngestError):
    """Keys and certificates that can't be used."""

    code = "LG-ING-609"
    hint = "Mend [node.tls] in the settings, or the files it names."


class NotSent(IngestError):
    """Another node can't be reached, or does not let us send."""

    code = "LG-ING-500"
    hint = "Check that the peer runs, that title, host and port are right, and that it knows our title."


class BadPeer(NotSent):
    """What should name another node does not."""

    code = "LG-ING-503"
    hint = "Write AET@HOST:PORT, such as TPS@10.0.0.7:104."


class AssociationLost(IngestError):
    """An association ended before its work was done: the peer went, or we were told to stop."""

    code = "LG-ING-510"
    hint = "See whether the peer runs, and what its own log says; what was not stored is sent again."


class NotConvertible(IngestError):
    """An instance can't be written in a transfer syntax the receiver takes."""

    code = "LG-ING-511"
    hint = "Let the receiver accept the transfer syntax the instance is stored in."


class BadIdentifier(IngestError):
    """A retrieve request does not say, or says ambiguously, which instances it wants (PS3.4 C.4.2.1.4)."""

    code = "LG-ING-512"
    hint = "Name the level and one value of each unique key above it; UIDs of the level itself may be a list."
    status = StatusClass.DOES_NOT_MATCH


class UnknownDestination(IngestError):
    """A retrieve request names a move destination this node does not know the address of."""

    code = "LG-ING-513"
    hint = "Write a rule for it with `host` and `port` ([[node.peers]])."


class NotTaken(IngestError):
    """An import does not take this path; nothing of it was kept."""

    code = "LG-ING-400"


class UnsafePath(NotTaken):
    """A link, device or pipe, or a name that leaves the folder it claims to lie in."""

    code = "LG-ING-401"
    hint = "Import the real file or folder instead."


class FileChanged(NotTaken):
    """The file changed while it was read."""

    code = "LG-ING-402"
    hint = "Wait until it is written completely and import it again."


class ExecutablePreamble(NotTaken):
    """A DICOM file whose preamble makes it a program as well."""

    code = "LG-ING-403"
    hint = "Let the security officer look at it: no sound DICOM file begins like a program. It is kept in quarantine."
    status = StatusClass.CANNOT_UNDERSTAND


class BadZip(NotTaken):
    """The zip archive is damaged or dangerous; it is refused whole."""

    code = "LG-ING-404"
    hint = "Unpack it yourself, look at what is in it, and import the folder."


class Unreadable(NotTaken):
    """The file can't be read."""

    code = "LG-ING-405"
    hint = "Check the medium and the access rights, then import it again."


class NoPatientNamed(NotTaken):
    """A file that is not DICOM came in without saying whose it is."""

    code = "LG-ING-406"
    hint = "Import it again and name the patient (identifier and issuer). It is kept in quarantine."


class EmptyFile(NotTaken):
    """There is nothing in the file."""

    code = "LG-ING-407"
    hint = "Copy it again from where it came: a file of no length is what a full disk leaves."


class BadPackage(NotTaken):
    """An OCFL object, bag or DICOM medium that is not what was packed; it is refused whole."""

    code = "LG-ING-408"
    hint = "Get it again from its sender. If nobody has it any more, take what is left: lastgate import PATH --as-files"
