"""The query service: C-FIND as SCP in three information models (PS3.4 C.4.1, PS3.7 9.1.2)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import structlog
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.dsutils import decode

from ingest.dataset.encoding import DEFLATED_LITTLE, EXPLICIT_BIG, IMPLICIT_LITTLE
from ingest.errors import IngestError
from ingest.query.answers import AnswerWriter
from ingest.query.identifier import Identifier, read_identifier
from ingest.query.models import MODELS, Model
from ingest.query.negotiation import agreed, agreement
from ingest.query.query import Search
from ingest.query.stream import AnswerStream, PeerGone
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


Reply = tuple[int | Dataset, Dataset | None]
"""Status and identifier, as pynetdicom takes them."""


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
        """Return what answers C-FIND and the extended negotiation before it."""
        return ((evt.EVT_C_FIND, self._find), (evt.EVT_SOP_EXTENDED, _extended))

    def _find(self, event: evt.Event) -> Iterator[Reply]:
        request = event.request
        model = _MODEL_OF.get(str(request.AffectedSOPClassUID))
        if model is None or not isinstance(request, C_FIND):  # another service's, such as a worklist
            yield _failed(StatusClass.NO_SUCH_SOP_CLASS, "This class is not queried here"), None
            return
        asked = Request(self._engine, self._settings, event, request, model)
        try:
            yield from asked.replies()
        finally:
            self._on_query(asked.told())


class Request:
    """One C-FIND request while it is answered."""

    def __init__(self, engine: Engine, settings: FindSettings, event: evt.Event, request: C_FIND, model: Model) -> None:
        self._engine = engine
        self._settings = settings
        self._event = event
        self._request = request
        self._model = model
        self._identifier: Identifier | None = None
        self._hits = 0
        self._outcome = "failed"

    def replies(self) -> Iterator[Reply]:
        """Yield what pynetdicom shall send: the final status, and before it answers that can't be sent otherwise."""
        try:
            yield from self._answered()
        except PeerGone:
            self._outcome = "failed"  # nobody is there to be told
        except (IngestError, SearchError) as error:
            status = error.status if isinstance(error, IngestError) else _status_of(error)
            self._outcome = "refused" if status == StatusClass.DOES_NOT_MATCH else "failed"
            _LOG.warning("query.refused", code=error.code, level=self._level, peer=self._peer)
            yield _failed(status, error_comment(error.code, str(error))), None

    def told(self) -> Asked:
        """Return what the journal keeps of it."""
        keys = self._identifier.keys if self._identifier else ()
        return Asked(
            peer=self._peer,
            address=self._event.assoc.requestor.address or "",
            model=self._model.name,
            level=self._level,
            hits=self._hits,
            outcome=self._outcome,
            keys={key.keyword: key.value[:256] for key in keys if key.keyword and key.value},
        )

    @property
    def _peer(self) -> str:
        return str(self._event.assoc.requestor.ae_title).strip()

    @property
    def _level(self) -> str:
        return self._identifier.level.value if self._identifier else ""

    def _answered(self) -> Iterator[Reply]:
        event, model = self._event, self._model
        syntax = str(event.context.transfer_syntax)
        encoded = self._request.Identifier
        self._identifier = read_identifier(encoded.getvalue() if encoded else b"", syntax, model)
        search = Search(model, self._identifier, agreed(event.assoc, model), ae_title=self._settings.ae_title)
        writer = AnswerWriter(search.asked, self._identifier.character_sets, syntax)
        status = FindStatus.PENDING_WITH_UNSUPPORTED_KEYS if search.has_unsupported else FindStatus.PENDING
        stream = self._stream()
        for chosen in search.answers(self._engine):
            if self._event.is_cancelled:
                self._outcome = "cancelled"
                break
            if self._hits >= self._settings.most_answers:
                self._outcome = "refused"
                break
            self._hits += 1
            answer = writer.write(chosen)
            if stream is not None:
                stream.put(status, answer)
            else:
                yield int(status), _as_dataset(answer, syntax)
        else:
            self._outcome = "done"
        if stream is not None:
            stream.flush()
        yield self._final(), None

    def _final(self) -> int | Dataset:
        if self._outcome == "cancelled":
            return int(FindStatus.CANCELLED)
        if self._outcome == "refused":
            return _failed(StatusClass.OUT_OF_RESOURCES, f"More than {self._settings.most_answers} answers: ask closer")
        return int(StatusClass.SUCCESS)

    def _stream(self) -> AnswerStream | None:
        event = self._event
        if not AnswerStream.suits(event.assoc):
            return None
        return AnswerStream(
            event.assoc,
            context_id=event.context.context_id,
            sop_class_uid=self._model.find_class,
            message_id=self._request.MessageID or 0,
            patience_s=self._settings.patience_s,
        )


def _as_dataset(encoded: bytes, syntax: str) -> Dataset:
    from io import BytesIO

    return decode(
        BytesIO(encoded),
        syntax == IMPLICIT_LITTLE,
        syntax != EXPLICIT_BIG,
        syntax == DEFLATED_LITTLE,
    )


def _extended(event: evt.Event) -> Mapping[str, bytes]:
    asked: Mapping[str, bytes] = getattr(event, "app_info")  # noqa: B009 - an attribute of this event alone
    return {uid: agreement(bytes(told)) for uid, told in asked.items() if uid in _MODEL_OF}


def _status_of(error: SearchError) -> StatusClass:
    if isinstance(error, BadQuery):
        return StatusClass.DOES_NOT_MATCH
    return StatusClass.OUT_OF_RESOURCES if isinstance(error, IndexUnavailable) else StatusClass.CANNOT_UNDERSTAND


def _failed(status: StatusClass, comment: str) -> Dataset:
    answer = Dataset()
    answer.Status = int(status)
    answer.ErrorComment = comment[:64]
    return answer
