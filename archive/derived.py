"""Results of ours under ``derived/``: bytes found by their digest, which can be made again at any time."""

import hashlib

from storage.base import ObjectStore
from storage.documents import put_document
from storage.errors import DigestMismatch


class DerivedFiles:
    """Keeps results under their SHA-256.

    Parameters
    ----------
    store
        Where ``derived/`` lies.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def read(self, sha256: str) -> bytes:
        """Return the bytes.

        Raises
        ------
        ObjectMissing
            There are none under this digest.
        DigestMismatch
            They are damaged.
        """
        body = self._store.read_bytes(_key(sha256))
        if hashlib.sha256(body).hexdigest() != sha256:
            raise DigestMismatch(f"{_key(sha256)} does not hold the bytes of its digest")
        return body

    def keep(self, body: bytes) -> str:
        """Store bytes for good and return their digest."""
        digest = hashlib.sha256(body).hexdigest()
        put_document(self._store, _key(digest), body)
        return digest


def _key(sha256: str) -> str:
    return f"derived/{sha256[:2]}/{sha256}"
