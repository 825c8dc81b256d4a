"""Tells the journal what happens at the door, in batches: who knocks a thousand times a minute makes one entry."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import structlog

from archive.journal.journal import Event

_BATCH_S: Final = 30.0
_MOST_KINDS: Final = 100
"""So many different entries a batch holds; beyond it only how many there were is told."""

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Kind:
    act: str
    account: str
    outcome: str
    subject: str


class Notices:
    """Gathers events for a while, counts the equal ones and records each kind once, with how often it happened.

    Parameters
    ----------
    record
        Appends to the journal.
    batch_s
        For how long events are gathered after the first.
    """

    def __init__(self, record: Callable[[Event], None], *, batch_s: float = _BATCH_S) -> None:
        self._record = record
        self._batch_s = batch_s
        self._counts: dict[_Kind, int] = {}
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    def tell(self, act: str, *, account: str, outcome: str, subject: Mapping[str, object]) -> None:
        """Gather an event; returns at once."""
        kind = _Kind(act, account, outcome, json.dumps(subject, sort_keys=True))
        with self._lock:
            if kind not in self._counts and len(self._counts) >= _MOST_KINDS:
                kind = replace(kind, account="", subject=json.dumps({"others": True}))
            self._counts[kind] = self._counts.get(kind, 0) + 1
            if self._timer is None:
                self._timer = threading.Timer(self._batch_s, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Record what was gathered; what the journal does not take now is told to the log."""
        with self._lock:
            counts, self._counts = self._counts, {}
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        for kind, count in counts.items():
            subject = {**json.loads(kind.subject), "count": count}
            try:
                self._record(Event(act=kind.act, account=kind.account, subject=subject, outcome=kind.outcome))
            except Exception as error:  # noqa: BLE001 - whatever ails the journal's disk, the node goes on receiving
                _LOG.error("peers.not_journaled", act=kind.act, count=count, error=f"{type(error).__name__}: {error}")
