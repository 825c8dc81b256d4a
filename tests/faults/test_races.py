"""Two processes seal the same dossier at the same moment, and clocks that go back."""

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from archive.errors import Refused
from storage.errors import Retained
from storage.filesystem import FilesystemStore
from tests.archive.house import FILE_MANAGER, SmallHouse
from tests.archive.stores import NOW
from tests.factories import other
from tests.faults.lives import States
from tests.faults.prepared import Prepared, prepared

Tell = Callable[[str, object], None]
RACES: Final = 20


@pytest.fixture(scope="module")
def rival() -> Iterator[Prepared]:
    """A second prepared process."""
    with prepared() as process:
        yield process


@pytest.mark.server
def test_seal_when_two_processes_seal_the_same_dossier_then_there_is_one_seal(
    states: States, prepared_process: Prepared, rival: Prepared, swift_path: Path, record_property: Tell
) -> None:
    racers = ThreadPoolExecutor(2)
    for number in range(RACES):
        home = Path(shutil.copytree(states.late if number % 2 else states.ready, swift_path / str(number)))
        ends = list(racers.map(Prepared.run, (prepared_process, rival), ("seal", "seal"), (home, home)))
        version = 2 if number % 2 else 1
        instances = states.late_instances if number % 2 else states.instances
        judged = prepared_process.done("restart", home, promised={"instances": instances, "sealed": version})

        assert list(judged.said) == [], number
        whys = [one.why.strip().splitlines()[-1] for one in ends]
        assert "done" in whys
        # Who came second may find the dossier sealed, or the number of his decision taken: he is told so.
        assert all(why == "done" or "Refused" in why or "FactClash" in why for why in whys), whys
        assert _seals(home) == version
        shutil.rmtree(home)
    racers.shutdown()
    record_property("faults", {"races of two processes for one seal": RACES})


def _seals(home: Path) -> int:
    """Return how many versions were recorded as sealed, told by the facts on the disk."""
    decisions = [json.loads(path.read_text()) for path in home.glob("archive/facts/*/*/d-*.json")]
    return sum(one["what"]["act"] == "seal" for one in decisions)


def test_seal_when_the_clock_was_set_back_then_it_is_refused_and_nothing_is_begun(tmp_path: Path) -> None:
    """A seal is evidence of its time: an addendum that is older than what it follows would be none."""
    house = SmallHouse(tmp_path)
    key, dossier = house.sealed()
    house.receive([other("report", "plan dose")])

    before = NOW - timedelta(days=30)
    object.__setattr__(house.desk, "clock", lambda: before)
    house.journal._clock = lambda: before
    with pytest.raises(Refused, match="before version v1 was sealed"):
        house.desk.seal(key, dossier.id, account=FILE_MANAGER)
    object.__setattr__(house.desk, "clock", lambda: NOW)
    dossier = house.desk.seal(key, dossier.id, account=FILE_MANAGER)

    assert (dossier.version, dossier.late) == (2, ())
    assert list(house.vault.check(dossier.id)) == []
    house.journal.flush()
    house.journal.verify()


def test_retention_when_the_clock_is_set_back_then_no_lock_ends_sooner(tmp_path: Path) -> None:
    until = NOW + timedelta(days=365)
    house = SmallHouse(tmp_path, until=until)
    house.sealed()
    back = FilesystemStore(house.locked_files.root, now=lambda: NOW - timedelta(days=4000))

    for stat in back.list("vault/"):
        if "/v1/" not in stat.key:
            continue
        back.retain_until(stat.version, NOW - timedelta(days=3000))  # 30 years by a clock that is wrong
        assert back.retention(stat.version) == until, stat.key
        with pytest.raises(Retained):
            back.delete(stat.key)
