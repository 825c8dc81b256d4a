"""What an archive is doing when the blow comes, each as one process of the program does it."""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from archive.desk.accounts import Account, Role
from archive.errors import NotFound, Refused
from archive.facts.decisions import Close
from archive.journal.journal import Event
from archive.model import Dossier, DossierState
from ingest.folders.import_folder import import_paths
from ingest.spool.spool import Spool
from lastgate.reception import filer_of, node_of, prepare, spool_of
from lastgate.settings import NodeSettings, Settings
from lastgate.wiring import House, open_house
from search.kinds import Kind
from search.query import Query
from tests.faults.prepared import Deed, Say
from tests.faults.wholeness import Promised, wrongs

WORKER: Final = "worker-1"
_WHY: Final = "Seen and found in order."
_DEPARTMENT: Final = ("doctor", "physicist", "file-manager")


@contextmanager
def opened(home: Path, **settings: Any) -> Iterator[House]:
    """Open an archive as a command does."""
    with open_house(Settings(home=home, node=NodeSettings(port=0), **settings)) as house:
        yield house


def account(role: Role) -> Account:
    """Return the account that has this role."""
    return Account(name=f"the-{role}", role=role, password="")


def file_all(house: House) -> None:
    """File everything; what lies in the worker's spool is read in this process, which costs no other."""
    filer_of(house, own=house.home / "spool" / WORKER).drain()


def take(house: House, paths: list[Path]) -> None:
    """Take files into the spool, and no further."""
    with spool_of(house, WORKER) as spool:
        report = import_paths(paths, spool)
    assert {line.disposition for line in report.lines} == {"waiting"}, report.counts


def the_dossier(house: House) -> Dossier:
    """Return the only dossier of the archive; raises `NotFound`."""
    hit = next(house.hits(Query(kind=Kind.DOSSIER)), None)
    if hit is None:
        raise NotFound("There is no dossier")
    return house.dossier(hit.body["id"])[1]


def make_ready(house: House) -> None:
    """Close the only dossier, and sign whatever still holds it at the gate."""
    dossier = the_dossier(house)
    key, desk = dossier.patient_key, house.desk
    end = Close(plan_uids=(), outcome="completed", last_date=dossier.last_fraction)
    dossier = desk.close(key, dossier.id, end, account=account("doctor"))
    for finding in [one for one in dossier.findings if one.blocks]:
        for role in _DEPARTMENT:
            if role in finding.waivable_by:
                with suppress(NotFound, Refused):  # one signature was enough
                    desk.waive(key, dossier.id, finding.id, reason=_WHY, account=account(role))
    dossier = desk.dossier(key, dossier.id)
    assert dossier.state is DossierState.READY, [one.id for one in dossier.findings if one.blocks]


def _take(home: Path, say: Say, values: Mapping[str, Any]) -> None:
    with opened(home) as house:
        take(house, [Path(path) for path in values["paths"]])


def _spool(house: House, values: Mapping[str, Any]) -> AbstractContextManager[Spool]:
    return spool_of(house, WORKER, log_mb=values.get("log_mb", 0))


def _receive(home: Path, say: Say, values: Mapping[str, Any]) -> None:
    """Be the DICOM node until killed."""
    with opened(home) as house, _spool(house, values) as spool, node_of(house, spool) as node:
        say(node.start())
        while True:
            signal.pause()


def _receive_and_file(home: Path, say: Say, values: Mapping[str, Any]) -> None:
    """Be the DICOM node and its filer until killed."""
    with opened(home) as house, _spool(house, values) as spool, node_of(house, spool) as node:
        filer = filer_of(house, own=spool.folder.path)
        threading.Thread(target=filer.run, args=(threading.Event(),), daemon=True).start()
        say(node.start())
        while True:
            signal.pause()


def _file(home: Path, say: Say, values: Mapping[str, Any]) -> None:
    with opened(home) as house:
        file_all(house)


def _ready(home: Path, say: Say, values: Mapping[str, Any]) -> None:
    with opened(home) as house:
        make_ready(house)


def _seal(home: Path, say: Say, values: Mapping[str, Any]) -> None:
    """Seal the dossier, or add to it what came late."""
    with opened(home) as house:
        dossier = the_dossier(house)
        sealed = house.desk.seal(dossier.patient_key, dossier.id, account=account("file-manager"))
        say(sealed.version)


def _verify(home: Path, say: Say, values: Mapping[str, Any]) -> None:
    with opened(home) as house:
        say([problem for name in house.vault.dossiers() for problem in house.vault.check(name)])


def _rebuild(home: Path, say: Say, values: Mapping[str, Any]) -> None:
    with opened(home) as house:
        say(house.rebuild())


def _chain(home: Path, say: Say, values: Mapping[str, Any]) -> None:
    """Record what people look at, and chain it."""
    with opened(home) as house:
        for number in range(values["events"]):
            house.journal.append(Event(act="view", account="the-doctor", subject={"number": number}))
            say(number + 1)
        house.journal.flush()


def _restart(home: Path, say: Say, values: Mapping[str, Any]) -> None:
    """Start again as `lastgate serve` does, bring to its end what was begun, and say what is wrong then."""
    with opened(home) as house:
        prepare(house)
        file_all(house)
        house.journal.flush()
        promised = Promised(**values["promised"])
        for wrong in wrongs(house, promised):
            say(wrong)


DEEDS: Final[Mapping[str, Deed]] = {
    "take": _take,
    "receive": _receive,
    "receive and file": _receive_and_file,
    "file": _file,
    "ready": _ready,
    "seal": _seal,
    "verify": _verify,
    "rebuild": _rebuild,
    "chain": _chain,
    "restart": _restart,
}
