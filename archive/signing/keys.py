"""Public keys of the nodes, for whoever checks a signature: ``site/keys/<id>.json``, written once, never replaced."""

import hashlib
import io
import json
from datetime import datetime

from archive.signing.signing import SigningKey
from storage.base import ObjectStore
from storage.errors import ObjectMissing


class KeyRing:
    """Tells whose a public key is. A signature by a key that stands here under no node proves nothing."""

    def __init__(self, site: ObjectStore) -> None:
        self._site = site

    def publish(self, key: SigningKey, *, node: str, at: datetime) -> None:
        """Make known that a node signs with this key from `at` on; the first word about a key stands."""
        name = f"site/keys/{key.id}.json"
        try:
            self._site.stat(name)
        except ObjectMissing:
            body = {
                "format": "lastgate/key/1",
                "node": node,
                "public_key": key.public_key,
                "valid_from": at.isoformat(),
            }
            data = json.dumps(body).encode() + b"\n"
            digest = hashlib.sha256(data).hexdigest()
            self._site.put_if_absent(name, io.BytesIO(data), sha256=digest, size_bytes=len(data))

    def owner(self, public_key: str) -> str | None:
        """Return the node that signs with this key, None if nobody made it known."""
        try:
            name = hashlib.sha256(bytes.fromhex(public_key)).hexdigest()[:16]
            body = json.loads(self._site.read_bytes(f"site/keys/{name}.json"))
        except (ObjectMissing, ValueError):
            return None
        is_told = isinstance(body, dict) and body.get("public_key") == public_key
        return str(body.get("node")) if is_told else None
