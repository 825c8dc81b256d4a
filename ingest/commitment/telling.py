"""Telling a requestor what its request came to (N-EVENT-REPORT; PS3.4 J.3.3)."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog

from ingest.commitment.calling import Line, status_of, syntax_of
from ingest.commitment.errors import NotTold, Unreachable
from ingest.commitment.references import Message, dataset_of, without
from ingest.commitment.stages import Stages
from ingest.commitment.transactions import Transaction, Transactions
from ingest.peers import Destination

if TYPE_CHECKING:
    from pynetdicom.association import Association

STORAGE_COMMITMENT: Final = "1.2.840.10008.1.20.1"
STORAGE_COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""The well-known instance all requests go to (PS3.4 J.3.5)."""

ALL_COMMITTED: Final = 1
FAILURES_EXIST: Final = 2

FindDestination = Callable[[str], Destination | None]
"""Returns where the peer with this title takes associations from us."""

_FIRST_LOOK_S: Final = 0.1
_LAST_LOOK_S: Final = 2.0
_CLAIM: Final = timedelta(minutes=2)
_LOG = structlog.get_logger(__name__)


class Telling:
    """Tells requestors, on associations of our own.

    Parameters
    ----------
    find_destination
        Asks the rules for peers.
    """

    def __init__(self, transactions: Transactions, line: Line, find_destination: FindDestination) -> None:
        self._transactions = transactions
        self._line = line
        self._find_destination = find_destination

    def tell(self, transaction: Transaction) -> int:
        """Call the requestor and return the status it answers.

        Raises
        ------
        NotTold
            It can't be reached or gives no answer; `Unreachable` if nobody knows where it is.
        """
        requestor = transaction.asked.requestor
        destination = self._find_destination(requestor)
        if destination is None:
            raise Unreachable(f"No rule says where {requestor} takes associations")
        with self._line.call(destination, STORAGE_COMMITMENT, as_scp=True) as association:
            return report(association, self._transactions, transaction)


def report(association: "Association", transactions: Transactions, transaction: Transaction) -> int:
    """Send the report of a decided transaction over an association and return the status of the answer."""
    failures = transactions.failures(transaction) or ()
    message = Message(
        transaction_uid=transaction.asked.transaction_uid,
        references=without(transactions.references(transaction), failures),
        failures=failures,
    )
    dataset = dataset_of(message, syntax_of(association, STORAGE_COMMITMENT))
    event = FAILURES_EXIST if failures else ALL_COMMITTED
    try:
        answer, _ = association.send_n_event_report(dataset, event, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE)
    except (RuntimeError, ValueError, AttributeError) as error:  # it was released or broke meanwhile
        raise NotTold(f"The association with {transaction.asked.requestor} ended: {error}") from error
    return status_of(answer)


class SameAssociation:
    """Tells requestors that wait on the association they asked on, while it is open.

    It belongs to the process that has the association; the transaction may be decided by another.

    Parameters
    ----------
    holder
        Names this process in the state.
    """

    def __init__(
        self,
        transactions: Transactions,
        *,
        holder: str,
        clock: Callable[[], datetime],
        stages: Stages,
    ) -> None:
        self._transactions = transactions
        self._holder = holder
        self._clock = clock
        self._stages = stages
        self._waiting: dict[str, Association] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._more = threading.Event()

    def watch(self, identity: str, association: "Association") -> None:
        """Tell over this association as soon as the transaction is decided, if it is open then."""
        with self._lock:
            self._waiting[identity] = association
            self._more.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="commitment-watch", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause = _FIRST_LOOK_S
        while waiting := self._open():
            if self._more.wait(timeout=pause):
                self._more.clear()
                pause = _FIRST_LOOK_S
                time.sleep(pause)  # the answer to the request itself is just being sent
            else:
                pause = min(pause * 2, _LAST_LOOK_S)
            for identity, association in waiting.items():
                try:
                    is_done = self._look(identity, association)
                except Exception as error:  # noqa: BLE001 - the requestor is called on an association of our own then
                    _LOG.warning("commitment.not_told", error=f"{type(error).__name__}: {error}")
                    is_done = True
                if is_done:
                    with self._lock:
                        self._waiting.pop(identity, None)

    def _open(self) -> dict[str, "Association"]:
        """Return what waits on associations that are open; without any the thread ends."""
        with self._lock:
            self._waiting = {key: one for key, one in self._waiting.items() if one.is_established}
            if not self._waiting:
                self._thread = None
            return dict(self._waiting)

    def _look(self, identity: str, association: "Association") -> bool:
        """Tell if it is decided; return whether there is nothing left to wait for."""
        found = self._transactions.find(identity)
        if found is None:  # closed
            return True
        if found.state.stage != "decided":
            return False
        claimed = self._transactions.claim(found, self._holder, self._clock(), lasting=_CLAIM)
        if claimed is None:
            return False
        try:
            status = report(association, self._transactions, claimed)
        except NotTold as error:
            self._transactions.save(claimed, replace(claimed.state, holder="", held_until=None, reason=str(error)))
            return True
        self._transactions.save(claimed, self._stages.after_answer(claimed, status))
        return True
