"""Joins the parts through which things come in: spool, filer and DICOM node of one house."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import structlog

from archive.errors import ArchiveError
from archive.headers import Identifier
from ingest.dataset.limits import Limits
from ingest.filing.filed import Filed, Spooled
from ingest.filing.filer import Filer
from ingest.filing.ports import Pace, Ports
from ingest.filing.reader import IsolatedReader
from ingest.folders.import_folder import ImportLimits, ImportLine, ImportReport, import_paths
from ingest.node import Node, NodeSettings
from ingest.service import Service
from ingest.spool.arrival import Held
from ingest.spool.spool import Spool, SpoolLimits
from lastgate.committing import commitment_service_of, patients_with_any
from lastgate.importing import keeping_of
from lastgate.keeping import end_disposals, end_former_keys
from lastgate.listening import bound
from lastgate.notifying import recording_of
from lastgate.peering import check_peering, peers_of, server_tls_of
from lastgate.procedures import step_service_of
from lastgate.querying import find_service_of
from lastgate.retrieving import retrieve_service_of
from lastgate.ruling import judge_anew
from lastgate.wiring import House, utc_now
from storage.errors import StorageError

_CHAINED_EVERY_S = 60.0
_MEND_S = 30.0
_FILED_WITHIN_S = 25.0  # many senders wait no longer than half a minute
_AT_ONCE = Pace(gather_s=0.0, longest_gather_s=0.0, quiet_s=0.0)  # a sender waits for each object
_LOG = structlog.get_logger(__name__)


def filer_of(house: House, *, own: Path | None = None) -> Filer:
    """Return the filer of this node; only one process at a time gets to work with it.

    Parameters
    ----------
    own
        The spool folder of this process; what lies in others is read in a process that may die of it.
    """
    ports = Ports(
        store=house.stores.work,
        facts=house.facts,
        on_facts=house.on_facts,
        record=recording_of(house),
        clock=utc_now,
        find_instances=lambda uids: patients_with_any(house, uids),
    )
    limits = Limits()
    return Filer(
        house.home / "spool",
        ports,
        grace=timedelta(seconds=house.settings.spool_grace_s),
        limits=limits,
        pace=Pace() if house.settings.acknowledge == "spooled" else _AT_ONCE,
        reader=IsolatedReader(limits),
        own=own,
    )


def services_of(house: House) -> tuple[Service, ...]:
    """Return what the node of a house offers beside verification and storage; each service is joined here.

    It is called in the process that offers them: what a service opens is not shared with the others.
    """
    return (
        commitment_service_of(house),
        find_service_of(house),
        retrieve_service_of(house),
        step_service_of(house),
    )


def take_in(
    house: House,
    paths: Sequence[Path],
    *,
    patient: Identifier | None = None,
    on_progress: Callable[[ImportLine], None] | None = None,
    as_files: bool = False,
) -> ImportReport:
    """Import files and return what became of each, once their facts are folded.

    Where a running node files for this house, it is waited for.

    Parameters
    ----------
    as_files
        Whether packages are taken for the files in them; see `ImportLimits`.
    """
    with spool_of(house, f"import-{uuid4().hex}") as spool:
        filer = filer_of(house, own=spool.folder.path)
        return import_paths(
            paths,
            spool,
            patient=patient,
            issuer=house.settings.node.issuer,
            settle=lambda numbers: filer.settle(spool.folder.journal, numbers),
            on_progress=on_progress,
            keep_package=keeping_of(house),
            limits=ImportLimits(as_files=as_files),
        )


class Reception:
    """The node of a house with its filer, while they run in this process."""

    def __init__(self, house: House, port: int, spool: Spool) -> None:
        self.house = house
        self.port = port
        self._filer = filer_of(house, own=spool.folder.path)

    def file(self) -> Counter[str]:
        """File at once what has come in and return how many objects became what."""
        return self._filer.drain()

    @contextmanager
    def filing(self, stop: threading.Event) -> Iterator[None]:
        """File beside the receiving until the block ends or `stop` is set."""
        thread = threading.Thread(target=keep_filing, args=(self.house, stop), name="filer")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def prepare(house: House) -> None:
    """Prove on the stores what the archive relies on, and end what a crash interrupted.

    Raises
    ------
    StoreUnfit
        A store does not keep what it must: nothing may be received.
    SettingsError
        A rule for a peer, or a file of TLS, can't be used.
    """
    check_peering(house.settings.node)
    for store in {id(one): one for one in (house.stores.work, house.stores.locked)}.values():
        store.self_test()
    end_former_keys(house)
    end_begun(house)


def end_begun(house: House) -> None:
    """End seals that were interrupted, journal and index acts after whose fact this node was.

    Nothing of it keeps the node from receiving: what can't be ended now is tried again.
    """
    begun = (partial(end_disposals, house), partial(judge_anew, house, is_thorough=True))
    for end in (house.desk.resume, house.desk.catch_up, *begun):
        try:
            end()
        except Exception as error:  # noqa: BLE001 - a store, an index or one damaged dossier: others must not wait for it
            _LOG.error("desk.interrupted", error=f"{type(error).__name__}: {error}")


def keep_filing(house: House, stop: threading.Event) -> None:
    """File until `stop` is set.

    Whatever ails the filer, receiving goes on: what comes in is safe in the spool and is filed when it is mended.
    """
    filer = filer_of(house)
    while not stop.is_set():
        try:
            filer.run(stop)
        except Exception as error:  # noqa: BLE001 - a filer that ends would file nothing, one that waits may be mended
            _LOG.critical("filer.failed", error=f"{type(error).__name__}: {error}")
            stop.wait(_MEND_S)


def keep_chained(house: House, stop: threading.Event) -> None:
    """Every minute until `stop` is set, end what was interrupted and chain events into the journal."""
    while not stop.wait(timeout=_CHAINED_EVERY_S):
        end_begun(house)
        try:
            house.journal.flush()
        except (StorageError, ArchiveError) as error:  # what waits is safe in the outbox; the node goes on receiving
            _LOG.warning("journal.waits", code=error.code, error=str(error))


@contextmanager
def spool_of(house: House, worker: str, *, log_mb: int = 0) -> Iterator[Spool]:
    """Open the spool of one process of this node.

    Parameters
    ----------
    log_mb
        See `SpoolLimits.log_bytes`: for a process that receives for long.
    """
    limits = SpoolLimits(log_bytes=log_mb * 1024 * 1024)
    spool = Spool(house.home / "spool" / worker, clock=utc_now, limits=limits)
    try:
        yield spool
    finally:
        spool.close()


@contextmanager
def node_of(house: House, spool: Spool, *, workers: int = 1) -> Iterator[Node]:
    """Build the DICOM node of a house, not yet listening; it has stopped when the block ends.

    Parameters
    ----------
    workers
        How many processes share the port, and the associations that are taken at once: each gets its part of them.
    """
    settings = house.settings.node
    with _acknowledging(house, spool) as settled:
        node = Node(
            NodeSettings(
                ae_title=settings.aet,
                bind=settings.host,
                port=settings.port,
                checks_called_ae=settings.require_called_aet,
                peers=peers_of(settings),
                associations=-(-settings.most_associations // workers),
                processes=workers,
                issuer=settings.issuer,
            ),
            spool,
            services=services_of(house),
            settled=settled,
            record=house.journal.append,
            tls=server_tls_of(settings),
        )
        try:
            yield node
        finally:
            node.stop()


@contextmanager
def _acknowledging(house: House, spool: Spool) -> Iterator[Callable[[Held], None]]:
    """Yield what is called between an arrival being safe and its sender being told so."""
    if house.settings.acknowledge == "spooled":
        yield Spooled(house.home / "spool")
    else:
        with Filed(spool.folder, within_s=_FILED_WITHIN_S) as filed:
            yield filed


@contextmanager
def receiving(house: House, *, port: int | None = None) -> Iterator[Reception]:
    """Run the DICOM node of a house in this process; `port` 0 takes a free one."""
    with (
        bound(house.settings, port=port) as listeners,
        spool_of(house, f"node-{uuid4().hex}") as spool,
        node_of(house, spool) as node,
    ):
        listeners.listen()
        yield Reception(house, node.start(listeners.plain, listeners.tls), spool)
