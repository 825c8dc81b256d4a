"""Telling peers what was filed (N-CREATE of Instance Availability Notification; PS3.4 R.3.2).

A peer gets one notice for each study, gathered over some seconds, so that a
series is not told slice by slice. One that can't be reached is told later;
after a week without success the notice is dropped: it is a courtesy, and what
is filed can be asked for.
"""

import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import structlog

from archive.facts.receipts import RECEIPT, Receipt
from archive.journal.journal import Event
from ingest.availability.notices import Notice, Notices
from ingest.commitment.calling import Line, status_of
from ingest.commitment.errors import NotTold, Unreachable
from ingest.commitment.stages import FIRST_PAUSE, is_taken, is_transient
from ingest.commitment.telling import FindDestination
from ingest.patience import pause_after
from storage.base import ObjectStore
from storage.errors import ObjectMissing, StorageError

if TYPE_CHECKING:
    from pydicom import Dataset
    from pynetdicom.association import Association

AVAILABILITY_NOTIFICATION: Final = "1.2.840.10008.5.1.4.33"

_GATHERED: Final = timedelta(seconds=10)
_GIVES_UP_AFTER: Final = timedelta(days=7)
_TICK_S: Final = 5.0
_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """Notes what was filed, for each peer that wants to know.

    Parameters
    ----------
    peers
        Titles of these peers.
    """

    notices: Notices
    peers: Collection[str]
    clock: Callable[[], datetime]

    def note(self, events: Iterable[Event]) -> None:
        """Take the events of the filer; a store that is away costs the notice, never the filing."""
        for event in events:
            receipts = event.subject.get("receipts")
            if event.act != "receive" or not isinstance(receipts, str) or not receipts:
                continue
            for peer in self.peers:
                try:
                    self.notices.add(Notice(peer=peer, receipts=receipts, filed_at=self.clock()))
                except StorageError as error:
                    _LOG.warning("availability.not_kept", code=error.code, peer=peer)


@dataclass(slots=True)
class _Pause:
    """How long a peer that could not be told is left alone."""

    tries: int
    until: datetime


class Notifying:
    """Gives notices.

    Parameters
    ----------
    store
        Where receipts lie.
    retrieve_aet
        Our title, by which instances can be had.
    """

    def __init__(
        self,
        notices: Notices,
        store: ObjectStore,
        line: Line,
        find_destination: FindDestination,
        *,
        retrieve_aet: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._notices = notices
        self._store = store
        self._line = line
        self._find_destination = find_destination
        self._retrieve_aet = retrieve_aet
        self._clock = clock
        self._pauses: dict[str, _Pause] = {}

    def run(self, stop: threading.Event) -> None:
        """Give notices until `stop` is set."""
        while not stop.is_set():
            try:
                self.round()
            except StorageError as error:
                _LOG.warning("availability.waits", code=error.code, error=str(error))
            stop.wait(_TICK_S)

    def round(self) -> None:
        """Give once what is to be given now, peer by peer."""
        now = self._clock()
        waiting: dict[str, list[Notice]] = {}
        for notice in self._notices.waiting():
            waiting.setdefault(notice.peer, []).append(notice)
        for peer, notices in waiting.items():
            pause = self._pauses.get(peer)
            is_gathered = now - min(one.filed_at for one in notices) >= _GATHERED
            if is_gathered and (pause is None or pause.until <= now):
                self._give(peer, notices, now)

    def _give(self, peer: str, notices: list[Notice], now: datetime) -> None:
        try:
            self._tell(peer, notices)
        except NotTold as error:
            tries = self._pauses[peer].tries + 1 if peer in self._pauses else 1
            self._pauses[peer] = _Pause(tries, now + pause_after(tries - 1, first=FIRST_PAUSE))
            _LOG.warning("availability.not_told", peer=peer, code=error.code, error=str(error))
            for notice in notices:
                if now - notice.filed_at > _GIVES_UP_AFTER:
                    self._notices.remove(notice)
        else:
            self._pauses.pop(peer, None)
            for notice in notices:
                self._notices.remove(notice)

    def _tell(self, peer: str, notices: list[Notice]) -> None:
        destination = self._find_destination(peer)
        if destination is None:
            raise Unreachable(f"No rule says where {peer} takes associations")
        studies: dict[str, list[Receipt]] = {}
        for notice in notices:
            for receipt in self._receipts(notice.receipts):
                if receipt.header.sop_instance_uid:
                    studies.setdefault(receipt.header.study_uid, []).append(receipt)
        if not studies:
            return
        with self._line.call(destination, AVAILABILITY_NOTIFICATION) as association:
            for study_uid, receipts in studies.items():
                self._create(association, _notification(study_uid, receipts, self._retrieve_aet), peer)

    def _create(self, association: "Association", told: "Dataset", peer: str) -> None:
        try:
            answer, _ = association.send_n_create(told, AVAILABILITY_NOTIFICATION, f"2.25.{uuid4().int}")
        except (RuntimeError, ValueError) as error:  # it was released or broke meanwhile
            raise NotTold(f"The association with {peer} ended: {error}") from error
        status = status_of(answer)
        if is_transient(status):
            raise NotTold(f"{peer} answered {status:04X}")
        if not is_taken(status):
            _LOG.warning("availability.refused", peer=peer, status=f"{status:04X}")

    def _receipts(self, key: str) -> list[Receipt]:
        try:
            body = self._store.read_bytes(key)
        except ObjectMissing:
            return []
        return [RECEIPT.validate_json(line) for line in body.splitlines() if line]


def _notification(study_uid: str, receipts: Iterable[Receipt], retrieve_aet: str) -> "Dataset":
    """Return what is told of one study (PS3.4 table R.3.2-1)."""
    from pydicom import Dataset

    series: dict[str, list[Dataset]] = {}
    for header in {one.header.sop_instance_uid: one.header for one in receipts}.values():
        instance = Dataset()
        instance.ReferencedSOPClassUID = header.sop_class_uid
        instance.ReferencedSOPInstanceUID = header.sop_instance_uid
        instance.InstanceAvailability = "ONLINE"
        instance.RetrieveAETitle = retrieve_aet
        series.setdefault(header.series_uid, []).append(instance)
    told = Dataset()
    told.ReferencedPerformedProcedureStepSequence = []
    told.StudyInstanceUID = study_uid
    told.ReferencedSeriesSequence = [_series(uid, instances) for uid, instances in series.items()]
    return told


def _series(uid: str, instances: "list[Dataset]") -> "Dataset":
    from pydicom import Dataset

    one = Dataset()
    one.SeriesInstanceUID = uid
    one.ReferencedSOPSequence = instances
    return one
