"""Errors of handing over.

ArchiveError
├── TargetTaken          there is something where a package is to be written, or no folder to write it into
└── NoRoom               the disk has less free than a package needs
"""

from archive.errors import ArchiveError


class TargetTaken(ArchiveError):
    """There is something where a package is to be written, or no folder to write it into."""

    code = "LG-ARC-040"
    hint = "Name a new folder inside one that is there: nothing is ever written over."


class NoRoom(ArchiveError):
    """The disk has less free than a package needs."""

    code = "LG-ARC-041"
    hint = "Free space, or export to another disk. Nothing was written."
