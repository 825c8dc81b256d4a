"""Sends instances to another node (C-STORE SCU): bytes go out as stored, the next is read while the peer files.

One sender for all who send: C-MOVE, ``lastgate send``, and the sends that are tried again.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

import structlog

from ingest.errors import AssociationLost, IngestError, NotSent
from ingest.node.wire import StoreRequest
from ingest.retrieve.association import Association, Kind, Patience
from ingest.retrieve.packing import NOT_TAKEN, Packed, PackedAhead, loads
from ingest.retrieve.parcel import Parcel
from ingest.retrieve.peer import Peer
from storage.errors import StorageError

_BEAT_S: Final = 1.0
_GATHERED_S: Final = 0.05
_MOST_LOSSES: Final = 2
_LARGEST_MESSAGE_ID: Final = 0xFFFF
LOST: Final = "The association was lost"
# PS3.7 C.4: refused for want of resources, and a failure while it was processed.
_OUT_OF_RESOURCES: Final = 0xA700
_PASSING: Final = frozenset({0x0110, 0x0213})
_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of one instance.

    Parameters
    ----------
    status
        DIMSE status the peer answered; None if it never answered.
    reason
        In plain words why it is not stored, empty if it is.
    is_passing
        Whether what kept it from being stored may be over another time: the peer was away, or had no room.
    """

    parcel: Parcel
    status: int | None = None
    reason: str = ""
    is_passing: bool = False

    @property
    def is_stored(self) -> bool:
        """Whether the peer said that it stored it (success or a warning, PS3.4 table B.2-1)."""
        return self.status == 0 or self.is_warning

    @property
    def is_warning(self) -> bool:
        """Whether it stored it, but not as it was sent: coerced elements, or some left out."""
        return self.status is not None and self.status & 0xF000 == 0xB000


@dataclass(frozen=True, slots=True, kw_only=True)
class Originator:
    """Whose C-MOVE a store is part of; told to the receiver (PS3.7 9.1.1.1.6)."""

    ae_title: str
    message_id: int


class Sender:
    """Stores instances at other nodes.

    Parameters
    ----------
    calling
        Our own application entity title.
    patience
        How long peers are waited for.
    associations
        How many are opened to one peer at once.
    folder
        For what is converted and too long for memory; None is the system's own for temporary files.
    """

    def __init__(
        self, *, calling: str, patience: Patience | None = None, associations: int = 1, folder: Path | None = None
    ) -> None:
        self._calling = calling
        self._patience = patience or Patience()
        self._associations = associations
        self._folder = folder

    def send(
        self,
        parcels: Iterable[Parcel],
        peer: Peer,
        *,
        originator: Originator | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[Sent | None]:
        """Send instances and yield what became of each; None whenever a second passed without news.

        They go over as few associations as their classes and transfer syntaxes
        allow. An association that is lost is asked for again; the instance it
        was lost with is not sent twice. With several associations at once the
        order of answers is not that of `parcels`.

        Parameters
        ----------
        stop
            Once it is set, what is on its way is broken off, and what is left is not told of any more.

        Raises
        ------
        NotSent
            The peer can't be reached or refuses before anything was sent.
        """
        is_first = True
        for kinds, there in loads(parcels):
            run = _Run(peer=peer, kinds=kinds, parcels=iter(there), originator=originator, stop=stop)
            if run.is_stopped():
                return
            try:
                opened = self._open(run)
            except NotSent as error:
                if is_first:
                    raise
                yield from (Sent(parcel=one, reason=str(error), is_passing=True) for one in there)
                continue
            is_first = False
            yield from self._over(run, opened, min(self._associations, len(there)))

    def _open(self, run: "_Run") -> Association:
        return Association.request(
            run.peer, run.kinds, calling=self._calling, patience=self._patience, is_stopped=run.is_stopped
        )

    def _over(self, run: "_Run", opened: Association, count: int) -> Iterator[Sent | None]:
        threads = [
            threading.Thread(target=self._worker, args=(run, opened if number == 0 else None), name=f"sending-{number}")
            for number in range(count)
        ]
        for thread in threads:
            thread.start()
        try:
            yield from run.answers(count)
        finally:
            run.ended.set()
            for thread in threads:
                thread.join()

    def _worker(self, run: "_Run", association: Association | None) -> None:
        try:
            self._work(run, association)
        finally:
            run.told.put(None)
            run.is_ending.set()

    def _work(self, run: "_Run", association: Association | None) -> None:
        """Send over one association until nothing is left; ask for another where it is lost."""
        losses = 0
        with PackedAhead(run, folder=self._folder) as ahead:
            try:
                while losses < _MOST_LOSSES and not run.is_stopped():
                    association = association or self._open(run)
                    packed = ahead.take(association.accepted)
                    if packed is None:
                        break
                    sent, is_whole = run.store(
                        association, packed, meanwhile=partial(ahead.look_ahead, association.accepted)
                    )
                    losses = losses + 1 if sent.reason == LOST else 0
                    association = association if is_whole else None
                    run.told.put(sent)
            except NotSent as error:
                run.reason = str(error)
            if association is not None:
                association.abort() if run.is_stopped() else association.release()
            if ahead.waiting is not None and not run.is_stopped():
                run.told.put(Sent(parcel=ahead.waiting, reason=run.reason, is_passing=True))


@dataclass(slots=True, kw_only=True)
class _Run:
    """What the threads that send to one peer share."""

    peer: Peer
    kinds: Sequence[Kind]
    parcels: Iterator[Parcel]
    originator: Originator | None
    stop: threading.Event | None
    reason: str = LOST
    told: "SimpleQueue[Sent | None]" = field(default_factory=SimpleQueue)
    is_ending: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _message_ids: Iterator[int] = field(default_factory=lambda: cycle(range(1, _LARGEST_MESSAGE_ID + 1)))

    def __iter__(self) -> Iterator[Parcel]:
        return self

    def __next__(self) -> Parcel:
        with self._lock:
            return next(self.parcels)

    def is_stopped(self) -> bool:
        """Return whether to break off."""
        return self.ended.is_set() or (self.stop is not None and self.stop.is_set())

    def store(self, association: Association, packed: Packed, *, meanwhile: Callable[[], None]) -> tuple[Sent, bool]:
        """Send one instance; return what became of it, and whether the association can be used again."""
        parcel = packed.parcel
        if packed.kind is None:
            return Sent(parcel=parcel, reason=packed.reason, is_passing=packed.is_passing), True
        context_id = association.accepted.get(packed.kind)
        if context_id is None:  # it was packed for an association that was lost, and this one agreed on less
            return Sent(parcel=parcel, reason=NOT_TAKEN), True
        try:
            answer = association.store(context_id, self._request(parcel), packed.pieces, meanwhile=meanwhile)
        except AssociationLost as error:
            _LOG.warning("send.lost", peer=str(self.peer), uid=parcel.sop_instance_uid, error=str(error))
            association.abort()
            return Sent(parcel=parcel, reason=LOST, is_passing=True), False
        except (IngestError, StorageError) as error:  # its bytes rotted, or proved unreadable, on the way
            _LOG.error("send.broken_off", uid=parcel.sop_instance_uid, code=error.code, error=str(error))
            association.abort()
            return Sent(parcel=parcel, reason=f"{error} ({error.code})", is_passing=True), False
        return answered(parcel, answer.status, answer.comment), True

    def _request(self, parcel: Parcel) -> StoreRequest:
        with self._lock:
            message_id = next(self._message_ids)
        return StoreRequest(
            message_id=message_id,
            sop_class_uid=parcel.sop_class_uid,
            sop_instance_uid=parcel.sop_instance_uid,
            originator_ae=self.originator.ae_title if self.originator else "",
            originator_message_id=self.originator.message_id if self.originator else None,
        )

    def answers(self, threads: int) -> Iterator[Sent | None]:
        """Yield what so many threads tell until each has said None, its last word; None each second without news.

        News gather for a moment: taking each as it comes would keep the threads that send from their work.
        """
        while threads:
            try:
                sent = self.told.get(timeout=_BEAT_S)
            except Empty:
                yield None
                continue
            if sent is None:
                threads -= 1
            else:
                yield sent
            if self.told.empty():
                self.is_ending.wait(_GATHERED_S)
        if not self.is_stopped():
            yield from (Sent(parcel=parcel, reason=self.reason, is_passing=True) for parcel in self)


def answered(parcel: Parcel, status: int, comment: str = "") -> Sent:
    """Return what became of an instance by the peer's answer."""
    sent = Sent(parcel=parcel, status=status)
    if sent.is_stored:
        return sent
    told = f": {comment}" if comment else ""
    is_passing = status in _PASSING or status & 0xFF00 == _OUT_OF_RESOURCES
    return Sent(parcel=parcel, status=status, reason=f"The peer answered {status:04X}{told}", is_passing=is_passing)
