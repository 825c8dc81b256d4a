"""Asking others to answer for what we sent them (Storage Commitment as user; PS3.4 J.3)."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any, Final

import structlog
from pydicom import Dataset
from pynetdicom import evt

from archive.journal.journal import Event
from ingest.commitment.calling import Line, status_of, syntax_of
from ingest.commitment.errors import NotTold
from ingest.commitment.references import Message, Reference, dataset_of, read_message
from ingest.commitment.requests import OwnRequest, OwnRequests, RequestStage, new_transaction_uid
from ingest.commitment.stages import FIRST_PAUSE, is_taken, is_transient
from ingest.commitment.telling import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from ingest.errors import IngestError
from ingest.patience import pause_after
from ingest.peers import Destination
from ingest.status import StatusClass, error_comment
from storage.errors import StorageError

_REQUEST_COMMITMENT: Final = 1
_NO_SUCH_EVENT: Final = 0x0113
_INVALID_ARGUMENT: Final = 0x0115
_EVENTS: Final = (1, 2)
_TICK_S: Final = 5.0
_GIVES_UP_AFTER: Final = timedelta(days=7)
_LEFT_AFTER: Final = timedelta(minutes=10)
_KEPT_FOR: Final = timedelta(days=365)
_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Takes the answers to our requests, on whichever association they come.

    Parameters
    ----------
    record
        Takes events for the journal.
    """

    requests: OwnRequests
    record: Callable[[Event], None]
    clock: Callable[[], datetime]

    def on_n_event_report(self, event: evt.Event) -> tuple[Dataset, None]:
        """Take one answer, durably, and say so."""
        try:
            status, comment = self._take(event), ""
        except IngestError as error:
            status, comment = _INVALID_ARGUMENT, error_comment(error.code, str(error))
        except StorageError as error:
            status, comment = int(StatusClass.PROCESSING_FAILURE), error_comment(error.code, str(error))
        answer = Dataset()
        answer.Status = status
        if comment:
            answer.ErrorComment = comment
        return answer, None

    def _take(self, event: evt.Event) -> int:
        request: Any = event.request
        if request.EventTypeID not in _EVENTS:
            return _NO_SUCH_EVENT
        information = request.EventInformation or BytesIO()
        information.seek(0)
        message = read_message(information, str(event.context.transfer_syntax))
        peer = event.assoc.acceptor if event.assoc.is_requestor else event.assoc.requestor
        by = peer.ae_title.strip()
        answered = self.requests.answer(message.transaction_uid, message, by=by, at=self.clock())
        if answered is None:
            _LOG.warning("commitment.unasked", association=event.assoc.name)
            return _INVALID_ARGUMENT
        told, is_new = answered
        if is_new:
            subject = {"transaction": told.transaction_uid, "dossier": told.dossier, "instances": len(told.references)}
            outcome = "done" if told.stage == "committed" else "failed"
            self.record(
                Event(act="committed", account=by, subject={**subject, "failed": len(told.failures)}, outcome=outcome)
            )
        return int(StatusClass.SUCCESS)


class Asking:
    """Asks peers for commitment, again and again where they can't be reached.

    Parameters
    ----------
    stays_s
        How long the association stays open for an answer; after that it comes on one of the peer's own.
    """

    def __init__(self, answers: Answers, line: Line, *, stays_s: float = 10.0) -> None:
        self._answers = answers
        self._requests = answers.requests
        self._line = line
        self._stays_s = stays_s
        self._closed: set[str] = set()
        self._forgot_at: datetime | None = None

    def ask(self, peer: Destination, references: Iterable[Reference], *, dossier: str = "") -> OwnRequest:
        """Ask a peer and return how the request stands; it is kept, and goes on in the background."""
        request = OwnRequest(
            transaction_uid=new_transaction_uid(),
            peer=peer,
            asked_at=self._answers.clock(),
            dossier=dossier,
            references=tuple(dict.fromkeys(references)),
        )
        self._requests.add(request)
        return self._send(request)

    def run(self, stop: threading.Event) -> None:
        """Ask again where a peer could not be reached, until `stop` is set."""
        while not stop.is_set():
            try:
                self.round(stop)
            except StorageError as error:
                _LOG.warning("commitment.waits", code=error.code, error=str(error))
            stop.wait(_TICK_S)

    def round(self, stop: threading.Event) -> None:
        """Ask once whoever is to be asked again now."""
        now = self._answers.clock()
        if self._forgot_at is None or now - self._forgot_at > timedelta(days=1):
            self._requests.forget(now - _KEPT_FOR)
            self._forgot_at = now
        for request in self._requests.all(but=self._closed):
            if not request.is_open:
                self._closed.add(request.transaction_uid)
            elif request.stage == "unsent" and not stop.is_set() and _is_due(request, now):
                self._send(request)

    def _send(self, request: OwnRequest) -> OwnRequest:
        try:
            return self._over(request)
        except NotTold as error:
            return self._later(request, f"{error.code} {error}")

    def _over(self, request: OwnRequest) -> OwnRequest:
        came = threading.Event()

        def on_report(event: evt.Event) -> tuple[Dataset, None]:
            try:
                return self._answers.on_n_event_report(event)
            finally:
                came.set()

        handlers = ((evt.EVT_N_EVENT_REPORT, on_report),)
        with self._line.call(request.peer, STORAGE_COMMITMENT, handlers=handlers) as association:
            message = Message(transaction_uid=request.transaction_uid, references=request.references)
            status, _ = association.send_n_action(
                dataset_of(message, syntax_of(association, STORAGE_COMMITMENT)),
                _REQUEST_COMMITMENT,
                STORAGE_COMMITMENT,
                STORAGE_COMMITMENT_INSTANCE,
            )
            stands = self._asked(request, status_of(status))
            if stands.stage == "asked":
                came.wait(self._stays_s)
        return self._requests.find(request.transaction_uid) or stands

    def _asked(self, request: OwnRequest, status: int) -> OwnRequest:
        if is_transient(status):
            return self._later(request, f"The peer answered {status:04X}")
        stage: RequestStage = "asked" if is_taken(status) else "refused"
        reason = "" if is_taken(status) else f"The peer answered {status:04X}"
        return self._requests.save(replace(request, stage=stage, reason=reason, next_at=None))

    def _later(self, request: OwnRequest, reason: str) -> OwnRequest:
        now = self._answers.clock()
        if now - request.asked_at > _GIVES_UP_AFTER:
            return self._requests.save(replace(request, stage="refused", reason=reason, next_at=None))
        next_at = now + pause_after(request.tries, first=FIRST_PAUSE)
        return self._requests.save(replace(request, tries=request.tries + 1, next_at=next_at, reason=reason))


def _is_due(request: OwnRequest, now: datetime) -> bool:
    """Return whether it is to be sent: one without a time was left behind by a process that died while it asked."""
    return (request.next_at or request.asked_at + _LEFT_AFTER) <= now
