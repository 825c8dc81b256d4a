"""Who may be one person is proposed for good reasons alone."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from archive.assembly.likeness import (
    MOST_ALIKE,
    Likeable,
    Proposal,
    Reason,
    likeness,
    plain_id,
    proposals_among,
    proposals_for,
)
from archive.facts.receipts import PatientKey
from archive.headers import Identifier

WANG = Likeable(
    key=PatientKey("a"),
    identifiers=(Identifier(value="0012345", issuer="HIS"),),
    names=frozenset({"王小东"}),
    spellings=frozenset({"王小东", "wangxiaodong"}),
    initials=frozenset({"wxd"}),
    birth_date="1950-01-01",
    sex="M",
    keys=frozenset({PatientKey("a")}),
)


def another(value: str = "9", issuer: str = "HIS", **values: Any) -> Likeable:
    """Return somebody else of that ID, of whom nothing else is told."""
    identifier = Identifier(value=value, issuer=issuer)
    return replace(Likeable(key=PatientKey("b"), identifiers=(identifier,)), **values)


NAMED: dict[str, Any] = {"names": frozenset({"王小东"}), "spellings": WANG.spellings}
SPELT: dict[str, Any] = {"names": frozenset({"WANG^XIAODONG"}), "spellings": frozenset({"wangxiaodong"})}
SHORT: dict[str, Any] = {"names": frozenset({"W X D"}), "initials": frozenset({"wxd"}), "is_short": True}
BORN: dict[str, Any] = {"birth_date": "1950-01-01"}
MALE: dict[str, Any] = {"sex": "M"}


@pytest.mark.parametrize(
    ("other", "reasons"),
    [
        (another("0012345"), "SAME_IDENTIFIER"),
        (another("0012345", "PACS", **NAMED), "ID_OF_TWO_ISSUERS SAME_NAME"),
        (another("0012345", "PACS", **BORN, **MALE), "ID_OF_TWO_ISSUERS SAME_BIRTH_DATE SAME_SEX"),
        (another("12345", **SPELT), "ID_WRITTEN_OTHERWISE NAME_SPELT_OTHERWISE"),
        (another("0012345", "PACS"), ""),
        (another("12345"), ""),
        (another("12345", **BORN, sex="F"), ""),
        (another("12345", **NAMED, birth_date="1951-01-01"), "ID_WRITTEN_OTHERWISE SAME_NAME"),
        (another(**NAMED, **BORN), "SAME_NAME SAME_BIRTH_DATE"),
        (another(**SPELT, **BORN, **MALE), "NAME_SPELT_OTHERWISE SAME_BIRTH_DATE SAME_SEX"),
        (another(**SPELT, **BORN, sex="F"), ""),
        (another(**NAMED), ""),
        (another(**NAMED, birth_date="1950-01-02"), ""),
        (another(**SHORT, **BORN, **MALE), "INITIALS SAME_BIRTH_DATE SAME_SEX"),
        (another(**SHORT, **BORN), ""),
        (another(**BORN, **MALE), ""),
    ],
)
def test_likeness_then_reasons_are_enough_or_there_are_none(other: Likeable, reasons: str) -> None:
    assert " ".join(reason.name for reason in likeness(WANG, other)) == reasons
    assert likeness(other, WANG) == likeness(WANG, other)


def test_likeness_when_both_are_written_in_full_then_initials_are_no_reason() -> None:
    other = another(**BORN, **MALE, names=frozenset({"吴小丹"}), initials=frozenset({"wxd"}))

    assert likeness(WANG, other) == ()


@pytest.mark.parametrize(("one", "other"), [("0012345", "12345"), ("A-12 3", "a123"), ("1.2/3", "123"), ("00x", "X")])
def test_plain_id_when_the_difference_is_trivial_then_it_is_gone(one: str, other: str) -> None:
    assert plain_id(one) == plain_id(other) != ""


def test_plain_id_of_nothing_but_zeros_then_it_is_nothing() -> None:
    assert plain_id("000") == plain_id(" - ") == ""


def test_proposals_when_it_was_refused_then_it_does_not_come_back_from_either_side() -> None:
    other = another(**NAMED, **BORN)

    assert [*proposals_among([other, WANG])] == [*proposals_for(WANG, [other, WANG])]
    for refused in (
        [replace(WANG, told_apart=frozenset({PatientKey("b")})), other],
        [WANG, replace(other, told_apart=frozenset({PatientKey("a")}))],
        [WANG, replace(other, keys=frozenset({PatientKey("b"), PatientKey("c")}), told_apart=WANG.keys)],
    ):
        assert [*proposals_among(refused)] == []


def test_proposals_among_then_every_likely_pair_is_found_once_in_order_of_keys() -> None:
    others = [
        another("12345", **NAMED),
        replace(another("77", **SPELT, **BORN), key=PatientKey("c")),
        replace(another("78", **SHORT, **BORN, **MALE), key=PatientKey("d")),
        replace(another("79"), key=PatientKey("e")),
    ]
    everybody = [*others, WANG]

    found = [*proposals_among(reversed(everybody))]

    ordered = sorted(everybody, key=lambda one: one.key)
    pairs = [(one, other) for one, other in combinations(ordered, 2) if likeness(one, other)]
    assert [(one.one, one.other) for one in found] == [(one.key, other.key) for one, other in pairs]
    assert found[0] == Proposal(
        one=PatientKey("a"), other=PatientKey("b"), reasons=(Reason.ID_WRITTEN_OTHERWISE, Reason.SAME_NAME)
    )


def test_proposals_among_when_a_placeholder_is_shared_by_many_then_nobody_is_proposed() -> None:
    phantoms = [replace(another(f"p{at}", **NAMED, **BORN), key=PatientKey(f"{at:04}")) for at in range(MOST_ALIKE + 1)]

    assert [*proposals_among(phantoms)] == []
    assert len([*proposals_among(phantoms[:3])]) == 3
