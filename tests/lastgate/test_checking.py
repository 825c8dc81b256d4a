"""Looking at planned doses: the finding that asks for it goes, and what can't be read now is tried again."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lastgate.checking import UNCHECKED, check_doses, keep_checking
from lastgate.reception import take_in
from lastgate.sample import Department
from lastgate.settings import Settings
from lastgate.wiring import House, open_house
from search.kinds import Kind
from search.query import Query


@pytest.fixture
def house(sample_department: Department, tmp_path: Path) -> Iterator[House]:
    """An archive with one course, whose dose nobody has looked at."""
    patient = next(one for one in sample_department.patients if one.patient_id == "SAMPLE-0003")
    with open_house(Settings(home=tmp_path / "node")) as opened:
        take_in(opened, list(patient.paths))
        yield opened


def _codes(house: House) -> set[str]:
    return {one["code"] for hit in house.hits(Query(kind=Kind.DOSSIER)) for one in hit.body["findings"]}


def test_check_doses_when_a_plan_was_not_looked_at_then_its_finding_goes_and_nothing_is_computed_twice(
    house: House,
) -> None:
    assert UNCHECKED in _codes(house)
    assert check_doses(house) == 1
    assert UNCHECKED not in _codes(house)
    assert check_doses(house) == 0


def test_check_doses_when_the_index_is_built_anew_then_what_was_found_out_is_still_there(house: House) -> None:
    check_doses(house)
    before = _codes(house)
    house.rebuild()
    assert _codes(house) == before


def test_check_doses_when_what_was_found_out_is_lost_then_it_is_computed_again(house: House) -> None:
    check_doses(house)
    shutil.rmtree(house.home / "archive" / "derived")
    house.rebuild()
    assert UNCHECKED in _codes(house)
    assert check_doses(house) == 1


def test_keep_checking_when_an_object_can_not_be_read_then_it_is_tried_again_in_the_next_turn(house: House) -> None:
    (hit,) = house.hits(Query(kind=Kind.DOSSIER))
    (dose,) = {held.receipt.key for held in house.dossier(hit.body["id"])[1].plans[0].doses}
    path = house.home / "archive" / dose
    away = path.with_name("away")
    turns: list[set[str]] = []

    def goes_on(wait_s: float) -> bool:
        if not wait_s:
            return True
        turns.append(_codes(house))
        if len(turns) == 1:
            path.rename(away)
        elif len(turns) == 2:
            away.rename(path)
        return len(turns) < 4

    keep_checking(house, goes_on)
    assert [UNCHECKED in one for one in turns] == [True, True, False, False]
