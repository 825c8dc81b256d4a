"""The trail of queries: who asked what, and how much was found."""

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

_MOST_WAITING: Final = 10_000
_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One query and its outcome; of patients nothing but what the keys name.

    Parameters
    ----------
    peer, address
        Calling AE title, and where it called from.
    model
        Name of the information model.
    keys
        The keys that asked for a value, by keyword.
    hits
        How many answers were given.
    outcome
        ``done``, ``cancelled``, ``refused`` or ``failed``.
    """

    peer: str
    address: str
    model: str
    level: str
    hits: int
    outcome: str
    keys: Mapping[str, str] = field(default_factory=dict)


class Trail:
    """Hands queries to the journal in a thread of its own: making an event durable may take longer than the answer.

    Parameters
    ----------
    record
        Appends to the journal.
    """

    def __init__(self, record: Callable[[Asked], None]) -> None:
        self._record = record
        self._waiting: queue.Queue[Asked | None] = queue.Queue(_MOST_WAITING)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def __call__(self, asked: Asked) -> None:
        """Leave a query to be recorded; when too many wait, the one who asks waits too."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="query-trail", daemon=True)
                self._thread.start()
        self._waiting.put(asked)

    def close(self) -> None:
        """Return when everything was recorded."""
        with self._starting:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join()

    def _work(self) -> None:
        while (asked := self._waiting.get()) is not None:
            try:
                self._record(asked)
            except Exception as error:  # noqa: BLE001 - one event that can't be written must not end the trail
                _LOG.error("query.not_recorded", error=type(error).__name__, level=asked.level)
