"""Joins the parts through which things come in: spool, filer and DICOM node of one house."""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import structlog

from archive.headers import Identifier
from ingest.filer import Filer, Ports
from ingest.import_folder import ImportLine, ImportReport, import_paths
from ingest.node import Node, NodeSettings
from ingest.spool import Spool
from lastgate.settings import SettingsError
from lastgate.wiring import House, utc_now
from storage.errors import StorageError

_CHAINED_EVERY_S = 60.0
_MEND_S = 30.0
_LOG = structlog.get_logger(__name__)


def filer_of(house: House) -> Filer:
    """Return the filer of this node; only one process at a time gets to work with it."""
    ports = Ports(
        store=house.stores.work,
        facts=house.facts,
        on_facts=house.on_facts,
        record=house.journal.append,
        clock=utc_now,
        find_instance=house.patients_with,
    )
    return Filer(house.home / "spool", ports, grace=timedelta(seconds=house.settings.spool_grace_s))


def take_in(
    house: House,
    paths: Sequence[Path],
    *,
    patient: Identifier | None = None,
    on_progress: Callable[[ImportLine], None] | None = None,
) -> ImportReport:
    """Import files and return what became of each, once their facts are folded.

    Where a running node files for this house, it is waited for.
    """
    spool = Spool(house.home / "spool" / f"import-{os.getpid()}", clock=utc_now)
    filer = filer_of(house)
    try:
        return import_paths(
            paths,
            spool,
            patient=patient,
            issuer=house.settings.node.issuer,
            settle=lambda numbers: filer.settle(spool.folder.journal, numbers),
            on_progress=on_progress,
        )
    finally:
        spool.close()


class Reception:
    """The node of a house with its filer, while they run."""

    def __init__(self, house: House, port: int) -> None:
        self.house = house
        self.port = port
        self._filer = filer_of(house)

    def file(self) -> Counter[str]:
        """File at once what has come in and return how many objects became what."""
        return self._filer.drain()

    @contextmanager
    def filing(self, stop: threading.Event) -> Iterator[None]:
        """File beside the receiving until the block ends or `stop` is set.

        Whatever ails the filer, receiving goes on: what comes in is safe in the spool and is filed when it is mended.
        """
        thread = threading.Thread(target=self._file_until, args=(stop,), name="filer")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _file_until(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self._filer.run(stop)
            except Exception as error:  # noqa: BLE001 - a node that ends would lose what comes, a filer only waits
                _LOG.critical("filer.failed", error=f"{type(error).__name__}: {error}")
                stop.wait(_MEND_S)


@contextmanager
def receiving(house: House, *, port: int | None = None) -> Iterator[Reception]:
    """Run the DICOM node of a house; `port` 0 takes a free one."""
    settings = house.settings.node
    spool = Spool(house.home / "spool" / f"node-{os.getpid()}", clock=utc_now)
    node = Node(
        NodeSettings(
            ae_title=settings.aet,
            bind=settings.host,
            port=settings.port if port is None else port,
            checks_called_ae=settings.require_called_aet,
            associations=settings.most_associations,
            issuer=settings.issuer,
        ),
        spool,
    )
    try:
        yield Reception(house, _started(node, settings.host, settings.port if port is None else port))
    finally:
        node.stop()
        spool.close()


def _started(node: Node, host: str, port: int) -> int:
    try:
        return node.start()
    except OSError as error:
        raise SettingsError(
            f"The node can't listen on {host}:{port}: {error.strerror}. Stop what uses it, or set another node.port"
        ) from error


def serve_until(house: House, stop: threading.Event, *, on_start: Callable[[int], None]) -> None:
    """Receive and file until `stop` is set; events are chained into the journal every minute.

    Before that the stores prove what the archive relies on, and seals that a crash interrupted are ended.

    Raises
    ------
    StoreUnfit
        A store does not keep what it must; nothing is received.
    """
    for store in {id(one): one for one in (house.stores.work, house.stores.locked)}.values():
        store.self_test()
    house.desk.resume()
    with receiving(house) as reception, reception.filing(stop):
        on_start(reception.port)
        while not stop.wait(timeout=_CHAINED_EVERY_S):
            try:
                house.journal.flush()
            except StorageError as error:  # what waits is safe in the outbox; the node goes on receiving
                _LOG.warning("journal.waits", code=error.code, error=str(error))
