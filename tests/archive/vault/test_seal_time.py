"""A seal is evidence of its time: who could sign then, and in which order versions followed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archive.errors import Refused
from archive.signing.keys import KeyRing
from archive.signing.rotation import rotate
from tests.archive.house import FILE_MANAGER, SmallHouse
from tests.archive.stores import NOW, signing_key
from tests.archive.vault.test_vault import LATE, object_path, problems
from tests.archive.vault.test_vault_check import forged
from tests.factories import MONDAY, weekdays

HOUR = timedelta(hours=1)


@pytest.fixture
def house(tmp_path: Path) -> SmallHouse:
    return SmallHouse(tmp_path)


def set_clock(house: SmallHouse, at: datetime) -> None:
    house.desk = replace(house.desk, clock=lambda: at)


def test_seal_when_the_clock_is_behind_the_last_fraction_then_it_is_refused(house: SmallHouse) -> None:
    key, dossier = house.ready()
    last = weekdays(MONDAY, 5)[-1]
    set_clock(house, datetime(last.year, last.month, last.day, tzinfo=UTC) - timedelta(days=2))

    with pytest.raises(Refused, match=f"the last fraction was given on {last}"):
        house.desk.seal(key, dossier.id, account=FILE_MANAGER)
    assert list(house.vault.begun(dossier.id)) == []


def test_seal_on_the_day_before_by_utc_then_the_site_may_be_a_day_ahead(house: SmallHouse) -> None:
    key, dossier = house.ready()
    last = weekdays(MONDAY, 5)[-1]
    set_clock(house, datetime(last.year, last.month, last.day, tzinfo=UTC) - HOUR)

    assert house.desk.seal(key, dossier.id, account=FILE_MANAGER).version == 1


def test_addendum_when_the_clock_was_set_back_then_it_is_refused(house: SmallHouse) -> None:
    key, dossier = house.sealed()
    house.receive([LATE])
    set_clock(house, NOW - timedelta(seconds=1))

    with pytest.raises(Refused, match="before version v1 was sealed"):
        house.desk.seal(key, dossier.id, account=FILE_MANAGER)
    assert len(list(house.vault.begun(dossier.id))) == 1


def test_check_when_a_seal_is_dated_before_its_last_fraction_then_it_is_told(house: SmallHouse) -> None:
    _, dossier = house.sealed()

    found = forged(house, dossier, {"made_at": "2024-03-01T00:00:00+00:00"}, house.key)

    assert any("is dated 2024-03-01, before the last fraction of 2024-03-08" in problem for problem in found)


def test_check_when_an_addendum_is_dated_before_what_it_follows_then_it_is_told(house: SmallHouse) -> None:
    key, dossier = house.sealed()
    house.receive([LATE])
    dossier = house.desk.seal(key, dossier.id, account=FILE_MANAGER)

    found = forged(house, dossier, {"made_at": (NOW + HOUR).isoformat()}, house.key)

    assert any("the seal of v2 is dated before the one it follows" in problem for problem in found)


def rotated(house: SmallHouse, at: datetime) -> str:
    """Give the node another key and return the id of the one that ended."""
    ended = house.key.id
    del house.key, house.journal
    house.desk = replace(house.desk, key=signing_key(house.folder, "stranger"), journal=None)  # type: ignore[arg-type]
    key, _ = rotate(house.folder / "node.pem", KeyRing(house.work), node="n1", account="adam", clock=lambda: at)
    house.key = key
    return ended


def test_check_when_the_key_ended_since_then_old_seals_stay_valid(house: SmallHouse) -> None:
    _, dossier = house.sealed()
    rotated(house, NOW + HOUR)

    assert problems(house, dossier) == []


def test_check_when_a_seal_is_dated_after_the_end_of_its_key_then_it_is_told(tmp_path: Path) -> None:
    house = SmallHouse(tmp_path)
    _, dossier = house.sealed()
    old = signing_key(tmp_path, "copy-of-old")
    stolen = house.key
    KeyRing(house.work).publish(old, node="n1", at=NOW)
    ring = KeyRing(house.work)
    ended = ring.of_id(stolen.id)
    assert ended is not None
    ring.end(ended, by=old, account="adam", at=NOW + HOUR)

    found = forged(house, dossier, {"made_at": (NOW + 2 * HOUR).isoformat()}, stolen)

    assert any("after its end on" in problem for problem in found)


@pytest.mark.parametrize(("since", "is_told"), [(NOW, True), (NOW + HOUR, False)])
def test_check_when_the_key_was_revoked_then_seals_from_that_moment_on_are_told(
    house: SmallHouse, since: datetime, is_told: bool
) -> None:
    _, dossier = house.sealed()
    ended = rotated(house, NOW + 2 * HOUR)
    KeyRing(house.work).revoke(ended, since=since, reason="stolen", by=house.key, account="adam", made_at=NOW)

    assert any("is revoked from" in problem for problem in problems(house, dossier)) is is_told
    assert (object_path(house, dossier) / "v1/content/seal.json").exists()
