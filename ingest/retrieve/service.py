"""Retrieving (PS3.4 Annex C.4.2 and C.4.3): C-MOVE and C-GET in the patient root and study root models."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import structlog
from pynetdicom import evt

from archive.errors import ArchiveError
from archive.facts.receipts import Receipt
from archive.journal.journal import Event
from archive.vault.places import Places
from ingest.errors import AssociationLost, BadIdentifier, BadMessage, IngestError, NotSent, UnknownDestination
from ingest.node.connection import Connection
from ingest.node.messages import Message
from ingest.node.reactor import ReactorAssociation
from ingest.node.wire import CommandKind, StoreRequest
from ingest.retrieve.exchange import Exchange
from ingest.retrieve.identifier import Wanted
from ingest.retrieve.locate import Locator
from ingest.retrieve.outgoing import Originator, Sender, Sent, answered
from ingest.retrieve.packing import NOT_TAKEN, PackedAhead
from ingest.retrieve.parcel import Parcel
from ingest.retrieve.peer import Peer
from ingest.retrieve.requests import Request, contexts
from ingest.retrieve.tally import Status, Tally, response
from ingest.service import Context, Handler
from ingest.status import error_comment
from search.errors import SearchError
from storage.errors import StorageError

_TOLD_EVERY_S: Final = 1.0
_TOLD_EVERY: Final = 25
_MOST_NAMED: Final = 20
_LARGEST_MESSAGE_ID: Final = 0xFFFF
_LOG = structlog.get_logger(__name__)


class Destinations(Protocol):
    """Knows where titles are reached."""

    def destination(self, title: str) -> Peer | None:
        """Return where the peer with this title takes associations from us; None if that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What retrieving is handed by the wiring.

    Parameters
    ----------
    locator, places
        Find instances and their bytes.
    destinations
        Knows move destinations.
    sender
        Sends to them.
    record
        Takes events for the journal.
    folder
        For what is converted and too long for memory; None is the system's own for temporary files.
    """

    locator: Locator
    places: Places
    destinations: Destinations
    sender: Sender
    record: Callable[[Event], None]
    folder: Path | None = None


class RetrieveService:
    """Answers C-MOVE and C-GET.

    Parameters
    ----------
    ports
        What it works with.
    answer_s
        How long a peer that gets instances is waited for.
    """

    def __init__(self, ports: Ports, *, answer_s: float = 120.0) -> None:
        self._ports = ports
        self._answer_s = answer_s

    def contexts(self) -> Iterable[Context]:
        """Return the two models for C-MOVE and for C-GET."""
        return contexts()

    def handlers(self) -> Iterable[Handler]:
        """Return what puts itself before pynetdicom on each new association."""
        return ((evt.EVT_REQUESTED, self.on_requested),)

    def on_requested(self, event: evt.Event) -> None:
        """Look at each message of this association before pynetdicom does."""
        association = event.assoc
        assert isinstance(association, ReactorAssociation)
        association.dul.receivers.append(_Receiver(self, association))

    def serve(self, association: ReactorAssociation, request: Request, message: Message) -> None:
        """Serve one request to its end; raises `AssociationLost` if the peer is gone before."""
        exchange = Exchange(association, message_id=request.message_id, answer_s=self._answer_s)
        try:
            identifier = exchange.identifier(message)
        except (BadMessage, OSError):
            exchange.refuse()
            return
        retrieval = _Retrieval(self._ports, exchange, request)
        retrieval.run(identifier)


class _Receiver:
    """Takes retrieve requests off one association."""

    def __init__(self, service: RetrieveService, association: ReactorAssociation) -> None:
        self._service = service
        self._association = association

    def take(self, _connection: Connection, message: Message) -> bool:
        """See `Receiver.take`."""
        try:
            request = self._request(message)
        except BadMessage:
            return False  # pynetdicom finds the same, and says so to the peer
        if request is None:
            return False
        timer = self._association.dul._idle_timer
        timer.stop()  # the peer waits for us
        try:
            self._service.serve(self._association, request, message)
        except AssociationLost as error:
            _LOG.warning("retrieve.lost", association=self._association.name, error=str(error))
        timer.restart()
        return True

    def _request(self, message: Message) -> Request | None:
        context = self._association._accepted_cx.get(message.context_id)
        if context is None:
            return None
        requestor = self._association.requestor
        return Request.of(message.command, context, calling=requestor.ae_title.strip(), address=requestor.address or "")


class _Retrieval:
    """One retrieve on its way."""

    def __init__(self, ports: Ports, exchange: Exchange, request: Request) -> None:
        self._ports = ports
        self._exchange = exchange
        self._request = request
        self._tally = Tally(remaining=0)
        self._told_at = 0.0
        self._told_done = 0
        self._wanted: Wanted | None = None

    def run(self, identifier: bytes) -> None:
        """Find what is wanted, send it, answer, and write down what came of it."""
        outcome = "lost"
        try:
            status, comment = self._performed(identifier)
            self._answer(status, comment)
            outcome = _OUTCOMES.get(status, "refused")
        finally:
            self._journal(outcome)

    def _performed(self, identifier: bytes) -> tuple[Status, str]:
        request = self._request
        try:
            self._wanted = request.wanted(identifier)
            deliver = self._to_peer() if request.kind is CommandKind.C_MOVE_RQ else self._to_asker
            receipts = self._ports.locator.find(self._wanted)
            self._tally.remaining = len(receipts)
            return self._delivered(receipts, deliver)
        except BadIdentifier as error:
            return self._refused(Status.BAD_IDENTIFIER, error.code, error)
        except UnknownDestination as error:
            return self._refused(Status.UNKNOWN_DESTINATION, error.code, error)
        except NotSent as error:
            self._tally.fail_rest([one.header.sop_instance_uid for one in receipts])
            return self._refused(Status.NOT_PERFORMED, error.code, error)
        except (StorageError, SearchError, ArchiveError) as error:
            return self._refused(Status.NO_MATCHES_COUNTED, error.code, error)

    def _refused(self, status: Status, code: str, error: Exception) -> tuple[Status, str]:
        _LOG.warning("retrieve.refused", code=code, calling=self._request.calling, error=str(error))
        return status, error_comment(code, str(error))

    def _delivered(
        self, receipts: Sequence[Receipt], deliver: Callable[[Iterator[Parcel]], Iterator[Sent | None]]
    ) -> tuple[Status, str]:
        if not receipts:
            return Status.SUCCESS, ""
        self._tell()
        sending = deliver(Parcel.of_receipt(one, self._ports.places) for one in receipts)
        try:
            for sent in sending:
                if sent is not None:
                    self._count(sent)
                self._exchange.look_up()
                if self._exchange.is_cancelled and self._tally.remaining:
                    return Status.CANCELLED, ""
                self._tell_in_time()
        finally:
            sending.close()  # type: ignore[attr-defined]
        return self._tally.final, ""

    def _count(self, sent: Sent) -> None:
        self._tally.count(sent)
        if not sent.is_stored:
            _LOG.warning("retrieve.failed", uid=sent.parcel.sop_instance_uid, status=sent.status, reason=sent.reason)

    def _to_peer(self) -> Callable[[Iterator[Parcel]], Iterator[Sent | None]]:
        """Return what sends to the move destination."""
        request, ports = self._request, self._ports
        peer = ports.destinations.destination(request.destination)
        if peer is None:
            raise UnknownDestination(f"Nobody called {request.destination!r} is known here")
        originator = Originator(ae_title=request.calling, message_id=request.message_id)
        return lambda parcels: ports.sender.send(parcels, peer, originator=originator)

    def _to_asker(self, parcels: Iterator[Parcel]) -> Iterator[Sent | None]:
        """Store at the peer that asks, over its own association."""
        accepted = self._exchange.accepted
        message_id = self._request.message_id
        with PackedAhead(parcels, folder=self._ports.folder) as ahead:
            look_ahead = partial(ahead.look_ahead, accepted)
            while (packed := ahead.take(accepted)) is not None:
                parcel = packed.parcel
                context_id = accepted.get(packed.kind) if packed.kind else None
                if context_id is None:
                    yield Sent(parcel=parcel, reason=packed.reason or NOT_TAKEN)
                    continue
                message_id = message_id % _LARGEST_MESSAGE_ID + 1
                store = StoreRequest(
                    message_id=message_id,
                    sop_class_uid=parcel.sop_class_uid,
                    sop_instance_uid=parcel.sop_instance_uid,
                )
                try:
                    answer = self._exchange.store(context_id, store, packed.pieces, meanwhile=look_ahead)
                except (IngestError, StorageError) as error:
                    if not isinstance(error, AssociationLost):  # its bytes rotted on the way, and half of them are out
                        self._exchange.refuse()
                    raise AssociationLost(str(error)) from error
                yield answered(parcel, answer.status, answer.comment)

    def _tell_in_time(self) -> None:
        is_due = time.monotonic() - self._told_at >= _TOLD_EVERY_S
        if self._tally.remaining and (is_due or self._tally.done - self._told_done >= _TOLD_EVERY):
            self._tell()

    def _tell(self) -> None:
        self._told_at, self._told_done = time.monotonic(), self._tally.done
        self._respond(Status.PENDING)

    def _answer(self, status: Status, comment: str) -> None:
        failed = self._tally.listed()
        self._respond(status, comment=comment, failed=failed if status != Status.SUCCESS else [])

    def _respond(self, status: Status, *, comment: str = "", failed: Sequence[str] = ()) -> None:
        request = self._request
        command = response(
            request.answered_as,
            status,
            message_id=request.message_id,
            sop_class_uid=request.sop_class_uid,
            tally=self._tally,
            comment=comment,
            has_identifier=bool(failed),
        )
        identifier = [request.failed_list(list(failed))] if failed else None
        self._exchange.send(request.context_id, command, identifier)

    def _journal(self, outcome: str) -> None:
        request, wanted = self._request, self._wanted
        subject: dict[str, object] = {"service": request.name, "address": request.address}
        if wanted is not None:
            named = wanted.instance_uids or wanted.series_uids or wanted.study_uids
            subject |= {"level": str(wanted.level), "asked": len(named), "uids": list(named[:_MOST_NAMED])}
        if request.destination:
            subject["to"] = request.destination
        subject |= self._tally.told()
        if self._tally.failed_uids:
            subject["failed_uids"] = self._tally.failed_uids[:_MOST_NAMED]
        self._ports.record(Event(act="retrieve", account=request.calling, subject=subject, outcome=outcome))


_OUTCOMES: Final = {
    Status.SUCCESS: "done",
    Status.SOME_FAILED: "partly",
    Status.NOT_PERFORMED: "failed",
    Status.CANCELLED: "cancelled",
}
