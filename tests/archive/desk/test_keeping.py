"""Dossiers are kept for their term, longer where a person says so, and not given up while somebody holds them."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from archive.desk.accounts import Account
from archive.errors import NotFound, Refused
from archive.facts.decisions import SetHold
from archive.model import Dossier
from archive.vault import ocfl
from storage.errors import Retained
from tests.archive.desk.kept import ENDED, FIRST, KEPT_UNTIL, SECOND, KeptHouse
from tests.archive.house import ADMINISTRATOR, DOCTOR, FILE_MANAGER, PHYSICIST
from tests.factories import other, records, uid

LATE = other("report", "plan dose")


@pytest.fixture
def house(tmp_path: Path) -> KeptHouse:
    return KeptHouse(tmp_path)


def locks(house: KeptHouse, dossier: Dossier) -> set[datetime | None]:
    """Return the ends of the locks of all files that never move."""
    folder = ocfl.object_folder(dossier.id)
    moving = {f"{folder}/{name}" for name in (ocfl.INVENTORY, ocfl.SIDECAR)}
    stats = house.locked_files.list(f"{folder}/")
    return {house.locked_files.retention(stat.version) for stat in stats if stat.key not in moving}


def test_seal_then_all_its_files_are_locked_by_the_dossier_and_not_by_today(house: KeptHouse) -> None:
    house.at = datetime(2030, 1, 1, tzinfo=UTC)
    _, dossier = house.small.sealed()

    assert locks(house, dossier) == {ENDED}


def test_addendum_when_it_lengthens_the_course_then_files_of_earlier_versions_are_locked_longer_too(
    house: KeptHouse,
) -> None:
    key, dossier = house.small.sealed()
    house.small.receive(records(1, start=date(2024, 3, 11), first=6))
    later = house.desk.seal(key, dossier.id, account=FILE_MANAGER)

    assert later.version == 2
    assert locks(house, later) == {datetime(2054, 3, 12, 12, tzinfo=UTC)}


def test_keep_until_then_every_lock_is_longer_and_the_fact_tells_why(house: KeptHouse) -> None:
    key, dossier = house.small.sealed()

    kept = house.keeping.keep_until(key, dossier.id, until=date(2070, 5, 5), reason="a study", account=DOCTOR)

    assert (kept.retention.until, kept.retention.terms[0].source) == (date(2070, 5, 5), "dora: a study")
    assert locks(house, dossier) == {datetime(2070, 5, 6, 12, tzinfo=UTC)}
    assert house.events()[-1] == "keep"


@pytest.mark.parametrize(
    ("until", "reason"), [(KEPT_UNTIL, "a study"), (date(2030, 1, 1), "x"), (date(2070, 1, 1), " ")]
)
def test_keep_until_when_it_would_shorten_or_has_no_reason_then_it_is_refused(
    house: KeptHouse, until: date, reason: str
) -> None:
    key, dossier = house.small.sealed()

    with pytest.raises(Refused):
        house.keeping.keep_until(key, dossier.id, until=until, reason=reason, account=DOCTOR)
    assert locks(house, dossier) == {ENDED}


def test_keep_until_when_the_dossier_is_not_sealed_then_no_term_runs_yet(house: KeptHouse) -> None:
    key, dossier = house.small.ready()

    with pytest.raises(Refused, match="not sealed"):
        house.keeping.keep_until(key, dossier.id, until=date(2070, 1, 1), reason="x", account=DOCTOR)


def test_state_death_then_the_term_after_death_counts_and_the_locks_follow(house: KeptHouse) -> None:
    key, dossier = house.small.sealed()
    house.at = datetime(2053, 1, 1, tzinfo=UTC)

    (kept,) = house.keeping.state_death(key, day=date(2052, 12, 24), reason="register", account=DOCTOR)

    assert (kept.retention.until, kept.retention.terms[0].code) == (date(2060, 12, 24), "DEATH")
    assert locks(house, dossier) == {datetime(2060, 12, 25, 12, tzinfo=UTC)}


@pytest.mark.parametrize("day", [date(2024, 7, 2), date(1900, 1, 1)])
def test_state_death_when_nobody_can_have_died_then_then_it_is_refused(house: KeptHouse, day: date) -> None:
    key, _ = house.small.sealed()

    with pytest.raises(Refused):
        house.keeping.state_death(key, day=day, reason="register", account=DOCTOR)


def test_hold_then_it_is_told_and_lasts_until_a_retention_officer_lifts_it(house: KeptHouse) -> None:
    key, dossier = house.small.sealed()

    assert house.keeping.hold(key, dossier.id, held=True, reason="court", account=DOCTOR) is False
    kept = house.keeping.kept(key, dossier.id)
    assert kept.hold is not None
    assert isinstance(kept.hold.what, SetHold)
    assert (kept.hold.account, kept.hold.what.reason) == ("dora", "court")
    with pytest.raises(Refused, match="may not lift"):
        house.keeping.hold(key, dossier.id, held=False, reason="over", account=DOCTOR)
    house.keeping.hold(key, dossier.id, held=False, reason="over", account=FIRST)

    assert house.keeping.kept(key, dossier.id).hold is None
    assert house.events()[-2:] == ["hold", "lift-hold"]
    with pytest.raises(Refused, match="No hold stands"):
        house.keeping.hold(key, dossier.id, held=False, reason="over", account=FIRST)


def test_hold_of_an_open_dossier_then_it_stands_once_that_is_sealed(house: KeptHouse) -> None:
    key, dossier = house.small.ready()
    house.keeping.hold(key, dossier.id, held=True, reason="court", account=DOCTOR)
    house.desk.seal(key, dossier.id, account=FILE_MANAGER)

    assert house.keeping.kept(key, dossier.id).hold is not None


@pytest.mark.parametrize("account", [DOCTOR, PHYSICIST, FILE_MANAGER, ADMINISTRATOR])
def test_disposal_when_somebody_else_than_a_retention_officer_asks_then_it_is_refused(
    house: KeptHouse, account: Account
) -> None:
    key, dossier = house.ended()

    with pytest.raises(Refused, match="may not dispose"):
        house.keeping.ask_disposal(key, dossier.id, reason="its term is over", account=account)
    house.keeping.ask_disposal(key, dossier.id, reason="its term is over", account=FIRST)
    with pytest.raises(Refused, match="may not sign"):
        house.keeping.confirm_disposal(key, dossier.id, account=account)
    assert house.vault.inventory(dossier.id) is not None


@pytest.mark.parametrize("early", [timedelta(seconds=1), timedelta(days=1), timedelta(days=3650)])
def test_disposal_when_the_retention_has_not_ended_then_it_is_refused(house: KeptHouse, early: timedelta) -> None:
    key, dossier = house.ended()
    house.at = ENDED - early

    assert not house.keeping.kept(key, dossier.id).is_due(house.at)
    with pytest.raises(Refused, match="kept until 2054-03-08"):
        house.keeping.ask_disposal(key, dossier.id, reason="its term is over", account=FIRST)


def test_disposal_when_a_store_locks_longer_than_the_rules_then_it_is_refused(house: KeptHouse) -> None:
    key, dossier = house.ended()
    version = house.locked_files.stat(house.object_keys(dossier)[3]).version
    house.locked_files.retain_until(version, ENDED + timedelta(days=1))

    with pytest.raises(Refused, match="The store keeps the dossier locked until 2054-03-10"):
        house.keeping.ask_disposal(key, dossier.id, reason="its term is over", account=FIRST)


def test_disposal_when_it_is_on_hold_then_it_is_refused_on_asking_and_on_confirming(house: KeptHouse) -> None:
    key, dossier = house.ended()
    house.keeping.ask_disposal(key, dossier.id, reason="its term is over", account=FIRST)
    house.keeping.hold(key, dossier.id, held=True, reason="court", account=DOCTOR)

    for attempt in (
        lambda: house.keeping.confirm_disposal(key, dossier.id, account=SECOND),
        lambda: house.keeping.ask_disposal(key, dossier.id, reason="again", account=FIRST),
    ):
        with pytest.raises(Refused, match="on hold"):
            attempt()
    assert house.vault.inventory(dossier.id) is not None


def test_disposal_when_the_same_person_confirms_then_it_is_refused(house: KeptHouse) -> None:
    key, dossier = house.ended()
    house.keeping.ask_disposal(key, dossier.id, reason="its term is over", account=FIRST)

    with pytest.raises(Refused, match="made decision"):
        house.keeping.confirm_disposal(key, dossier.id, account=FIRST)
    with pytest.raises(Refused, match="asked for it already"):
        house.keeping.ask_disposal(key, dossier.id, reason="again", account=SECOND)


def test_disposal_when_nobody_asked_then_there_is_nothing_to_confirm(house: KeptHouse) -> None:
    key, dossier = house.ended()

    with pytest.raises(NotFound, match="Nobody asked"):
        house.keeping.confirm_disposal(key, dossier.id, account=SECOND)


def test_disposal_when_something_came_since_then_it_is_refused(house: KeptHouse) -> None:
    key, dossier = house.ended()
    house.small.receive([LATE])

    with pytest.raises(Refused, match="came since"):
        house.keeping.ask_disposal(key, dossier.id, reason="its term is over", account=FIRST)


def test_disposal_when_it_was_sealed_again_after_somebody_asked_then_it_must_be_asked_anew(house: KeptHouse) -> None:
    key, dossier = house.ended()
    house.keeping.ask_disposal(key, dossier.id, reason="its term is over", account=FIRST)
    house.small.receive([LATE])
    house.desk.seal(key, dossier.id, account=FILE_MANAGER)

    with pytest.raises(NotFound, match="Nobody asked"):
        house.keeping.confirm_disposal(key, dossier.id, account=SECOND)


def test_delete_when_the_retention_runs_then_no_other_way_removes_a_file(house: KeptHouse) -> None:
    _, dossier = house.small.sealed()

    for key in house.object_keys(dossier):
        if not key.endswith((f"{dossier.id}/{ocfl.INVENTORY}", f"{dossier.id}/{ocfl.SIDECAR}")):
            with pytest.raises(Retained):
                house.locked_files.delete(key)
    assert uid("plan") in dossier.plan_uids
