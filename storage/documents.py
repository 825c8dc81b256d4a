"""Small documents that are in memory already: put under a key once, for good."""

import hashlib
import io

from storage.base import ObjectStore, Version


def put_document(store: ObjectStore, key: str, body: bytes) -> Version:
    """Store `body` under `key` unless other bytes stand there; see `ObjectStore.put_if_absent` for what it raises."""
    return store.put_if_absent(key, io.BytesIO(body), sha256=hashlib.sha256(body).hexdigest(), size_bytes=len(body))
