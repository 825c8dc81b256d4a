"""The spool folders of a node as its filer sees them: those of living workers, and those of dead ones."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from ingest.dataset.limits import Limits
from ingest.spool.arrival import Held
from ingest.spool.laying_out import LOG
from ingest.spool.log import remove_log
from ingest.spool.spool import SpoolFolder

_ONCE: Final = re.compile("-[0-9a-f]{32}$")
"""So end the names of folders that only one process ever uses; a name that is used again must never be removed."""

_LEFT_AFTER_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """What the spools of a node still hold.

    Parameters
    ----------
    waiting
        Arrivals that are not filed.
    held
        Files that are filed and kept until the grace time has passed.
    until
        When the last of those may go; None if there are none.
    """

    waiting: int
    held: int
    until: datetime | None


class Spools:
    """The spool folders below `root`; only for the filer on duty.

    Parameters
    ----------
    root
        ``spool/``.
    limits
        How much one data set may hold.
    clock
        Aware UTC.
    """

    def __init__(self, root: Path, *, limits: Limits, clock: Callable[[], datetime]) -> None:
        self._root = root
        self._limits = limits
        self._clock = clock
        self._folders: dict[Path, SpoolFolder] = {}
        self._recovered: dict[Path, tuple[int, int]] = {}
        self._taken: dict[Path, int] = {}

    def folders(self) -> list[SpoolFolder]:
        """Return all folders; one whose worker died is put in order first."""
        paths = sorted(path for path in self._root.iterdir() if path.is_dir())
        self._folders = {path: self._folders.get(path) or SpoolFolder(path) for path in paths}
        for folder in self._folders.values():
            self._adopt(folder)
        return list(self._folders.values())

    def pages(self, folder: SpoolFolder) -> Iterator[list[Held]]:
        """Yield what is not settled and was not yielded since `begin_anew`, page by page."""
        while page := folder.journal.pending(after=self._taken.get(folder.path, 0)):
            yield page
            self._taken[folder.path] = page[-1].number

    def begin_anew(self) -> None:
        """Forget what was yielded: all of it is settled, or has to be looked at again."""
        self._taken.clear()

    def release(self, *, before: datetime) -> int:
        """Remove what was filed before `before`; return how many files."""
        released = 0
        for folder in self.folders():
            settled = folder.journal.settled(before=before)
            for _, path in settled:
                path.unlink(missing_ok=True)
            if settled:
                folder.journal.forget([number for number, _ in settled])
            released += len(settled)
        return released

    def remove_left(self) -> int:
        """Remove the folders of processes that nobody comes back to, once they are empty; return how many."""
        oldest = self._clock().timestamp() - _LEFT_AFTER_S
        removed = 0
        for path, folder in list(self._folders.items()):
            is_left = _ONCE.search(path.name) and path.stat().st_mtime < oldest
            if is_left and _remove_if_empty(folder):
                del self._folders[path]
                removed += 1
        return removed

    def remaining(self, *, grace: timedelta) -> Remaining:
        """Say what is left in all of them."""
        waiting, held, newest = 0, 0, None
        for folder in self.folders():
            counts = folder.journal.counts()
            waiting, held = waiting + counts.waiting, held + counts.held
            if counts.newest is not None:
                newest = max(newest or counts.newest, counts.newest)
        return Remaining(waiting=waiting, held=held, until=newest + grace if newest else None)

    def _adopt(self, folder: SpoolFolder) -> None:
        """Put in order what a dead worker left, once for each death."""
        state = (folder.incoming.stat().st_mtime_ns, folder.held.stat().st_mtime_ns)
        if self._recovered.get(folder.path) == state:
            return
        with folder.owned() as is_dead:  # for a moment only: a restarted worker wants it back
            if is_dead:
                folder.recover(limits=self._limits, clock=self._clock)
                self._recovered[folder.path] = (folder.incoming.stat().st_mtime_ns, folder.held.stat().st_mtime_ns)
            else:
                self._recovered.pop(folder.path, None)


def _remove_if_empty(folder: SpoolFolder) -> bool:
    with folder.owned() as is_dead:
        if not is_dead or any(folder.incoming.iterdir()) or any(folder.held.iterdir()) or folder.journal.names():
            return False
        remove_log(folder.path / LOG)
        for path in (folder.incoming, folder.held):
            path.rmdir()
        for path in folder.path.iterdir():
            path.unlink()
        folder.path.rmdir()
        return True
