"""Pseudonyms are the same every time, tell nothing, and keep weekdays and intervals."""

import stat
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.deidentification.pseudonyms import Pseudonyms, load_or_create_key
from archive.facts.receipts import PatientKey
from archive.uids import is_own, own_uid

KEY = bytes(range(32))
ONE = Pseudonyms(KEY, PatientKey("one"))


def _day(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def test_pseudonyms_when_made_again_with_the_key_then_they_are_the_same_and_with_another_key_they_are_not() -> None:
    again, other = Pseudonyms(KEY, PatientKey("one")), Pseudonyms(KEY[::-1], PatientKey("one"))
    assert (again.patient_id, again.uid("1.2.3")) == (ONE.patient_id, ONE.uid("1.2.3"))
    assert (other.patient_id, other.uid("1.2.3")) != (ONE.patient_id, ONE.uid("1.2.3"))
    assert Pseudonyms(KEY, PatientKey("two")).patient_id != ONE.patient_id


@given(st.lists(st.integers(1, 10**9).map(lambda number: f"1.3.6.{number}"), unique=True, max_size=20))
def test_uid_when_they_differ_then_their_pseudonyms_differ_and_are_uids(uids: list[str]) -> None:
    made = [ONE.uid(uid) for uid in uids]
    assert len(set(made)) == len(uids)
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in made)
    assert not set(made) & set(uids)


def test_uid_when_it_is_of_the_standard_or_ours_then_what_it_says_stays() -> None:
    assert ONE.uid("1.2.840.10008.5.1.4.1.1.2") == "1.2.840.10008.5.1.4.1.1.2"
    ours = own_uid("composite", "x")
    assert is_own(ONE.uid(ours))
    assert ONE.uid(ours) != ours


@given(st.dates(date(1950, 1, 1), date(2100, 1, 1)), st.dates(date(1950, 1, 1), date(2100, 1, 1)))
def test_day_when_moved_then_weekday_and_interval_stay_and_the_day_does_not(one: date, two: date) -> None:
    moved = [_day(ONE.day(f"{day:%Y%m%d}")) for day in (one, two)]
    assert [day.weekday() for day in moved] == [one.weekday(), two.weekday()]
    assert moved[1] - moved[0] == two - one
    assert 52 * 7 <= (one - moved[0]).days < 520 * 7


@pytest.mark.parametrize("text", ["", "20261399", "yesterday", "00010101"])
def test_day_when_it_is_none_then_it_is_left_out(text: str) -> None:
    assert ONE.day(text) == ""


def test_moment_when_moved_then_the_time_stays() -> None:
    assert ONE.moment("20250908093000.5+0800") == f"{ONE.day('20250908')}093000.5+0800"
    assert ONE.moment("2025") == ""


def test_uid_when_an_instance_has_one_below_the_root_of_the_standard_then_it_goes() -> None:
    assert ONE.uid("1.2.840.10008.5.1.4.1.1.481.5.21220130118.165156.101").startswith("2.25.")


def test_key_when_first_asked_for_then_a_secret_file_is_made_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "pseudonyms.key"
    key = load_or_create_key(path)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert load_or_create_key(path) == key
    assert [one.name for one in path.parent.iterdir()] == ["pseudonyms.key"]


def test_key_when_others_can_read_it_or_it_is_none_then_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pseudonyms.key"
    load_or_create_key(path)
    path.chmod(0o440)
    with pytest.raises(ValueError, match="chmod 0400"):
        load_or_create_key(path)
    short = tmp_path / "short.key"
    short.write_bytes(b"short")
    short.chmod(0o400)
    with pytest.raises(ValueError, match="is no key"):
        load_or_create_key(short)
