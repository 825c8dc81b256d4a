"""The query service: C-FIND as SCP in three information models (PS3.4 C.4.1, PS3.7 9.1.2).

Requests are taken off the association before pynetdicom sees them and served
in the thread that owns the socket (`ingest.query.exchange`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import structlog
from pydicom import Dataset
from pynetdicom import evt

from ingest.errors import AssociationLost, BadMessage, IngestError
from ingest.node.connection import Connection
from ingest.node.messages import Message
from ingest.node.reactor import ReactorAssociation
from ingest.node.wire import CommandKind, Field
from ingest.query.answers import answer_writer
from ingest.query.errors import UnreadableIdentifier
from ingest.query.exchange import Cancelled, FindExchange
from ingest.query.identifier import Identifier, read_identifier
from ingest.query.models import MODELS, Model
from ingest.query.negotiation import agreed, agreement
from ingest.query.query import Search
from ingest.query.trail import Asked
from ingest.service import Context, Handler
from ingest.status import StatusClass, error_comment
from search.base import Engine
from search.errors import BadQuery, IndexUnavailable, SearchError

_MODEL_OF: Final = {model.find_class: model for model in MODELS}
_LOG = structlog.get_logger(__name__)


class FindStatus(IntEnum):
    """DIMSE status codes of C-FIND alone (PS3.4 Table C.4-1)."""

    PENDING = 0xFF00
    PENDING_WITH_UNSUPPORTED_KEYS = 0xFF01
    CANCELLED = 0xFE00


@dataclass(frozen=True, slots=True, kw_only=True)
class FindSettings:
    """How queries are answered.

    Parameters
    ----------
    ae_title
        Ours, told as Retrieve AE Title.
    most_answers
        Of one query; beyond it ends with A700.
    patience_s
        A peer that takes no answers for this long is given up.
    """

    ae_title: str
    most_answers: int = 100_000
    patience_s: float = 30.0


class FindService:
    """Answers C-FIND from the index.

    Parameters
    ----------
    on_query
        Told of each query when it has ended.
    """

    def __init__(self, engine: Engine, settings: FindSettings, *, on_query: Callable[[Asked], None]) -> None:
        self._engine = engine
        self._settings = settings
        self._on_query = on_query

    def contexts(self) -> Iterable[Context]:
        """Return the information models."""
        return tuple(Context(abstract_syntax=model.find_class) for model in MODELS)

    def handlers(self) -> Iterable[Handler]:
        """Return what puts itself before pynetdicom, and what answers the extended negotiation."""
        return (
            (evt.EVT_REQUESTED, self.on_requested),
            (evt.EVT_SOP_EXTENDED, _extended),
            (evt.EVT_C_FIND, _malformed),
        )

    def on_requested(self, event: evt.Event) -> None:
        """Look at each message of this association before pynetdicom does."""
        association = event.assoc
        assert isinstance(association, ReactorAssociation)
        association.dul.receivers.append(_Receiver(self, association))

    def serve(self, association: ReactorAssociation, message: Message, model: Model) -> None:
        """Serve one request to its end."""
        query = _Query(self._engine, self._settings, association, message, model)
        try:
            query.serve()
        finally:
            self._on_query(query.told())


class _Receiver:
    """Takes C-FIND requests off one association."""

    def __init__(self, service: FindService, association: ReactorAssociation) -> None:
        self._service = service
        self._association = association

    def take(self, _connection: Connection, message: Message) -> bool:
        """See `Receiver.take`."""
        try:
            model = self._model(message)
        except BadMessage:
            return False  # pynetdicom finds the same, and says so to the peer
        if model is None:
            return False
        timer = self._association.dul._idle_timer
        timer.stop()  # the peer waits for us
        self._service.serve(self._association, message, model)
        timer.restart()
        return True

    def _model(self, message: Message) -> Model | None:
        """Return the model that is asked in; None if this is no query of ours."""
        command = message.command
        if message.kind != CommandKind.C_FIND_RQ or command.number(Field.MESSAGE_ID) is None:
            return None
        if message.context_id not in self._association._accepted_cx:
            return None
        return _MODEL_OF.get(command.text(Field.AFFECTED_SOP_CLASS_UID))


class _Query:
    """One C-FIND request while it is answered."""

    def __init__(
        self,
        engine: Engine,
        settings: FindSettings,
        association: ReactorAssociation,
        message: Message,
        model: Model,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._association = association
        self._model = model
        self._syntax = str(association._accepted_cx[message.context_id].transfer_syntax[0])
        self._exchange = FindExchange(association, message, patience_s=settings.patience_s)
        self._identifier: Identifier | None = None
        self._hits = 0
        self._outcome = "failed"

    def serve(self) -> None:
        """Answer it; a peer that is gone is not told, one that sends what can't be read is cut off."""
        try:
            self._outcome, status, comment = self._answered()
            self._exchange.end(status, comment)
        except BadMessage:
            self._outcome = "failed"
            self._exchange.refuse()
        except (AssociationLost, OSError) as error:
            self._outcome = "failed"
            _LOG.warning("query.lost", level=self._level, peer=self._peer, error=str(error))

    def told(self) -> Asked:
        """Return what the journal keeps of it."""
        keys = self._identifier.keys if self._identifier else ()
        return Asked(
            peer=self._peer,
            address=self._association.requestor.address or "",
            model=self._model.name,
            level=self._level,
            hits=self._hits,
            outcome=self._outcome,
            keys={key.keyword: key.value[:256] for key in keys if key.keyword and key.value},
        )

    @property
    def _peer(self) -> str:
        return str(self._association.requestor.ae_title).strip()

    @property
    def _level(self) -> str:
        return self._identifier.level.value if self._identifier else ""

    def _answered(self) -> tuple[str, int, str]:
        """Send the answers; return the outcome, and status and Error Comment of the final response."""
        encoded = self._exchange.identifier()
        try:
            return self._found(encoded)
        except Cancelled:
            return "cancelled", FindStatus.CANCELLED, ""
        except (AssociationLost, BadMessage, OSError):
            raise
        except (IngestError, SearchError) as error:
            status = error.status if isinstance(error, IngestError) else _status_of(error)
            _LOG.warning("query.refused", code=error.code, level=self._level, peer=self._peer)
            outcome = "refused" if status == StatusClass.DOES_NOT_MATCH else "failed"
            return outcome, status, error_comment(error.code, str(error))
        except Exception as error:  # noqa: BLE001 - whatever a query made fail, the association goes on
            _LOG.error("query.broke", level=self._level, peer=self._peer, exc_info=error)
            return "failed", StatusClass.CANNOT_UNDERSTAND, error_comment(IngestError.code, type(error).__name__)

    def _found(self, encoded: bytes) -> tuple[str, int, str]:
        settings, exchange = self._settings, self._exchange
        self._identifier = read_identifier(encoded, self._syntax, self._model)
        behaviour = agreed(self._association, self._model)
        search = Search(self._model, self._identifier, behaviour, ae_title=settings.ae_title)
        writer = answer_writer(search.asked, self._identifier.character_sets, self._syntax)
        status = FindStatus.PENDING_WITH_UNSUPPORTED_KEYS if search.has_unsupported else FindStatus.PENDING
        for chosen in search.answers(self._engine, pause=exchange.pause):
            if self._hits >= settings.most_answers:
                too_many = f"More than {settings.most_answers} answers: ask closer"
                return "refused", StatusClass.OUT_OF_RESOURCES, too_many
            self._hits += 1
            exchange.put(status, writer.write(chosen))
        return "done", StatusClass.SUCCESS, ""


def _malformed(_event: evt.Event) -> Iterator[tuple[Dataset, None]]:
    """Answer a request whose command set can't be read strictly: it was left to pynetdicom, which reads more."""
    answer = Dataset()
    answer.Status = int(StatusClass.CANNOT_UNDERSTAND)
    answer.ErrorComment = error_comment(UnreadableIdentifier.code, "The request is malformed")
    yield answer, None


def _extended(event: evt.Event) -> Mapping[str, bytes]:
    asked: Mapping[str, bytes] = getattr(event, "app_info")  # noqa: B009 - an attribute of this event alone
    return {uid: agreement(bytes(told)) for uid, told in asked.items() if uid in _MODEL_OF}


def _status_of(error: SearchError) -> StatusClass:
    if isinstance(error, BadQuery):
        return StatusClass.DOES_NOT_MATCH
    return StatusClass.OUT_OF_RESOURCES if isinstance(error, IndexUnavailable) else StatusClass.CANNOT_UNDERSTAND
