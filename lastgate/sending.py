"""Sends a dossier to another node, its digests checked on the way out: at once, or from the queue until it is there."""

import os
import threading
from datetime import timedelta
from typing import Any

import structlog

from archive.errors import Ambiguous, NotFound
from archive.journal.journal import Event
from archive.model import Dossier, Held
from ingest.errors import BadPeer, IngestError
from ingest.retrieve.courier import Courier, CourierPorts
from ingest.retrieve.outgoing import Sent
from ingest.retrieve.parcel import Parcel
from ingest.retrieve.peer import Peer
from ingest.retrieve.queue import QueuedSend, SendQueue, new_id
from lastgate.retrieving import known_peers_of, locator_of, sender_of
from lastgate.wiring import House, open_house, utc_now

_MEND_S = 30.0
_CANCELLABLE = ("waiting", "given-up")
_LOG = structlog.get_logger(__name__)


def peer_of(house: House, text: str) -> Peer:
    """Return where to send: ``AET@HOST:PORT``, or the title of a system the settings know.

    Raises
    ------
    BadPeer
        It is neither.
    """
    known = known_peers_of(house)
    if "@" in text:
        parsed = Peer.parse(text)
        return known.at(parsed.aet, parsed.host, parsed.port)
    peer = known.destination(text)
    if peer is None:
        raise BadPeer(f"No rule tells where {text!r} is reached; write AET@HOST:PORT, such as TPS@10.0.0.7:104")
    return peer


def send_dossier(house: House, dossier: Dossier, peer: Peer) -> dict[str, Any]:
    """Send all DICOM objects of a dossier over C-STORE and return what became of each.

    The data sets go out as they came in, converted only where the peer can't
    take them so. The command names them by what they say themselves, not by the
    file meta group they arrived with, which may name another instance. An
    object whose bytes are no longer what was received is not sent, and is told.

    Raises
    ------
    NotSent
        The peer can't be reached or refuses.
    """
    objects = dicom_objects(dossier)
    subject: dict[str, object] = {"dossier": dossier.id, "peer": str(peer), "objects": len(objects)}
    refused = []
    try:
        for sent in sender_of(house).send((Parcel.of_receipt(one.receipt, house.places) for one in objects), peer):
            if sent is not None and not sent.is_stored:
                refused.append(_told(sent))
    except IngestError as error:
        journal_send(house, {**subject, "reason": error.code}, outcome="refused")
        raise
    journal_send(house, {**subject, "refused": len(refused)}, outcome="done")
    return {
        "dossier": dossier.id,
        "peer": str(peer),
        "objects": len(objects),
        "stored": len(objects) - len(refused),
        "refused": refused,
    }


def queue_dossier(house: House, dossier: Dossier, peer: Peer) -> dict[str, Any]:
    """Leave the sending of a dossier to the running node, which tries until it is there; return the queued send."""
    now = utc_now()
    send = QueuedSend(
        id=new_id(),
        account=house.settings.node.aet,
        asked_at=now,
        aet=peer.aet,
        host=peer.host,
        port=peer.port,
        patient=dossier.patient_key,
        dossier=dossier.id,
        waiting=tuple(held.uid for held in dicom_objects(dossier)),
        until=now + timedelta(days=house.settings.sending.retry_days),
    )
    SendQueue(house.stores.work).add(send)
    subject: dict[str, object] = {"send": send.id, "dossier": dossier.id, "peer": str(peer)}
    journal_send(house, {**subject, "objects": len(send.waiting)}, outcome="queued")
    return send_answer(send)


def queued_sends(house: House) -> list[dict[str, Any]]:
    """Return the sends that wait, and those that ended in the last days, the youngest first."""
    sends = [found.send for found in SendQueue(house.stores.work).all()]
    return [send_answer(one) for one in sorted(sends, key=lambda one: (one.asked_at, one.id), reverse=True)]


def cancel_send(house: House, beginning: str) -> dict[str, Any]:
    """Cancel a send that waits, or let go of one that was given up.

    Raises
    ------
    NotFound, Ambiguous
        No send that waits, or several, have an id that begins so.
    """
    queue = SendQueue(house.stores.work)
    ids = [one.send.id for one in queue.all() if one.send.id.startswith(beginning) and one.send.state in _CANCELLABLE]
    if len(ids) > 1:
        raise Ambiguous(f"{beginning!r} fits {len(ids)} sends")
    send = queue.cancel(ids[0], utc_now()) if ids else None
    if send is None:
        raise NotFound(f"No send that waits is called {beginning!r}", hint="Run `lastgate sends` to see what waits.")
    journal_send(house, {"send": send.id, "dossier": send.dossier}, outcome="cancelled")
    return send_answer(send)


def send_answer(send: QueuedSend) -> dict[str, Any]:
    """Return what is told of a queued send."""
    return {
        "id": send.id,
        "state": send.state,
        "dossier": send.dossier,
        "peer": f"{send.aet}@{send.host}:{send.port}",
        "asked_at": send.asked_at.isoformat(),
        "stored": send.stored,
        "waiting": len(send.waiting),
        "refused": [{"uid": one.uid, "status": _hex(one.status), "reason": one.reason} for one in send.refused],
        "tries": send.tries,
        "next_at": send.next_at.isoformat() if send.next_at else None,
        "until": send.until.isoformat(),
        "reason": send.reason,
    }


def courier_of(house: House) -> Courier:
    """Return what works on the queue."""
    ports = CourierPorts(
        instances=locator_of(house).instances,
        places=house.places,
        sender=sender_of(house),
        peer=known_peers_of(house).at,
        record=house.journal.append,
        clock=utc_now,
        holder=f"{house.settings.node.id}-{os.getpid()}",
    )
    return Courier(SendQueue(house.stores.work), ports)


def keep_sending(house: House, stop: threading.Event) -> None:
    """Send what is queued until `stop` is set; one process of a node does it.

    It has a house of its own: peers are waited for as long as that takes.
    """
    while not stop.is_set():
        try:
            with open_house(house.settings) as own:
                courier_of(own).run(stop)
        except Exception as error:  # noqa: BLE001 - what is queued is kept: it is sent when this is mended
            _LOG.critical("sending.failed", error=f"{type(error).__name__}: {error}")
            stop.wait(_MEND_S)


def dicom_objects(dossier: Dossier) -> list[Held]:
    """Return what of a dossier goes over DICOM: documents do not."""
    return [held for held in dossier.instances if held.header.sop_instance_uid]


def journal_send(house: House, subject: dict[str, object], *, outcome: str) -> None:
    """Write into the journal what was sent where to."""
    house.journal.append(Event(act="send", account=house.settings.node.aet, subject=subject, outcome=outcome))


def _told(sent: Sent) -> dict[str, Any]:
    return {"uid": sent.parcel.sop_instance_uid, "status": _hex(sent.status), "reason": sent.reason}


def _hex(status: int | None) -> str | None:
    return None if status is None else f"{status:04X}"
