"""How a package can be laid out."""

from enum import StrEnum


class PackageFormat(StrEnum):
    """How a package is laid out: each can be checked and read without this program."""

    OCFL = "ocfl"  # an OCFL 1.1 storage root with one object: what a vault holds of a dossier, all versions
    BAGIT = "bagit"  # RFC 8493
    DICOMDIR = "dicomdir"  # a DICOM medium, PS3.10
