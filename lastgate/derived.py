"""What the archive made itself: kept under its digest in ``derived/``."""

from archive.errors import NotFound
from lastgate.wiring import House
from storage.errors import ObjectMissing


def keep(house: House, body: bytes) -> str:
    """Keep a result of ours, and return its SHA-256."""
    return house.derived.keep(body)


def read(house: House, sha256: str) -> bytes:
    """Return a result of ours.

    Raises
    ------
    NotFound
        It is not there any more.
    DigestMismatch
        What is there is another one.
    """
    try:
        return house.derived.read(sha256)
    except ObjectMissing as error:
        raise NotFound(f"{error}", hint="Compose again: derived files can be made anew.") from error
