"""Joins Storage Commitment of a house: what answers requests, and the work behind it."""

import os
import threading
from collections.abc import Collection
from datetime import timedelta
from typing import Any

import structlog

from archive.facts.receipts import PatientKey
from archive.model import Dossier
from ingest.commitment.answering import Answering, Ports
from ingest.commitment.asking import Answers, Asking
from ingest.commitment.calling import Line
from ingest.commitment.copies import Copies, Pace
from ingest.commitment.evidence import Evidence
from ingest.commitment.references import Failure, Reference
from ingest.commitment.requests import OwnRequest, OwnRequests
from ingest.commitment.service import CommitmentService
from ingest.commitment.settings import CommitmentSettings
from ingest.commitment.spooled import spooled_instances
from ingest.commitment.stages import Stages
from ingest.commitment.telling import SameAssociation, Telling
from ingest.commitment.transactions import Asked, State, Transactions
from ingest.peers import Destination
from ingest.peers.tls import client_arguments
from ingest.retrieve.sender import Peer
from lastgate.peering import peers_of, tls_files_of
from lastgate.wiring import House, open_house, utc_now
from search.kinds import Kind
from search.query import MAX_LIMIT, MAX_LISTED_VALUES, Query

_MEND_S = 30.0
_LOG = structlog.get_logger(__name__)


def commitment_service_of(house: House) -> CommitmentService:
    """Return what takes requests for commitment in this process."""
    transactions = Transactions(house.stores.work)
    waiting = SameAssociation(
        transactions,
        holder=f"{house.settings.node.id}-{os.getpid()}",
        clock=utc_now,
        stages=_stages(house),
    )
    return CommitmentService(transactions, waiting, _answers(house), node=house.settings.node.id, clock=utc_now)


def keep_committing(house: House, stop: threading.Event) -> None:
    """Answer requests for commitment until `stop` is set; one process of a node does it.

    It has a house of its own: it waits for copies to be read, and for requestors, for as long as that takes.
    """
    while not stop.is_set():
        try:
            with open_house(house.settings) as own:
                asking = threading.Thread(target=asking_of(own).run, args=(stop,), name="commitment-asking")
                asking.start()
                try:
                    answering_of(own, stop).run(stop)
                finally:
                    asking.join()
        except Exception as error:  # noqa: BLE001 - what is asked is kept: it is answered when this is mended
            _LOG.critical("commitment.failed", error=f"{type(error).__name__}: {error}")
            stop.wait(_MEND_S)


def answering_of(house: House, stop: threading.Event) -> Answering:
    """Return what works on the requests this node took."""
    settings = settings_of(house)
    transactions = Transactions(house.stores.work)
    pace = Pace(settings.bytes_per_s, wait=stop.wait)
    copies = Copies(work=house.stores.work, locked=house.stores.locked, vault=house.vault, pace=pace)
    ports = Ports(
        transactions=transactions,
        evidence=Evidence(
            house.facts, copies, lambda uids: patients_with_any(house, uids), least_copies=settings.least_copies
        ),
        stages=_stages(house),
        telling=Telling(transactions, line_of(house), peers_of(house.settings.node).destination),
        spooled=lambda: spooled_instances(house.home / "spool"),
        record=house.journal.append,
        clock=utc_now,
    )
    return Answering(house.settings.node.id, ports, settings)


def settings_of(house: House) -> CommitmentSettings:
    """Return how commitment behaves in this house."""
    told = house.settings.commitment
    return CommitmentSettings(
        ae_title=house.settings.node.aet,
        unknown_after=timedelta(seconds=told.unknown_after_s),
        same_association=timedelta(seconds=told.same_association_s),
        least_copies=told.least_copies,
        bytes_per_s=told.read_mb_per_s * 1_000_000,
    )


def patients_with_any(house: House, instance_uids: Collection[str]) -> frozenset[PatientKey]:
    """Return under which patients any of these instances is known, by the index."""
    uids = sorted(instance_uids)
    found: set[PatientKey] = set()
    for start in range(0, len(uids), MAX_LISTED_VALUES):
        page = tuple(uids[start : start + MAX_LISTED_VALUES])
        query = Query(kind=Kind.SERIES, instance_uids=page, limit=MAX_LIMIT)
        found.update(PatientKey(hit.patient_key) for hit in house.hits(query))
    return frozenset(found)


def asking_of(house: House) -> Asking:
    """Return what asks others for commitment."""
    return Asking(_answers(house), line_of(house))


def ask_for_dossier(house: House, dossier: Dossier, peer: Peer, *, refused: Collection[str]) -> dict[str, Any]:
    """Ask a peer to answer for the DICOM objects of a dossier it was sent, but for those it `refused`."""
    references = [
        Reference(held.header.sop_class_uid, held.header.sop_instance_uid)
        for held in dossier.instances
        if held.header.sop_instance_uid and held.header.sop_instance_uid not in refused
    ]
    known = peers_of(house.settings.node).destination(peer.aet)
    destination = Destination(aet=peer.aet, host=peer.host, port=peer.port)
    if known is not None and (known.host, known.port) == (peer.host, peer.port):
        destination = known  # its rule says whether over TLS
    return request_answer(asking_of(house).ask(destination, references, dossier=dossier.id))


def _answers(house: House) -> Answers:
    return Answers(requests=OwnRequests(house.stores.work), record=house.journal.append, clock=utc_now)


def line_of(house: House) -> Line:
    files = tls_files_of(house.settings.node)
    return Line(house.settings.node.aet, lambda destination: client_arguments(destination, files))


def _stages(house: House) -> Stages:
    return Stages(settings_of(house), record=house.journal.append, clock=utc_now)


def commitments_of(house: House) -> dict[str, Any]:
    """Return all requests for commitment that are kept, as `lastgate commitments --json` prints them."""
    transactions = Transactions(house.stores.work)
    asked = [_told(one.asked, one.state, transactions.failures(one) or ()) for one in transactions.open()]
    asked += [_told(one.asked, one.state, one.failures) for one in transactions.closed()]
    return {
        "asked_of_us": sorted(asked, key=lambda one: str(one["received_at"])),
        "asked_by_us": sorted(
            (request_answer(one) for one in OwnRequests(house.stores.work).all()), key=lambda one: str(one["asked_at"])
        ),
    }


def request_answer(request: OwnRequest) -> dict[str, Any]:
    """Return a request of ours and its answer as JSON tells it."""
    peer = request.peer
    return {
        "transaction_uid": request.transaction_uid,
        "peer": f"{peer.aet}@{peer.host}:{peer.port}",
        "asked_at": request.asked_at.isoformat(),
        "dossier": request.dossier,
        "instances": len(request.references),
        "stage": request.stage,
        "answered_at": request.answered_at and request.answered_at.isoformat(),
        "failures": _failures(request.failures),
        "reason": request.reason,
    }


def _told(asked: Asked, state: State, failures: Collection[Failure]) -> dict[str, Any]:
    return {
        "transaction_uid": asked.transaction_uid,
        "requestor": asked.requestor,
        "received_at": asked.received_at.isoformat(),
        "instances": asked.count,
        "stage": state.stage,
        "failures": _failures(failures),
        "tries": state.tries,
        "reason": state.reason,
    }


def _failures(failures: Collection[Failure]) -> list[dict[str, str]]:
    return [{"uid": one.sop_instance_uid, "reason": f"{one.reason:04X}"} for one in failures]
