"""By which files a folder is known to be a package."""

from collections.abc import Iterable
from typing import Final

from archive.handover.formats import PackageFormat

OBJECT_DECLARATIONS: Final = ("0=ocfl_object_1.0", "0=ocfl_object_1.1")
ROOT_DECLARATIONS: Final = ("0=ocfl_1.0", "0=ocfl_1.1")
BAG_DECLARATION: Final = "bagit.txt"
DICOMDIR: Final = "dicomdir"


def package_format(names: Iterable[str]) -> PackageFormat | None:
    """Return what kind of package a folder with these files is, None if it is none."""
    held = set(names)
    if not held.isdisjoint((*ROOT_DECLARATIONS, *OBJECT_DECLARATIONS)):
        return PackageFormat.OCFL
    if BAG_DECLARATION in held:
        return PackageFormat.BAGIT
    if any(name.lower() == DICOMDIR for name in held):  # media are often read in lower case
        return PackageFormat.DICOMDIR
    return None
