"""Stores for tests: a filesystem one, and a wrapper that fails after so many operations."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from archive.signing.signing import SigningKey
from storage.base import ObjectStore
from storage.filesystem import FilesystemStore

NOW = datetime(2024, 7, 1, 12, tzinfo=UTC)
WRITES = frozenset({"put_if_absent", "replace_if_match", "copy_if_absent", "delete", "retain_until", "repair"})


def clock() -> datetime:
    """Return always the same moment."""
    return NOW


def signing_key(folder: Path, name: str = "node") -> SigningKey:
    """Return the key of a node, made on the first call."""
    return SigningKey.load_or_create(folder / f"{name}.pem")


def overwrite(store: FilesystemStore, key: str, body: bytes) -> None:
    """Change an object behind the store's back, as rot or somebody at the disk would."""
    path = store.root / key
    path.chmod(0o600)
    path.write_bytes(body)


def flip(store: FilesystemStore, key: str, *, at: int) -> None:
    """Flip one bit of an object behind the store's back."""
    body = bytearray(store.read_bytes(key))
    body[at % len(body)] ^= 1
    overwrite(store, key, bytes(body))


class PowerCut(Exception):
    """The process died here."""


class DyingStore:
    """A store whose process dies at the k-th write: before it, or after it but before its answer.

    Parameters
    ----------
    at
        Which write, 0-based, over all stores that share `counter`.
    """

    def __init__(self, store: ObjectStore, *, at: int, after: bool, counter: list[str] | None = None) -> None:
        self._store = store
        self._at = at
        self._after = after
        self.counter: list[str] = [] if counter is None else counter

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._counted(name, found) if name in WRITES else found

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def write(*args: Any, **values: Any) -> Any:
            self.counter.append(name)
            is_now = len(self.counter) == self._at + 1
            if is_now and not self._after:
                raise PowerCut
            if isinstance(values.get("source"), DyingStore):
                values["source"] = values["source"]._store
            answer = call(*args, **values)
            if is_now:
                raise PowerCut
            return answer

        return write


def dying(store: ObjectStore, *, at: int, after: bool, counter: list[str] | None = None) -> ObjectStore:
    """Return `store` behind a `DyingStore`."""
    return cast(ObjectStore, DyingStore(store, at=at, after=after, counter=counter))
