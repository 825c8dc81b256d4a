"""Acts that are interrupted after their fact: the next start journals and indexes them, once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from archive.desk.desk import Desk
from archive.facts.decisions import Close
from archive.model import DossierState
from tests.archive.house import DOCTOR, FILE_MANAGER, SmallHouse, completed
from tests.archive.stores import NOW, PowerCut
from tests.factories import course, other


@pytest.fixture
def house(tmp_path: Path) -> SmallHouse:
    return SmallHouse(tmp_path)


def acts(house: SmallHouse) -> Counter[str]:
    house.journal.flush()
    return Counter(event["act"] for event in house.journal.events())


@contextmanager
def dying_at(part: object, call: str) -> Iterator[None]:
    """Let the process die when it comes to this call of a part of the house, within the block."""
    with mock.patch.object(part, call, side_effect=PowerCut), pytest.raises(PowerCut):
        yield


@pytest.mark.parametrize("at", ["pay", "strike"])
def test_catch_up_when_an_act_was_interrupted_after_its_fact_then_it_is_journalled_once_and_indexed(
    house: SmallHouse, at: str
) -> None:
    key = house.receive(course("plan", fractions=5))
    (dossier,) = house.desk.record(key).dossiers
    with dying_at(house.journal, at):
        house.desk.close(key, dossier.id, completed(), account=DOCTOR)
    house.refreshed.clear()

    counts = [house.desk.catch_up(), house.desk.catch_up()]

    assert counts == [1, 0]
    assert acts(house)["close"] == 1
    assert house.refreshed == [key]


def test_catch_up_when_the_fact_was_never_stored_then_nothing_is_journalled_and_the_note_goes_in_time(
    house: SmallHouse,
) -> None:
    key = house.receive(course("plan", fractions=5))
    (dossier,) = house.desk.record(key).dossiers
    with dying_at(house.facts, "write_decision"):
        house.desk.close(key, dossier.id, completed(), account=DOCTOR)

    assert house.desk.catch_up() == 0
    assert len(house.journal.owed()) == 1  # another process may be about to store it
    object.__setattr__(house.desk, "clock", lambda: NOW + timedelta(days=2))
    assert house.desk.catch_up() == 0

    assert house.journal.owed() == []
    assert acts(house)["close"] == 0


def test_catch_up_when_somebody_else_got_the_number_then_only_what_stands_is_journalled(house: SmallHouse) -> None:
    key = house.receive(course("plan", fractions=5))
    (dossier,) = house.desk.record(key).dossiers
    with dying_at(house.facts, "write_decision"):
        house.desk.close(key, dossier.id, completed(), account=DOCTOR)
    other_end = Close(plan_uids=(), outcome="died", last_date=completed().last_date, reason="told by the family")
    house.desk.close(key, dossier.id, other_end, account=DOCTOR)

    assert house.desk.catch_up() == 0
    assert house.journal.owed() == []
    assert acts(house)["close"] == 1


def test_resume_when_the_vault_holds_a_seal_the_facts_do_not_tell_of_then_it_is_recorded(house: SmallHouse) -> None:
    key, dossier = house.ready()
    with dying_at(house.facts, "write_decision"):
        house.desk.seal(key, dossier.id, account=FILE_MANAGER)
    assert house.vault.inventory(dossier.id) is not None
    assert house.desk.dossier(key, dossier.id).state is DossierState.READY

    assert [house.desk.resume(), house.desk.resume()] == [1, 0]

    assert house.desk.dossier(key, dossier.id).state is DossierState.SEALED
    assert acts(house)["seal"] == 1


def test_carry_out_when_a_late_process_ends_version_one_after_version_two_then_the_root_stays_at_two(
    house: SmallHouse,
) -> None:
    key, dossier = house.sealed()
    house.receive([other("report", "plan dose")])
    house.desk.seal(key, dossier.id, account=FILE_MANAGER)
    (first, _) = house.vault.begun(dossier.id)

    house.vault.carry_out(first, retain_until=None)

    inventory = house.vault.inventory(dossier.id)
    assert inventory is not None
    assert inventory["head"] == "v2"
    assert list(house.vault.check(dossier.id)) == []


def test_seal_when_another_process_is_between_vault_and_facts_then_its_seal_is_ended_and_not_called_broken(
    house: SmallHouse,
) -> None:
    """It gets to the vault after we looked for seals that were begun."""
    key, dossier = house.ready()
    look = Desk._finish_begun
    looks: list[bool] = []

    def look_too_early(desk: Desk, *of: Any) -> bool:
        looks.append(True)
        if len(looks) > 1:
            return look(desk, *of)
        with mock.patch.object(Desk, "_finish_begun", return_value=False), dying_at(house.facts, "write_decision"):
            house.desk.seal(key, dossier.id, account=DOCTOR)
        return False

    with mock.patch.object(Desk, "_finish_begun", look_too_early):
        sealed = house.desk.seal(key, dossier.id, account=FILE_MANAGER)

    assert (sealed.state, sealed.version) == (DossierState.SEALED, 1)
    assert acts(house)["seal"] == 1
