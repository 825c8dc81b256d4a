"""What the node does when a peer asks for something: a thin edge that unpacks, calls the spool and translates."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import structlog
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE

from archive.facts import Source
from ingest.arrival import Held
from ingest.errors import IngestError
from ingest.judge import Announced, judge_network
from ingest.part10 import FileLayout, file_header
from ingest.receiving import ReceivedFile
from ingest.spool import Spool
from ingest.status import StatusClass, error_comment

_LOG = structlog.get_logger(__name__)
_PIECE_BYTES: Final = 1 << 20
_META_AT: Final = 132


class StoreHandler:
    """Takes C-STORE requests into the spool.

    Parameters
    ----------
    spool
        Where they go; success is answered only after it returned.
    issuer, issuers
        Issuer of patient identifiers that name none: by calling AE title, else the first.
    """

    def __init__(self, spool: Spool, *, issuer: str, issuers: Mapping[str, str]) -> None:
        self._spool = spool
        self._issuer = issuer
        self._issuers = dict(issuers)

    def on_c_echo(self, _event: evt.Event) -> int:
        """Answer that we are here."""
        return StatusClass.SUCCESS

    def on_c_store(self, event: evt.Event) -> Dataset:
        """Take one instance in and answer what became of it."""
        try:
            held = self._take(event)
        except IngestError as error:
            _LOG.warning("store.refused", code=error.code, association=event.assoc.name)
            return _answer(int(error.status), error_comment(error.code, str(error)))
        refusal = held.arrival.refusal
        if refusal is not None:
            _LOG.warning("store.quarantined", code=refusal.code, association=event.assoc.name)
            return _answer(refusal.status, error_comment(refusal.code, refusal.message))
        return _answer(StatusClass.SUCCESS)

    def on_closed(self, event: evt.Event) -> None:
        """Remove what a peer that vanished had sent of a data set."""
        message = event.assoc.dimse.message
        unfinished = getattr(message, "_data_set_file", None)
        if isinstance(unfinished, ReceivedFile):
            unfinished.discard()

    def _take(self, event: evt.Event) -> Held:
        request, context = event.request, event.context
        if not isinstance(request, C_STORE):
            raise IngestError("This is no storage request")
        received: object = request._dataset_file
        if not isinstance(received, ReceivedFile):
            raise IngestError("The request carries no data set")
        received.finish()
        source = _source(event)
        announced = Announced(
            sop_class_uid=_uid(request.AffectedSOPClassUID), sop_instance_uid=_uid(request.AffectedSOPInstanceUID)
        )
        header = file_header(
            sop_class_uid=announced.sop_class_uid,
            sop_instance_uid=announced.sop_instance_uid,
            transfer_syntax_uid=str(context.transfer_syntax),
        )
        layout = FileLayout(dataset_offset=len(header), transfer_syntax_uid=str(context.transfer_syntax))
        return self._spool.receive(
            _pieces(header, Path(received.name)),
            judge_network(layout=layout, announced=announced, limits=self._spool.dataset_limits),
            source=source,
            batch=event.assoc.name,
            issuer=self._issuers.get(source.name, self._issuer),
        )


def _pieces(header: bytes, path: Path) -> Iterator[bytes]:
    """Yield our header and then the data set, which lies in pynetdicom's file behind pynetdicom's header."""
    yield header
    with path.open("rb") as stream:
        stream.seek(_META_AT)
        first = stream.read(12)  # (0002,0000): how long the rest of the meta group is
        stream.seek(int.from_bytes(first[8:], "little"), os.SEEK_CUR)
        while piece := stream.read(_PIECE_BYTES):
            yield piece


def _source(event: evt.Event) -> Source:
    requestor = event.assoc.requestor
    asked = requestor.primitive
    called = asked.called_ae_title.strip() if asked is not None else ""
    return Source(kind="dicom", name=requestor.ae_title.strip(), called=called, address=requestor.address or "")


def _uid(value: object) -> str:
    """Return a UID of the command set as it may stand in a file header."""
    text = str(value or "").strip(" \0")
    return text if text.isascii() else ""


def _answer(status: int, comment: str = "") -> Dataset:
    answer = Dataset()
    answer.Status = int(status)
    if comment:
        answer.ErrorComment = comment
    return answer
