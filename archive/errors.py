"""Errors of the archive.

ArchiveError
├── FactClash            another person or process settled something first; look again
├── FormatTooNew         a stored document was written by a newer Lastgate
├── FactDamaged          a stored fact can't be read
├── NotFound             no dossier, finding, plan or account answers to that name
├── Ambiguous            the name fits more than one
├── Refused              the act is not allowed in this state, or not for this role
├── SealBroken           a sealed dossier does not agree with its seal
├── StampMissing         no time-stamp can be had, though the settings require one
├── KeyInUse             a process still signs with the key that is to be replaced
├── ChainBroken          the journal is not the unbroken chain it must be
├── TooMuchDamage        more copies are damaged than are mended without a person
└── BadRules             the department's file of gate rules can't be used
"""

from typing import ClassVar


class ArchiveError(Exception):
    """Root of all archive errors: `code` is stable, `hint` tells what to do."""

    code: ClassVar[str] = "LG-ARC-000"
    hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.advice = self.hint if hint is None else hint


class FactClash(ArchiveError):
    """Somebody else settled something about this patient in between."""

    code = "LG-ARC-001"
    hint = "Look at the dossier again and repeat what you wanted, if it still holds."


class FormatTooNew(ArchiveError):
    """A stored document was written by a newer Lastgate."""

    code = "LG-ARC-002"
    hint = "Update Lastgate on this machine; this patient is left to newer nodes until then."


class NotFound(ArchiveError):
    """No dossier, finding, plan or account answers to that name."""

    code = "LG-ARC-003"
    hint = "Run `lastgate find` to see what is there."


class Ambiguous(ArchiveError):
    """The name fits more than one."""

    code = "LG-ARC-004"
    hint = "Write more characters of it."


class Refused(ArchiveError):
    """The act is not allowed in this state, or not for this role."""

    code = "LG-ARC-005"
    hint = "Run `lastgate gate DOSSIER` to see what stands in the way."


class SealBroken(ArchiveError):
    """A sealed dossier does not agree with its seal."""

    code = "LG-ARC-006"
    hint = "Delete nothing. Tell the administrator today: the files named are to come back from a backup."


class ChainBroken(ArchiveError):
    """The journal is not the unbroken chain it must be."""

    code = "LG-ARC-007"
    hint = "Keep the journal as it is and tell the administrator: somebody may have changed it."


class FactDamaged(ArchiveError):
    """A stored fact can't be read."""

    code = "LG-ARC-008"
    hint = "Delete nothing. Restore this object from a second copy or a backup, and tell the administrator today."


class KeyInUse(ArchiveError):
    """A process still signs with the key that is to be replaced."""

    code = "LG-ARC-009"
    hint = "Stop `lastgate serve` and wait for running commands of this node, then try again."


class BadRules(ArchiveError):
    """The department's file of gate rules can't be used."""

    code = "LG-ARC-020"
    hint = "Mend the file that the setting gate.rules names; docs/administrator.md shows its tables."


class TooMuchDamage(ArchiveError):
    """More copies are damaged than are mended without a person: the cause may be at work still."""

    code = "LG-ARC-030"
    hint = "Find the cause first: a disk, a controller, a person. Then run `lastgate verify --repair`."


class StampMissing(ArchiveError):
    """No time-stamp can be had, though the settings require one."""

    code = "LG-ARC-031"
    hint = "Nothing was sealed. Try again when the authority answers, or set seal.timestamp_required = false."
