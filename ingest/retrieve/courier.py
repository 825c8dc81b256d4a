"""Works on the sends that wait: sends what is not stored yet, notes how far it came, tries again later."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from archive.facts.receipts import PatientKey, Receipt
from archive.journal.journal import Event
from archive.vault.places import Places
from ingest.errors import NotSent
from ingest.retrieve.outgoing import Sender, Sent
from ingest.retrieve.parcel import Parcel
from ingest.retrieve.peer import Peer
from ingest.retrieve.queue import CLAIM, Found, QueuedSend, Refusal, SendQueue
from storage.errors import StorageError

_LOOK_S: Final = 5.0
_NOTED_EVERY: Final = 50
_NOTED_AFTER: Final = timedelta(seconds=5)
_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierPorts:
    """What the courier is handed by the wiring.

    Parameters
    ----------
    instances
        Returns the receipts of instances of a patient; those that are not there are left out.
    places, sender
        Read instances and send them.
    peer
        Returns how a title at this host and port is reached: over TLS where its rule says so.
    record
        Takes events for the journal.
    clock
        Aware UTC.
    holder
        Names this process among all that may work on sends.
    """

    instances: Callable[[PatientKey, Iterable[str]], tuple[Receipt, ...]]
    places: Places
    sender: Sender
    peer: Callable[[str, str, int], Peer]
    record: Callable[[Event], None]
    clock: Callable[[], datetime]
    holder: str


class Courier:
    """Sends what waits in a queue."""

    def __init__(self, queue: SendQueue, ports: CourierPorts) -> None:
        self._queue = queue
        self._ports = ports

    def run(self, stop: threading.Event) -> None:
        """Send what is due until `stop` is set; what is on its way then goes on waiting."""
        while not stop.is_set():
            try:
                self.turn(stop)
            except StorageError as error:
                _LOG.warning("sends.wait", code=error.code, error=str(error))
            stop.wait(_LOOK_S)

    def turn(self, stop: threading.Event) -> int:
        """Try everything that is due once and return how many sends were worked on."""
        count = 0
        for found in list(self._queue.all()):
            now = self._ports.clock()
            if stop.is_set():
                break
            if found.send.is_past(now):
                self._queue.forget(found)
            elif found.send.is_due(now):
                claimed = self._claim(found)
                if claimed is not None:
                    _Delivery(self._queue, self._ports, claimed, stop).run()
                    count += 1
        return count

    def _claim(self, found: Found) -> Found | None:
        now = self._ports.clock()
        return self._queue.save(found, replace(found.send, holder=self._ports.holder, held_until=now + CLAIM))


class _Delivery:
    """One try of one send."""

    def __init__(self, queue: SendQueue, ports: CourierPorts, found: Found, stop: threading.Event) -> None:
        self._queue = queue
        self._ports = ports
        self._found: Found | None = found
        self._send = found.send
        self._stop = stop
        self._stored: set[str] = set()
        self._refused: list[Refusal] = []
        self._reason = ""
        self._noted = 0
        self._noted_at = ports.clock()

    def run(self) -> None:
        """Send what is not stored yet and note what came of it."""
        send, ports = self._send, self._ports
        receipts = ports.instances(send.patient, send.waiting)
        self._refuse_missing(receipts)
        parcels = (Parcel.of_receipt(one, ports.places) for one in receipts)
        broken_off = threading.Event()
        sending = ports.sender.send(parcels, ports.peer(send.aet, send.host, send.port), stop=broken_off)
        try:
            for sent in sending:
                if sent is not None:
                    self._take(sent)
                self._note_in_time()
                if self._stop.is_set() or self._found is None:
                    broken_off.set()
                    break
        except NotSent as error:
            self._reason = str(error)
        finally:
            sending.close()  # type: ignore[attr-defined]
        self._end()

    def _refuse_missing(self, receipts: Iterable[Receipt]) -> None:
        there = {one.header.sop_instance_uid for one in receipts}
        missing = [uid for uid in self._send.waiting if uid not in there]
        self._refused += [
            Refusal(uid=uid, reason="The archive no longer holds it under this patient") for uid in missing
        ]

    def _take(self, sent: Sent) -> None:
        uid = sent.parcel.sop_instance_uid
        if sent.is_stored:
            self._stored.add(uid)
        elif sent.is_passing:
            self._reason = sent.reason
        else:
            self._refused.append(Refusal(uid=uid, status=sent.status, reason=sent.reason))

    def _so_far(self) -> QueuedSend:
        over = self._stored | {one.uid for one in self._refused}
        return replace(
            self._send,
            waiting=tuple(uid for uid in self._send.waiting if uid not in over),
            stored=self._send.stored + len(self._stored),
            refused=(*self._send.refused, *self._refused),
        )

    def _note_in_time(self) -> None:
        """Note how far it came, so that a restart sends nothing twice, and hear of a cancel."""
        now = self._ports.clock()
        is_much = len(self._stored) - self._noted >= _NOTED_EVERY
        if is_much or now - self._noted_at >= _NOTED_AFTER:
            self._noted, self._noted_at = len(self._stored), now
            self._save(replace(self._so_far(), held_until=now + CLAIM))

    def _save(self, send: QueuedSend) -> bool:
        """Save it; False if somebody was quicker: who cancelled it is heard."""
        if self._found is not None:
            self._found = self._queue.save(self._found, send)
        return self._found is not None

    def _end(self) -> None:
        now, send = self._ports.clock(), self._so_far()
        if not send.waiting:
            send = send.ended("refused" if send.refused else "done", now)
        elif self._stop.is_set():
            send = replace(send, holder="", held_until=None)
        else:
            send = send.tried_in_vain(self._reason, now)
        outcome = send.state if self._save(send) else "cancelled"
        if outcome == "given-up":
            _LOG.error("send.given_up", id=send.id, peer=send.aet, left=len(send.waiting), reason=send.reason)
        self._record(send, outcome)

    def _record(self, send: QueuedSend, outcome: str) -> None:
        subject: dict[str, object] = {
            "send": send.id,
            "dossier": send.dossier,
            "peer": f"{send.aet}@{send.host}:{send.port}",
            "stored": len(self._stored),
            "waiting": len(send.waiting),
            "refused": len(send.refused),
        }
        if self._reason:
            subject["reason"] = self._reason
        self._ports.record(Event(act="send", account=send.account, subject=subject, outcome=outcome))
