"""The Storage service (PS3.4 Annex B): a thin edge that unpacks C-STORE requests, calls the spool and translates."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.association import Association

from archive.facts.receipts import Source
from ingest.dataset.part10 import FileLayout, file_header
from ingest.errors import IngestError, NotAllowed, OutOfResources, TooLarge
from ingest.judge import Announced, judge_network
from ingest.node.fast_receive import Begun
from ingest.node.wire import Field
from ingest.service import Context, Handler
from ingest.spool.arrival import Held
from ingest.spool.incoming import Incoming
from ingest.spool.spool import Spool
from ingest.status import StatusClass, error_comment

_LOG = structlog.get_logger(__name__)
_DRAINED_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreTerms:
    """On which terms an association may store.

    Parameters
    ----------
    source
        What receipts say of the peer.
    may_store
        Says of a SOP class whether instances of it are taken.
    issuer
        Issuer of patient identifiers that name none.
    character_set
        Specific Character Set of data sets that declare none.
    object_bytes
        The longest instance that is taken; None leaves it to the spool.
    """

    source: Source
    may_store: Callable[[str], bool]
    issuer: str = ""
    character_set: str = ""
    object_bytes: int | None = None


class StorageService:
    """Takes C-STORE requests into the spool.

    Parameters
    ----------
    spool
        Where they go; success is answered only after it returned.
    terms
        Says on which terms an association may store.
    settled
        Called with each arrival once the spool has it and before it is answered; what it raises is the answer.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        terms: Callable[[Association], StoreTerms],
        settled: Callable[[Held], None] | None = None,
    ) -> None:
        self.spool = spool
        self.settled = settled
        self._terms = terms

    def contexts(self) -> Iterable[Context]:
        """Return nothing: every storage class is taken, listed or not (`_config.UNRESTRICTED_STORAGE_SERVICE`)."""
        return ()

    def handlers(self) -> Iterable[Handler]:
        """Return what answers a C-STORE request that carries no data set; all others come by `receive`."""
        return ((evt.EVT_C_STORE, _without_data_set),)

    def receive(self, association: Association, begun: Begun) -> "StoreReception":
        """Begin to take in the data set of a C-STORE request (`ingest.node.fast_receive.Store`)."""
        return StoreReception(self, begun, batch=association.name, terms=self._terms(association))


class StoreReception:
    """One data set on its way into the spool.

    The first failure is remembered and the rest of the bytes is thrown away: so
    the peer gets an answer (A700) instead of a broken connection. Of one that
    is too long not much more is listened to.
    """

    def __init__(self, service: StorageService, begun: Begun, *, batch: str, terms: StoreTerms) -> None:
        self._service = service
        self._batch = batch
        self._terms = terms
        self._announced = Announced(
            sop_class_uid=_uid(begun.command.get(Field.AFFECTED_SOP_CLASS_UID, b"")),
            sop_instance_uid=_uid(begun.command.get(Field.AFFECTED_SOP_INSTANCE_UID, b"")),
        )
        self._syntax = str(begun.context.transfer_syntax[0])
        self._incoming: Incoming | None = None
        self._failure: IngestError | None = None
        self._thrown_bytes = 0
        self._dataset_offset = 0
        self._begin(is_provider=bool(begun.context.as_scp))

    def write(self, fragment: memoryview) -> bool:
        """Take a fragment; False if it is long past its limit, and no more is listened to."""
        if self._incoming is not None:
            self._append(fragment)
        else:
            self._thrown_bytes += len(fragment)
        return not isinstance(self._failure, TooLarge) or self._thrown_bytes <= _DRAINED_BYTES

    def finish(self) -> tuple[int, str]:
        """Make it safe and return what is answered."""
        try:
            held = self._keep()
            if self._service.settled is not None:
                self._service.settled(held)
        except IngestError as error:
            _LOG.warning("store.refused", code=error.code, association=self._batch)
            return int(error.status), error_comment(error.code, str(error))
        finally:
            self.discard()
        refusal = held.arrival.refusal
        if refusal is None:
            return StatusClass.SUCCESS, ""
        _LOG.warning("store.quarantined", code=refusal.code, association=self._batch)
        return refusal.status, error_comment(refusal.code, refusal.message)

    def discard(self) -> None:
        """Throw away what was not kept."""
        if self._incoming is not None:
            self._incoming.discard()
            self._incoming = None

    def _begin(self, *, is_provider: bool) -> None:
        sop_class = self._announced.sop_class_uid
        if not (is_provider and self._terms.may_store(sop_class)):
            self._failure = NotAllowed(f"{self._terms.source.name} may not store instances of {sop_class}")
            return
        header = file_header(
            sop_class_uid=self._announced.sop_class_uid,
            sop_instance_uid=self._announced.sop_instance_uid,
            transfer_syntax_uid=self._syntax,
        )
        self._dataset_offset = len(header)
        try:
            self._incoming = self._service.spool.begin(object_bytes=self._terms.object_bytes)
        except OutOfResources as error:
            self._failure = error
        else:
            self._append(header)

    def _append(self, piece: bytes | memoryview) -> None:
        assert self._incoming is not None
        try:
            self._incoming.write(piece)
        except OutOfResources as error:
            self._failure = error
            self.discard()

    def _keep(self) -> Held:
        if self._incoming is None:
            raise self._failure or IngestError("It was thrown away")
        layout = FileLayout(dataset_offset=self._dataset_offset, transfer_syntax_uid=self._syntax)
        judge = judge_network(
            layout=layout,
            announced=self._announced,
            limits=self._service.spool.dataset_limits,
            digesting=False,  # the sender waits; the filer reads it anyway
        )
        terms = self._terms
        return self._incoming.keep(
            judge,
            source=terms.source,
            batch=self._batch,
            issuer=terms.issuer,
            character_set=terms.character_set,
        )


def _uid(raw: bytes) -> str:
    """Return a UID of the command set as it may stand in a file header; empty if it holds what no UID may."""
    text = raw.strip(b" \0")
    return text.decode("ascii") if text.isascii() else ""


def _without_data_set(event: evt.Event) -> Dataset:
    _LOG.warning("store.refused", code=IngestError.code, association=event.assoc.name)
    answer = Dataset()
    answer.Status = int(StatusClass.PROCESSING_FAILURE)
    answer.ErrorComment = error_comment(IngestError.code, "The request carries no data set")
    return answer
