"""Signatures: the node's Ed25519 key over an act, its account and its time (DESIGN section 7)."""

import fcntl
import hashlib
import json
import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from archive.errors import KeyInUse

_OWNER_READS = 0o400


class SigningKey:
    """The private key of one node; it never leaves the file named in the settings.

    Whoever holds one holds the file shared (flock), so that a key is not
    replaced while somebody still signs with it.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def load_or_create(cls, path: Path) -> "SigningKey":
        """Read the key from a PEM file, or make one there with mode 0400."""
        try:
            return cls._load(path)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            _write(path)
        return cls._load(path)

    @classmethod
    def successor(cls, path: Path) -> "SigningKey":
        """Return the key that is to follow the one in `path`; it waits beside it until `succeed` is called."""
        waiting = _waiting(path)
        with suppress(FileExistsError):
            _write(waiting)
        return cls(_parsed(waiting))

    @classmethod
    def _load(cls, path: Path) -> "SigningKey":
        while True:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                break
            os.close(descriptor)  # it was replaced while we waited for it
        try:
            found = cls(_parsed(path))
        except BaseException:
            os.close(descriptor)
            raise
        weakref.finalize(found, os.close, descriptor)
        return found

    @property
    def public_key(self) -> str:
        """The public key, 32 bytes in hex."""
        raw = self._key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return raw.hex()

    @property
    def id(self) -> str:
        """Short name of the key: the first 16 hex digits of the SHA-256 of its public half."""
        return key_id(self.public_key)

    def sign(self, body: Mapping[str, object]) -> str:
        """Return the signature over a JSON body in canonical form, in hex."""
        return self._key.sign(canonical(body)).hex()


@contextmanager
def replacing(path: Path) -> Iterator[None]:
    """Keep everybody from loading the key in `path`, if nobody holds it.

    Raises
    ------
    KeyInUse
        A process still signs with it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise KeyInUse(f"A process still signs with the key in {path}") from error
        yield
    finally:
        os.close(descriptor)


def succeed(path: Path) -> None:
    """Put the key that waits beside `path` in its place, durable on return; the one before is gone then."""
    _waiting(path).replace(path)
    _sync_folder(path.parent)


def key_id(public_key: str) -> str:
    """Return the id of a public key (hex); raises `ValueError` if it is none."""
    return hashlib.sha256(bytes.fromhex(public_key)).hexdigest()[:16]


def _waiting(path: Path) -> Path:
    return path.with_suffix(".next.pem")


def _parsed(path: Path) -> Ed25519PrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} holds no Ed25519 key")
    return key


def _write(path: Path) -> None:
    """Make a key in `path`; raises `FileExistsError` where one is."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    # Written beside and then linked: a crash leaves no half key, and of two processes the first one's key stands.
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_READS), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        os.link(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
        _sync_folder(path.parent)


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
