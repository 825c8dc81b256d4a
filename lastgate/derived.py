"""What the archive made itself: kept under its digest in ``derived/``."""

import hashlib

from archive.errors import NotFound
from lastgate.wiring import House
from storage.documents import put_document
from storage.errors import DigestMismatch, ObjectMissing


def keep(house: House, body: bytes) -> str:
    """Keep a result of ours, and return its SHA-256."""
    digest = hashlib.sha256(body).hexdigest()
    put_document(house.stores.work, _key(digest), body)
    return digest


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
        body = house.stores.work.read_bytes(_key(sha256))
    except ObjectMissing as error:
        raise NotFound(f"{_key(sha256)} is not there", hint="Compose again: derived files can be made anew.") from error
    if hashlib.sha256(body).hexdigest() != sha256:
        raise DigestMismatch(f"{_key(sha256)} is not what was kept there")
    return body


def _key(sha256: str) -> str:
    return f"derived/{sha256[:2]}/{sha256}"
