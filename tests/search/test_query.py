"""Queries are judged when they are made, and compiled into conditions."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.conditions import (
    EVERYTHING,
    NOTHING,
    AllOf,
    OneOf,
    Prefix,
    Range,
    Term,
    Wildcard,
    after_prefix,
    all_of,
    any_of,
    literal_prefix,
)
from search.errors import BadQuery
from search.kinds import Kind
from search.query import Order, Query, condition, decode_cursor, encode_cursor, iso_date


def compiled(**asked: Any) -> object:
    """Return the condition of a query for dossiers."""
    return condition(Query(kind=Kind.DOSSIER, **asked))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, EVERYTHING),
        ({"text": "  "}, EVERYTHING),
        ({"text": "wang " * 99}, Prefix("word", "wang")),
        ({"text": "Wang"}, Prefix("word", "wang")),
        ({"text": "王小东 60"}, AllOf((Prefix("word", "王小东"), Prefix("word", "60")))),
        ({"text": "a*"}, any_of(Prefix("word", "a*"), Prefix("word", "a"))),
        ({"patient_id": "00A"}, Term("patient_id", "00A")),
        ({"patient_id": "00*"}, Prefix("patient_id", "00")),
        ({"patient_id": "*"}, EVERYTHING),
        ({"patient_id": "?0*1"}, Wildcard("patient_id", "?0*1")),
        ({"patient_id": "1", "issuer": "H*"}, Term("issued_id", "H*\x1f1")),
        ({"patient_id": "1*", "issuer": "H*"}, Prefix("issued_id", "H*\x1f1")),
        ({"issuer": "H"}, Term("issuer", "H")),
        ({"name": "Wang"}, Prefix("name_word", "wang")),
        ({"name": "WANG^XIAODONG^^"}, Term("name", "wang^xiaodong")),
        ({"name": "WANG^X*"}, Prefix("name", "wang^x")),
        ({"name": "WANG^*"}, any_of(Term("name", "wang"), Prefix("name", "wang^"))),
        ({"name": "WANG^X*=王*"}, AllOf((Prefix("name", "wang^x"), Prefix("name", "王")))),
        ({"name": "=王?东"}, Wildcard("name", "王?东")),
        ({"name": "*"}, EVERYTHING),
        ({"name": "ＷＡＮＧ＊"}, Prefix("name", "wang")),
        ({"birth_date": "19600229"}, Term("birth_date", "1960-02-29")),
        ({"sex": "M"}, OneOf("sex", ("m",))),
        ({"date_from": "20200101"}, Range("date_last", low="2020-01-01")),
        ({"date_to": "2020-01-01"}, Range("date_first", high="2020-01-01")),
        ({"modality": ("PHOTON", "photon")}, OneOf("modality", ("photon",))),
        ({"modality": ("",)}, NOTHING),
        ({"plan_uids": ("1.2", "1.3")}, OneOf("plan_uid", ("1.2", "1.3"))),
        ({"site": "Head neck"}, AllOf((Prefix("site_word", "head"), Prefix("site_word", "neck")))),
        ({"site": "Head*"}, Prefix("site", "head")),
        ({"dossiers": ("ABC",)}, OneOf("dossier", ("abc",))),
    ],
)
def test_condition_of_a_query(asked: dict[str, Any], expected: object) -> None:
    assert compiled(**asked) == expected


def test_condition_of_a_uid_in_the_text_looks_among_instances_too() -> None:
    assert Term("instance_uid", "1.2.840.1") in compiled(text="1.2.840.1").conditions  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "asked",
    [
        {"limit": 0},
        {"limit": 1001},
        {"birth_date": "19601301"},
        {"date_from": "yesterday"},
        {"date_from": "2021-01-01", "date_to": "2020-12-31"},
        {"cursor": "%%%"},
        {"cursor": "bm9uc2Vuc2U"},
        {"cursor": "eyJhIjoxfQ"},
        {"cursor": "é"},
        {"plan_uids": ("1",) * 10_001},
        {"patient_id": "*" + "?" * 9 + "x"},
        {"patient_id": "a*" * 9 + "x"},
        {"name": "?" * 129},
        {"text": " ".join(map(str, range(33)))},
    ],
)
def test_query_that_can_not_be_asked_is_refused_with_a_hint(asked: dict[str, Any]) -> None:
    with pytest.raises(BadQuery) as caught:
        Query(kind=Kind.DOSSIER, **asked)
    assert caught.value.code == "LG-IDX-001"
    assert caught.value.hint


def test_query_with_a_cursor_of_another_order_is_refused() -> None:
    cursor = encode_cursor(Query(kind=Kind.PATIENT, order=Order.NEWEST), "0王", "patient:1")
    assert decode_cursor(Query(kind=Kind.PATIENT, order=Order.NEWEST, cursor=cursor)) == ("0王", "patient:1")
    with pytest.raises(BadQuery):
        Query(kind=Kind.PATIENT, order=Order.NAME, cursor=cursor)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("text", "name", "patient_id", "issuer", "site"), st.text())))
def test_query_of_any_text_compiles_or_is_refused(asked: dict[str, str]) -> None:
    try:
        query = Query(kind=Kind.DOSSIER, **asked)  # type: ignore[arg-type]
    except BadQuery:
        return
    condition(query)


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("20240229", "2024-02-29"),
        ("2024-02-29", "2024-02-29"),
        ("2024.02.29", "2024-02-29"),
        ("20240229103000.5+0800", "2024-02-29"),
        ("20230229", None),
        ("2024", None),
        ("２０２４０２２９", None),
        ("", None),
        ("00000000", None),
    ],
)
def test_iso_date_of_what_stands_in_files(text: str, iso: str | None) -> None:
    assert iso_date(text) == iso


@given(st.text(min_size=1), st.text())
def test_after_prefix_bounds_exactly_the_texts_that_begin_so(prefix: str, rest: str) -> None:
    bound = after_prefix(prefix)
    assert bound is None or prefix + rest < bound
    if bound is not None:
        assert not bound.startswith(prefix)
        assert prefix + "\U0010ffff" * 3 < bound


def test_after_prefix_at_the_edges_of_unicode() -> None:
    assert after_prefix("a\ud7ff") == "a\ue000"
    assert after_prefix("a\U0010ffff") == "b"
    assert after_prefix("\U0010ffff") is None


def test_literal_prefix_ends_at_the_first_sign() -> None:
    assert [literal_prefix(pattern) for pattern in ("ab*c?", "a?b*", "abc", "*")] == ["ab", "a", "abc", ""]


def test_joined_conditions_are_as_small_as_they_can_be() -> None:
    term = Term("word", "a")
    assert all_of(term, None, EVERYTHING, term) == term
    assert all_of() == EVERYTHING
    assert any_of(term, term) == term
    assert any_of() == NOTHING
