"""Dates and times as keys: single values and ranges (PS3.4 C.2.2.2.5), both together if that was agreed on."""

import re
from collections.abc import Callable
from typing import Final

from ingest.query.errors import BadIdentifier

_DATE = re.compile(r"\d{8}")
_TIME = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?")
_DATETIME = re.compile(r"\d{10,14}(\.\d{1,6})?([+-]\d{4})?|\d{4}(\d{2}){0,2}")  # an offset needs hours before it
_DATETIMES = re.compile(rf"(?P<low>{_DATETIME.pattern})?-(?P<high>{_DATETIME.pattern})?")
_OFFSET = re.compile(r"[+-]\d{4}$")
_FIRST_TIME: Final = "000000.000000"
_LAST_TIME: Final = "235959.999999"
_FIRST_MOMENT: Final = f"00000101{_FIRST_TIME}"
_LAST_MOMENT: Final = f"99991231{_LAST_TIME}"

Test = Callable[[str], bool]
Bounds = tuple[str, str]
"""First and last value that fits, written out in full."""


def date_bounds(text: str, keyword: str) -> Bounds:
    """Return the first and last day a key asks for, as DA; an open side ends with the years.

    Raises
    ------
    BadIdentifier
        It is neither a date nor a range of dates.
    """
    low, high = _sides(text.replace(".", ""), keyword)  # 2024.01.31 is ACR-NEMA's form
    for side in (low, high):
        if side and not _DATE.fullmatch(side):
            raise BadIdentifier(f"{keyword} is no date: {text[:24]!r}")
    return low or _FIRST_MOMENT[:8], high or _LAST_MOMENT[:8]


def time_bounds(text: str, keyword: str) -> Bounds:
    """Return the first and last time a key asks for: 1015 asks for all of that minute. Raises `BadIdentifier`."""
    low, high = _sides(text.replace(":", ""), keyword)
    for side in (low, high):
        if side and not _TIME.fullmatch(side):
            raise BadIdentifier(f"{keyword} is no time: {text[:24]!r}")
    return _filled(low, _FIRST_TIME), _filled(high, _LAST_TIME)


def _sides(text: str, keyword: str) -> Bounds:
    low, dash, high = text.partition("-")
    if not dash:
        return low.strip(), low.strip()
    if not (low.strip() or high.strip()):
        raise BadIdentifier(f"{keyword} is a range without ends")
    return low.strip(), high.strip()


def _filled(text: str, rest: str) -> str:
    return text + rest[len(text) :]


def date_test(text: str, keyword: str) -> Test:
    """Return whether a day fits."""
    low, high = date_bounds(text, keyword)
    return lambda value: low <= value.replace(".", "")[:8] <= high


def time_test(text: str, keyword: str) -> Test:
    """Return whether a time fits; what a value leaves open counts as zero."""
    low, high = time_bounds(text, keyword)
    return lambda value: low <= _filled(value.replace(":", ""), _FIRST_TIME) <= high


def moment_test(dates: str, times: str, keyword: str) -> Callable[[str, str], bool]:
    """Return whether a date and a time together lie in the range that two keys make together (PS3.4 C.2.2.2.5.3)."""
    first_day, last_day = date_bounds(dates, f"{keyword}Date")
    first_time, last_time = time_bounds(times, f"{keyword}Time")
    low, high = first_day + first_time, last_day + last_time
    return lambda day, time: low <= day.replace(".", "") + _filled(time.replace(":", ""), _FIRST_TIME) <= high


def datetime_test(text: str, keyword: str) -> Test:
    """Return whether a date and time (DT) fits; offsets from UTC are not counted in, nor are they negotiated."""
    asked = _DATETIMES.fullmatch(text)
    if _DATETIME.fullmatch(text):
        low = high = text
    elif asked and (asked["low"] or asked["high"]):
        low, high = asked["low"] or _FIRST_MOMENT, asked["high"] or _LAST_MOMENT
    else:
        raise BadIdentifier(f"{keyword} is no date and time: {text[:32]!r}")
    first = _filled(_OFFSET.sub("", low), _FIRST_MOMENT)
    last = _filled(_OFFSET.sub("", high), _LAST_MOMENT)
    return lambda value: first <= _filled(_OFFSET.sub("", value), _FIRST_MOMENT) <= last
