"""Answering requests for commitment in the background: find, read back, decide, tell; through crashes and for days."""

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from archive.errors import ArchiveError
from archive.journal.journal import Event
from ingest.commitment.errors import NotTold
from ingest.commitment.evidence import Evidence, Findings, Reason, batches
from ingest.commitment.references import Failure, Reference
from ingest.commitment.settings import CommitmentSettings
from ingest.commitment.stages import Stages
from ingest.commitment.telling import Telling
from ingest.commitment.transactions import CLAIM, Transaction, Transactions
from search.errors import SearchError
from storage.errors import StorageError

_TICK_S: Final = 1.0
_SEARCH_AGAIN: Final = (timedelta(seconds=1), timedelta(minutes=1))
_EVERYBODY_EVERY: Final = timedelta(minutes=15)
_MOST_REMEMBERED: Final = 500_000
_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What answering is handed by the wiring.

    Parameters
    ----------
    spooled
        Returns the SOP Instance UIDs that are in this node's spool and not filed yet.
    record
        Takes events for the journal.
    clock
        Aware UTC.
    """

    transactions: Transactions
    evidence: Evidence
    stages: Stages
    telling: Telling
    spooled: Callable[[], Collection[str]]
    record: Callable[[Event], None]
    clock: Callable[[], datetime]


@dataclass(slots=True, kw_only=True)
class _Progress:
    """How far a search has come; lost in a crash, and then everything is read again."""

    open: list[Reference]
    found: Findings = field(default_factory=Findings)
    spooled: frozenset[str] = frozenset()


class Answering:
    """Works on the transactions of one node.

    Parameters
    ----------
    node
        Whose transactions; those of a node that has been away for an hour are taken over.
    """

    def __init__(self, node: str, ports: Ports, settings: CommitmentSettings) -> None:
        self._node = node
        self._ports = ports
        self._settings = settings
        self._progress: dict[str, _Progress] = {}
        self._stages = ports.stages
        self._everybody_at: datetime | None = None
        self._forgot_at: datetime | None = None

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; what a round fails at is tried again by the next."""
        while not stop.is_set():
            try:
                self.round(stop)
                self._forget()
            except (StorageError, ArchiveError, SearchError) as error:
                _LOG.warning("commitment.waits", code=error.code, error=str(error))
            stop.wait(_TICK_S)

    def round(self, stop: threading.Event) -> int:
        """Do once what is due now and return how many transactions were worked on."""
        worked = 0
        for transaction in self._ports.transactions.open():
            if stop.is_set():
                break
            if self._is_mine(transaction) and self._work(transaction, stop):
                worked += 1
        return worked

    def _forget(self) -> None:
        """Let go of closed transactions once a day."""
        now = self._ports.clock()
        if self._forgot_at is None or now - self._forgot_at > timedelta(days=1):
            self._ports.transactions.forget(now - self._settings.kept_for)
            self._forgot_at = now

    def _is_mine(self, transaction: Transaction) -> bool:
        now = self._ports.clock()
        state, asked = transaction.state, transaction.asked
        if not state.is_free(now, self._node):
            return False
        is_left = now - (state.held_until or asked.received_at) > timedelta(hours=1)
        return asked.node == self._node or is_left

    def _work(self, transaction: Transaction, stop: threading.Event) -> bool:
        now, state = self._ports.clock(), transaction.state
        if not state.is_due(now):
            return False
        claimed = self._ports.transactions.claim(transaction, self._node, now)
        if claimed is None:
            return False
        if state.stage == "waiting":
            self._search(claimed, stop)
        else:
            self._tell(claimed)
        return True

    def _search(self, transaction: Transaction, stop: threading.Event) -> None:
        if self._ports.transactions.failures(transaction) is not None:  # a crash between deciding and saying so
            self._decide(transaction, ())
            return
        progress = self._progress_of(transaction)
        if progress is None:
            return
        spooled = frozenset(self._ports.spooled())  # before the receipts: what is filed in between is in one of them
        still: list[Reference] = []
        reason = ""
        for batch in batches([one for one in progress.open if one.sop_instance_uid not in spooled]):
            renewed = None if stop.is_set() else self._renewed(transaction)
            if renewed is None:  # what is left is found again after a restart, or by whoever has it now
                return
            transaction = renewed
            try:
                found = self._ports.evidence.of(batch)
            except (StorageError, ArchiveError, SearchError) as error:
                still += batch
                reason = f"{error.code} {error}"
                continue
            progress.found.add(found)
            still += found.unknown
        still += [one for one in progress.open if one.sop_instance_uid in spooled]
        progress.open, progress.spooled = still, spooled
        self._give_up_on(transaction, progress, reason)
        if progress.open:
            self._wait(transaction, reason)
        else:
            self._decide(transaction, progress.found.failures)

    def _progress_of(self, transaction: Transaction) -> _Progress | None:
        """Return how far the search has come; None if it has to wait until others leave room for it."""
        if transaction.id not in self._progress:
            remembered = sum(len(one.open) for one in self._progress.values())
            if remembered + transaction.asked.count > _MOST_REMEMBERED and self._progress:
                self._wait(transaction, "Other requests come first")
                return None
            self._progress[transaction.id] = _Progress(open=list(self._ports.transactions.references(transaction)))
        return self._progress[transaction.id]

    def _renewed(self, transaction: Transaction) -> Transaction | None:
        """Claim again when half of the time is over; None if somebody else took it."""
        now, until = self._ports.clock(), transaction.state.held_until
        if until is not None and until - now > CLAIM / 2:
            return transaction
        return self._ports.transactions.claim(transaction, self._node, now)

    def _give_up_on(self, transaction: Transaction, progress: _Progress, reason: str) -> None:
        """Move what can't be waited for any longer to the failures (DESIGN section 3, promise 1)."""
        now = self._ports.clock()
        age = now - transaction.asked.received_at
        is_over = age >= self._settings.fails_after
        lost = [one for one in progress.open if one.sop_instance_uid not in progress.spooled]
        if lost and not reason and age >= self._settings.unknown_after and (is_over or self._may_ask_everybody(now)):
            self._everybody_at = now
            found = self._ports.evidence.of_everybody(lost)
            progress.found.add(found)
            progress.found.failures += [Failure(*one, Reason.NO_SUCH_INSTANCE) for one in found.unknown]
            gone = frozenset(lost)
            progress.open = [one for one in progress.open if one not in gone]
        if is_over:
            progress.found.failures += [Failure(*one, Reason.PROCESSING_FAILURE) for one in progress.open]
            progress.open = []

    def _may_ask_everybody(self, now: datetime) -> bool:
        """Return whether the facts of everybody may be read again already: made-up UIDs must not keep us busy."""
        return self._everybody_at is None or now - self._everybody_at >= _EVERYBODY_EVERY

    def _wait(self, transaction: Transaction, reason: str) -> None:
        now = self._ports.clock()
        least, most = _SEARCH_AGAIN
        pause = min(max((now - transaction.asked.received_at) / 4, least), most)
        state = replace(transaction.state, next_at=now + pause, reason=reason, holder="", held_until=None)
        self._ports.transactions.save(transaction, state)

    def _decide(self, transaction: Transaction, failures: Collection[Failure]) -> None:
        transactions = self._ports.transactions
        transactions.put_failures(transaction, failures)
        settled = transactions.failures(transaction) or ()
        progress = self._progress.pop(transaction.id, None)
        state = self._stages.decided(transaction, len(settled))
        if transactions.save(transaction, state) is not None:
            self._ports.record(_decided(transaction, settled, progress.found if progress else Findings()))

    def _tell(self, transaction: Transaction) -> None:
        try:
            status = self._ports.telling.tell(transaction)
        except NotTold as error:
            state = self._stages.later(transaction, f"{error.code} {error}")
        else:
            state = self._stages.after_answer(transaction, status)
        self._ports.transactions.save(transaction, state)


def _decided(transaction: Transaction, failures: Collection[Failure], found: Findings) -> Event:
    reasons: dict[str, int] = {}
    for one in failures:
        reasons[f"{one.reason:04X}"] = reasons.get(f"{one.reason:04X}", 0) + 1
    subject: dict[str, object] = {
        "transaction": transaction.asked.transaction_uid,
        "instances": transaction.asked.count,
        "failed": reasons,
        "copies": dict(found.copies),
        "damaged": found.damaged[:100],
    }
    outcome = "failed" if failures else "done"
    return Event(act="commit", account=transaction.asked.requestor, subject=subject, outcome=outcome)
