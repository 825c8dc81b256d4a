"""How a transaction goes on from one stage to the next, whichever process tells the requestor."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from archive.journal.journal import Event
from ingest.commitment.settings import CommitmentSettings
from ingest.commitment.transactions import Stage, State, Transaction
from ingest.patience import pause_after

_TRANSIENT: Final = frozenset({0x0110, 0x0122, 0x0124, 0x0210, 0x0213})
"""Answers after which a requestor is told again: a fault, a lack of resources, not allowed (yet)."""

_WARNINGS: Final = frozenset({0x0001, 0x0107, 0x0116})
"""Beside Bxxx (PS3.7 Annex C): the report was taken."""

FIRST_PAUSE: Final = timedelta(seconds=30)
"""How long a peer that could not be told is left alone at first."""
_LOG = structlog.get_logger(__name__)


def is_taken(status: int) -> bool:
    """Return whether a status says that the peer took what it was told (success or warning)."""
    return status == 0 or status & 0xF000 == 0xB000 or status in _WARNINGS


def is_transient(status: int) -> bool:
    """Return whether it is worth telling the peer again."""
    return status in _TRANSIENT


class Stages:
    """Makes the states of transactions, and records in the journal how they ended."""

    def __init__(
        self, settings: CommitmentSettings, *, record: Callable[[Event], None], clock: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._record = record
        self._clock = clock

    def decided(self, transaction: Transaction, failed: int) -> State:
        """Return the state of a transaction of which all is known; its requestor may fetch it for a moment."""
        now = self._clock()
        return replace(
            transaction.state,
            stage="decided",
            failed=failed,
            decided_at=now,
            next_at=now + self._settings.same_association,
            reason="",
            holder="",
            held_until=None,
        )

    def after_answer(self, transaction: Transaction, status: int) -> State:
        """Return the state after the requestor answered the report with `status`."""
        if is_transient(status):
            return self.later(transaction, f"The requestor answered {status:04X}")
        if is_taken(status):
            return self._closed(transaction, "told", "")
        return self._closed(transaction, "refused", f"The requestor answered {status:04X}")

    def later(self, transaction: Transaction, reason: str) -> State:
        """Return the state after a call in vain."""
        now, state = self._clock(), transaction.state
        if now - (state.decided_at or now) > self._settings.gives_up_after:
            return self._closed(transaction, "given-up", reason)
        _LOG.warning("commitment.not_told", transaction=transaction.id, reason=reason)
        return replace(
            state,
            tries=state.tries + 1,
            next_at=now + pause_after(state.tries, first=FIRST_PAUSE),
            reason=reason,
            holder="",
            held_until=None,
        )

    def _closed(self, transaction: Transaction, stage: Stage, reason: str) -> State:
        subject: dict[str, object] = {"transaction": transaction.asked.transaction_uid, "reason": reason}
        outcome = "done" if stage == "told" else stage
        self._record(Event(act="commit-told", account=transaction.asked.requestor, subject=subject, outcome=outcome))
        return replace(
            transaction.state,
            stage=stage,
            closed_at=self._clock(),
            next_at=None,
            reason=reason,
            holder="",
            held_until=None,
        )
