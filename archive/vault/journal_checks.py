"""Checks of the journal: each segment, in each store, follows the one before it."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby

from archive.errors import ArchiveError, ChainBroken, FormatTooNew
from archive.journal.chain import START
from archive.journal.segments import Segment, read_segment
from archive.vault.checks import Checked, Unit, is_behind, listed
from archive.vault.fixity import Flaw, as_flaw
from storage.base import ObjectStore
from storage.errors import StorageError
from storage.reading import replicas_of

_FOLDER = "journal/"


def journal_units(locked: ObjectStore, verify: Callable[[], int]) -> Iterator[Unit]:
    """Yield the segments of all nodes, and at the end the journal as a whole.

    Parameters
    ----------
    verify
        Checks all chains against their signed heads; raises `ChainBroken`.
    """
    for _, keys in groupby(listed(locked, _FOLDER), key=lambda key: key.split("/")[1]):
        chain = _Following(locked)
        for key in keys:
            yield Unit(name=key, position=key, store="vault", check=chain.checking(key))

    def whole() -> Checked:
        try:
            verify()
        except ChainBroken as error:
            return Checked(objects=0, size_bytes=0, flaws={1: (Flaw(kind="forged", path="", problem=str(error)),)})
        except FormatTooNew:
            pass
        return Checked(objects=0, size_bytes=0)

    yield Unit(name="journal", position="journal~", store="vault", check=whole)


class _Following:
    """One node's chain as far as it was followed."""

    def __init__(self, locked: ObjectStore) -> None:
        self._locked = locked
        self._end: str | None = START

    def checking(self, key: str) -> Callable[[], Checked]:
        """Return what checks the next segment; a check that is repeated begins at the same place."""
        begins: list[str | None] = []

        def check() -> Checked:
            begins[:] = begins or [self._end]
            self._end = begins[0]
            return self._check(key)

        return check

    def _check(self, key: str) -> Checked:
        good, size, flaws = "", 0, dict[int, tuple[Flaw, ...]]()
        ends: list[str | None] = []
        for copy, replica in enumerate(replicas_of(self._locked), 1):
            try:
                body = replica.read_bytes(key)
                segment = read_segment(key, body)
            except StorageError as error:
                if copy == 1 or not is_behind(self._locked, key):
                    flaws[copy] = (as_flaw(error, key),)
                continue
            except ArchiveError as error:  # no name of a segment, or written by a newer node
                return Checked(objects=1, size_bytes=size, flaws=_told(error, key))
            size += len(body)
            problem = _problem(segment, self._end)
            if problem:
                flaws[copy] = (Flaw(kind="changed", path=key, problem=problem),)
            else:
                good = hashlib.sha256(body).hexdigest()
            ends[0 if good else len(ends) :] = [segment.end]
        # Without a good copy it goes on from where a bad one says it ends: one bad segment is told once.
        self._end = ends[0] if ends else None
        named = {copy: tuple(replace(flaw, sha256=good) for flaw in some) for copy, some in flaws.items()}
        return Checked(objects=len(ends), size_bytes=size, flaws=named)


def _problem(segment: Segment, before: str | None) -> str:
    """Return what is wrong with a copy of a segment, empty if it follows the one before (None: which is not known)."""
    if segment.problems:
        return segment.problems[0].message
    return f"{segment.key} does not follow the segment before it" if before not in (None, segment.previous) else ""


def _told(error: ArchiveError, key: str) -> dict[int, tuple[Flaw, ...]]:
    return {} if isinstance(error, FormatTooNew) else {1: (Flaw(kind="foreign", path=key, problem=str(error)),)}
