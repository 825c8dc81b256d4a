"""Receipts: what arrived, one for each arrival of one instance, with every value assembly, gate and index read."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, NewType

from pydantic import TypeAdapter

from archive.headers import Attribute, Identifier, InstanceHeader

PatientKey = NewType("PatientKey", str)

RECEIPT_FORMAT: Final = "lastgate/receipt/1"
_REMEMBERED: Final = 16
"""So many different headers are compared with the next: an association brings one series after the other."""


def patient_key(identifier: Identifier, study_uid: str) -> PatientKey:
    """Return under which key the facts of a person lie.

    It is the hex SHA-256 of issuer and ID; of the Study UID where the ID is empty.
    """
    if identifier.value:
        return PatientKey(_digest("patient", identifier.issuer, identifier.value))
    return PatientKey(_digest("study", study_uid))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """How an instance came in and from whom.

    Parameters
    ----------
    kind
        ``dicom`` (C-STORE), ``folder``, ``file``, ``zip`` or ``web`` (STOW).
    name
        Calling AE title, or the path as the user gave it.
    called
        Called AE title.
    address
        Peer address.
    certificate
        Subject of the certificate the peer showed over TLS, as RFC 4514 writes it; empty without one.
    user, user_kind
        The user the peer named for its association (PS3.7 D.3.3.7), checked by nobody: ``name``, ``name-passcode``,
        ``kerberos``, ``saml`` or ``jwt``, with a name only for the first two. Never a passcode or token.
    package
        The package of a dossier it lay in, every file of which was what had been packed; empty without one.
    dossier_sha256, seal_sha256
        Digests of the dossier.json and seal.json of that package, which are kept beside.
    """

    kind: Literal["dicom", "folder", "file", "zip", "web"]
    name: str = ""
    called: str = ""
    address: str = ""
    certificate: str = ""
    user: str = ""
    user_kind: Literal["", "name", "name-passcode", "kerberos", "saml", "jwt"] = ""
    package: Literal["", "ocfl", "bagit", "dicomdir"] = ""
    dossier_sha256: str = ""
    seal_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One arrival of one instance: what it is, where its bytes lie, everything that was read of it.

    Parameters
    ----------
    disposition
        ``stored`` (also for a resend or a variant), or ``conflict``: same SOP Instance UID, other content.
    key
        Where the bytes lie.
    file_sha256, file_sha512
        Hex digests of the complete file, as read back from the store.
    dataset_sha256
        Hex digest of everything after the file meta group; of the whole file for documents.
    content_sha256
        Hex digest of the elements, independent of the native encoding; None where it has no meaning.
    conflicts_with
        Patient keys under which other content with the same SOP Instance UID was known on arrival.
    shared_of
        Only in the stored form: the line of the same object (the first is 0) that tells what `header.shared` holds.
    """

    format: Literal["lastgate/receipt/1"] = RECEIPT_FORMAT
    received_at: datetime
    node: str
    source: Source
    disposition: Literal["stored", "conflict"]
    key: str
    file_sha256: str
    file_sha512: str
    dataset_sha256: str
    size_bytes: int
    header: InstanceHeader
    content_sha256: str | None = None
    transfer_syntax_uid: str = ""
    conflicts_with: tuple[PatientKey, ...] = ()
    shared_of: int | None = None


RECEIPT = TypeAdapter(Receipt)


def sharing(receipts: Iterable[Receipt]) -> Iterator[Receipt]:
    """Yield receipts as they are stored: what an earlier one tells of its series is not written again.

    Else each slice would repeat every attribute of patient, study and series: half as much again as the receipt itself.
    """
    told: list[tuple[dict[str, Attribute], int]] = []
    for number, receipt in enumerate(receipts):
        shared = receipt.header.shared
        same = next((line for known, line in reversed(told) if known == shared), None)
        if same is not None:
            yield replace(receipt, shared_of=same, header=replace(receipt.header, shared={}))
            continue
        if shared:
            told = [*told[-_REMEMBERED:], (shared, number)]
        yield receipt
