"""Single values, wildcards, ranges, names: what fits and what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.query.errors import BadIdentifier
from ingest.query.identifier import Key
from ingest.query.matching import match_of, name_test
from ingest.query.ranges import date_test, datetime_test, moment_test, time_test
from search.attributes import Value


def fits(vr: str, asked: str, value: Value | None) -> bool:
    """Return whether a value fits a key."""
    match = match_of(Key(tag=0x00100010, keyword="Asked", vr=vr, value=asked))
    return match is None or match(value) is not None


@pytest.mark.parametrize(
    ("vr", "asked", "value", "expected"),
    [
        ("LO", "Head", "Head", True),
        ("LO", "head", "Head", False),
        ("LO", "H*", "Head", True),
        ("LO", "?ead", "Head", True),
        ("LO", "?", "", False),
        ("LO", "*", None, True),
        ("LO", "", None, True),
        ("LO", "Head", None, False),
        ("LO", "a.b", "axb", False),
        ("LO", "[H]*", "Head", False),
        ("CS", "CT", "CT\\RTPLAN", True),
        ("CS", "MR\\RTPLAN", "CT\\RTPLAN", True),
        ("CS", "MR", "CT\\RTPLAN", False),
        ("UI", "1.2\\1.3", "1.3", True),
        ("UI", "1.2*", "1.23", False),
        ("IS", "7", "007", True),
        ("DS", "1.50", "1.5", True),
        ("US", "512", "512", True),
        ("US", "512", "many", False),
        ("ST", "a\\b", "a\\b", True),
        ("LO", "Neck", ["Head", "Neck"], True),
    ],
)
def test_value_when_matched_then_it_fits_as_its_representation_says(
    vr: str, asked: str, value: Value | None, expected: bool
) -> None:
    assert fits(vr, asked, value) is expected


def test_value_when_instances_differ_then_the_one_that_fits_is_told() -> None:
    match = match_of(Key(tag=0, keyword="Asked", vr="LO", value="N*"))
    assert match is not None
    assert match(["Head", "Neck", "Nose"]) == "Neck"


@pytest.mark.parametrize(
    ("asked", "value", "expected"),
    [
        ("wang^xiaodong", "Wang^XiaoDong=王^小东", True),
        ("王^小东", "Wang^XiaoDong=王^小东", True),
        ("=王*", "Wang^XiaoDong=王^小东", True),
        ("Wang*=王*", "Wang^XiaoDong=王^小东", True),
        ("Wang*=李*", "Wang^XiaoDong=王^小东", False),
        ("WANG^*", "Wang", True),
        ("WANG^*", "Wangler^A", False),
        ("Wang", "Wang^XiaoDong", False),
        ("Li", "Wang^Li", False),
        ("muller^*", "Müller^Jürgen^^Dr.", True),
        ("ＷＡＮＧ＊", "Wang^A", True),
    ],
)
def test_name_when_matched_then_group_by_group_without_case_and_accents(asked: str, value: str, expected: bool) -> None:
    assert name_test(asked)(value) is expected


@pytest.mark.parametrize(
    ("asked", "value", "expected"),
    [
        ("20240115", "20240115", True),
        ("20240115", "2024.01.15", True),
        ("20240101-20240131", "20240131", True),
        ("-20240131", "19000101", True),
        ("20240131-", "20240130", False),
        ("20240131 - 20240201", "20240201", True),
    ],
)
def test_date_when_matched_then_both_ends_of_a_range_are_in_it(asked: str, value: str, expected: bool) -> None:
    assert date_test(asked, "StudyDate")(value) is expected


@pytest.mark.parametrize(
    ("asked", "value", "expected"),
    [
        ("1015", "101559.999", True),
        ("1015", "1016", False),
        ("10", "10", True),
        ("101500-101600", "1016", True),
        ("101500-101600", "101600.5", True),
        ("101500-101600", "101601", False),
        ("-1015", "101559", True),
        ("10:15", "101500", True),
        ("235959-", "235959.9", True),
    ],
)
def test_time_when_matched_then_what_is_left_open_is_part_of_it(asked: str, value: str, expected: bool) -> None:
    assert time_test(asked, "StudyTime")(value) is expected


@pytest.mark.parametrize(
    ("asked", "value", "expected"),
    [
        ("20240115101500", "20240115101500.000000", True),
        ("202401", "20240131235959+0100", True),
        ("20240115-20240116", "20240116120000", True),
        ("20240115101500-0500", "20240115101500-0500", True),
        ("-20240115", "20240116", False),
        ("2024-2025", "20251231120000", True),
    ],
)
def test_date_with_time_when_matched_then_offsets_are_no_ranges(asked: str, value: str, expected: bool) -> None:
    assert datetime_test(asked, "AcquisitionDateTime")(value) is expected


@pytest.mark.parametrize("text", ["2024", "tomorrow", "20240101-2024", "-", "20240101-20240102-20240103"])
def test_date_when_it_is_none_then_the_identifier_is_bad(text: str) -> None:
    with pytest.raises(BadIdentifier):
        date_test(text, "StudyDate")


@pytest.mark.parametrize("text", ["1", "25h", "10-1", "101500.1234567"])
def test_time_when_it_is_none_then_the_identifier_is_bad(text: str) -> None:
    with pytest.raises(BadIdentifier):
        time_test(text, "StudyTime")


_days = st.dates().map("{:%Y%m%d}".format)
_times = st.times().map("{:%H%M%S.%f}".format)


@given(days=st.tuples(_days, _days, _days), times=st.tuples(_times, _times, _times))
def test_moment_when_date_and_time_are_one_range_then_it_is_that_of_the_texts_put_together(
    days: tuple[str, str, str], times: tuple[str, str, str]
) -> None:
    low, value, high = (day.rjust(8, "0") + time for day, time in zip(days, times, strict=True))
    test = moment_test(f"{low[:8]}-{high[:8]}", f"{times[0]}-{times[2]}", "Study")
    assert test(value[:8], times[1]) is (low <= value <= high)
