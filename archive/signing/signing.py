"""Signatures: the node's Ed25519 key over an act, its account and its time (DESIGN section 7)."""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_OWNER_READS = 0o400


class SigningKey:
    """The private key of one node; it never leaves the file named in the settings."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def load_or_create(cls, path: Path) -> "SigningKey":
        """Read the key from a PEM file, or make one there with mode 0400."""
        try:
            return cls._load(path)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        # Written beside and then linked: a crash leaves no half key, and of two processes the first one's key stands.
        unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
        try:
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_READS), "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
        _sync_folder(path.parent)
        return cls._load(path)

    @classmethod
    def _load(cls, path: Path) -> "SigningKey":
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{path} holds no Ed25519 key")
        return cls(key)

    @property
    def public_key(self) -> str:
        """The public key, 32 bytes in hex."""
        raw = self._key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return raw.hex()

    @property
    def id(self) -> str:
        """Short name of the key: the first 16 hex digits of the SHA-256 of its public half."""
        return hashlib.sha256(bytes.fromhex(self.public_key)).hexdigest()[:16]

    def sign(self, body: Mapping[str, object]) -> str:
        """Return the signature over a JSON body in canonical form, in hex."""
        return self._key.sign(canonical(body)).hex()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def canonical(body: Mapping[str, object]) -> bytes:
    """Return JSON that is the same wherever it is made: sorted keys, no spaces, UTF-8."""
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def is_signed(body: Mapping[str, object], *, signature: str, public_key: str) -> bool:
    """Return whether `signature` over `body` was made with the private half of `public_key`."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), canonical(body))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
