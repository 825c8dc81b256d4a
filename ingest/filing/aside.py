"""Arrivals that could not be filed for a reason of their own, and when each is tried again."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 300.0
_LOG = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Rest:
    """How long an arrival is left alone, and until when by the monotonic clock."""

    pause_s: float
    until: float


class Aside:
    """What waits beside the row, so that it does not keep the others back; it stays in the spool.

    Parameters
    ----------
    monotonic
        A clock in seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._resting: dict[tuple[Path, int], _Rest] = {}

    def put(self, folder: Path, number: int, error: Exception) -> None:
        """Set an arrival aside; each time for twice as long, up to five minutes."""
        before = self._resting.get((folder, number))
        pause_s = _FIRST_PAUSE_S if before is None else min(2 * before.pause_s, _LONGEST_PAUSE_S)
        self._resting[folder, number] = _Rest(pause_s, self._monotonic() + pause_s)
        if before is None or pause_s != before.pause_s:
            told = f"{type(error).__name__}: {error}"
            code = getattr(error, "code", "")
            _LOG.error("filer.set_aside", folder=folder.name, number=number, code=code, error=told, again_in_s=pause_s)

    def rests(self, folder: Path, number: int) -> bool:
        """Return whether it is to be left alone yet."""
        rest = self._resting.get((folder, number))
        return rest is not None and rest.until > self._monotonic()

    def forget(self, folder: Path, number: int) -> None:
        """Note that it is settled."""
        self._resting.pop((folder, number), None)
