"""Work shared by processes gives what one alone gives, in the same order."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.errors import NotFound
from lastgate import jobs
from lastgate.jobs import each
from lastgate.rebuilding import folds_of_all
from lastgate.settings import NodeSettings, Settings
from lastgate.wiring import House, open_house
from tests.ingest.datasets import write_file


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(Settings(home=tmp_path / "home", node=NodeSettings(port=0))) as opened:
        yield opened


def name_of(house: House, unit: str) -> str:
    """Return what shows that a process was given a house of the same settings."""
    return f"{unit} in {house.home.name}"


def fail(house: House, unit: str) -> str:
    """Fail at one unit."""
    if unit == "40":
        raise NotFound(f"there is no {unit}")
    return unit


def test_each_when_few_units_are_there_then_they_are_done_here(house: House) -> None:
    seen: list[House] = []

    def work(given: House, unit: str) -> str:
        seen.append(given)
        return unit

    assert list(each(house, work, iter("abc"), processes=4)) == ["a", "b", "c"]
    assert seen == [house, house, house]


def test_each_when_processes_share_the_work_then_the_order_stays_and_errors_come_through(house: House) -> None:
    units = [str(number) for number in range(100)]

    assert list(each(house, name_of, units, processes=2)) == [f"{unit} in home" for unit in units]
    done = each(house, fail, units, processes=2)
    assert [next(done) for _ in range(40)] == units[:40]
    with pytest.raises(NotFound, match="there is no 40"):
        next(done)


def test_rebuild_when_processes_share_the_work_then_the_folds_are_those_of_one(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lastgate.reception import take_in

    monkeypatch.setattr(jobs, "WORTH_A_POOL", 3)
    take_in(house, [write_file(tmp_path / f"{number}.dcm", patient=f"P{number}") for number in range(6)])

    alone = list(folds_of_all(house, processes=1))

    assert len(alone) == 6
    assert list(folds_of_all(house, processes=2)) == alone
