"""Bringing the second store up to the first: what was noted, and what a comparison of both lists shows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, Literal

import structlog

from storage.base import ObjectStat, ObjectStore
from storage.errors import ObjectMissing, StorageError
from storage.mirrored.aligning import align, same_state
from storage.mirrored.behind import FOLDER
from storage.mirrored.store import MirroredStore

_HELD: Final = 10_000
_PASSED_OVER: Final = (FOLDER, "self-test/")
_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A key that is not in both stores with one length.

    Parameters
    ----------
    what
        ``second-lacks``, ``first-lacks``, or ``lengths``: both have it, and one of them has bytes cut off or added.
    """

    key: str
    what: Literal["second-lacks", "first-lacks", "lengths"]


class CatchingUp:
    """Works off the notes of a pair of stores and compares their lists; may be stopped and begun again at any time.

    Parameters
    ----------
    pair
        The two stores.
    is_ours
        Whether a key belongs to this pair: one of the stores may hold what belongs to another pair as well.
    is_replaced
        Whether the document under a key may be replaced: of such the first store's state is right by definition.
    named_sha256
        The SHA-256 that the name of a key tells; None where it tells none.
    """

    def __init__(
        self,
        pair: MirroredStore,
        *,
        is_ours: Callable[[str], bool] = lambda _key: True,
        is_replaced: Callable[[str], bool],
        named_sha256: Callable[[str], str | None],
    ) -> None:
        self._pair = pair
        self._is_ours = is_ours
        self._is_replaced = is_replaced
        self._named_sha256 = named_sha256

    def notes(self, is_over: Callable[[], bool] = lambda: False) -> int:
        """Work off the notes until `is_over` or the second store is away, and return how many there were."""
        done = 0
        for note in self._pair.behind.all():
            if is_over() or self._pair.second.peek() is None:
                break
            done += self._settle(note.key, note.sha256)
        return done

    def lists(self, is_over: Callable[[], bool] = lambda: False) -> Iterator[Difference]:
        """Compare both lists, copy what the second lacks, and yield what has to be looked at.

        That is a key the first has lost, or of which the lengths differ though it is never replaced: a copy is
        damaged, and only whoever knows the digest can tell which.
        """
        second = self._pair.second.peek()
        if second is None:
            return
        for found in differences(self._pair.first, second):
            if is_over() or self._pair.second.peek() is None:
                return
            if not self._is_ours(found.key):
                continue
            now = self._now(second, found.key)
            if now is None or self._pair.behind.holds(found.key):
                continue
            if now.what == "second-lacks" or (now.what == "lengths" and self._is_replaced(found.key)):
                self._settle(found.key, None)
            else:
                yield now

    def _settle(self, key: str, sha256: str | None) -> bool:
        """Align a key and forget its note; one that can't be aligned keeps it, or gets one."""
        first, behind = self._pair.first, self._pair.behind
        wanted = sha256 or self._named_sha256(key)
        try:
            before = _stat(first, key)
            self._pair.second.call(lambda store: align(first, store, key, sha256=wanted))
        except StorageError as error:
            _LOG.warning("second_store.behind", key=key, code=error.code, error=str(error))
            behind.note(key, sha256=sha256)
            return False
        behind.forget(key)
        if not same_state(before, _stat(first, key)):
            behind.note(key)  # replaced meanwhile, and whoever did it may have seen the note that is gone now
        return True

    def _now(self, second: ObjectStore, key: str) -> Difference | None:
        """Look again: a list is older than its end."""
        return _difference(key, _stat(self._pair.first, key), _stat(second, key))


def differences(first: ObjectStore, second: ObjectStore) -> Iterator[Difference]:
    """Yield the keys of which the lists of two stores tell different things.

    Both lists are walked side by side. They may differ a little in order (see `ObjectStore.list`), so what has no
    counterpart yet is held; when that becomes much, its counterparts are asked for one by one.
    """
    mine, theirs = _Side(second, "second-lacks"), _Side(first, "first-lacks")
    for one, other in zip_longest(first.list(""), second.list("")):
        for stat, here, there in ((one, mine, theirs), (other, theirs, mine)):
            if stat is None or stat.key.startswith(_PASSED_OVER):
                continue
            counterpart = there.held.pop(stat.key, None)
            if counterpart is None:
                here.held[stat.key] = stat
            elif counterpart.size_bytes != stat.size_bytes:
                yield Difference(key=stat.key, what="lengths")
        yield from mine.sifted()
        yield from theirs.sifted()
    for side in (mine, theirs):
        yield from (Difference(key=key, what=side.what) for key in side.held)


class _Side:
    """What one list told and the other did not yet."""

    def __init__(self, other: ObjectStore, what: Literal["second-lacks", "first-lacks"]) -> None:
        self.held: dict[str, ObjectStat] = {}
        self.what = what
        self._other = other
        self._most = _HELD

    def sifted(self) -> Iterator[Difference]:
        """Yield, when much is held, what the other store does not have; the rest will still come in its list."""
        if len(self.held) < self._most:
            return
        for key in [key for key in self.held if _stat(self._other, key) is None]:
            del self.held[key]
            yield Difference(key=key, what=self.what)
        self._most = len(self.held) + _HELD


def _difference(key: str, mine: ObjectStat | None, theirs: ObjectStat | None) -> Difference | None:
    if mine is None or theirs is None:
        if mine is theirs:
            return None
        return Difference(key=key, what="second-lacks" if theirs is None else "first-lacks")
    return Difference(key=key, what="lengths") if mine.size_bytes != theirs.size_bytes else None


def _stat(store: ObjectStore, key: str) -> ObjectStat | None:
    try:
        return store.stat(key)
    except ObjectMissing:
        return None
