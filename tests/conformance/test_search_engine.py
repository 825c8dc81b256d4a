"""One suite for every engine of the index: same answers, same order, same rules for versions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.base import Engine, Page
from search.conditions import EVERYTHING, Condition, OneOf, Prefix, Range, Term, Wildcard, all_of, any_of
from search.documents import Document, dossier_document, patient_document, tombstone
from search.elastic import connect
from search.errors import BadQuery, RebuildSuperseded
from search.kinds import Kind
from search.query import Order, Query, decode_cursor
from search.sqlite import SqliteEngine
from tests.conformance.search_reference import (
    IDS,
    ISSUERS,
    LABELS,
    MACHINES,
    NAMES,
    SITES,
    ReferenceIndex,
    generated,
)

DOCUMENTS: Final = 1800
_numbers = count()


@pytest.fixture(params=["sqlite", pytest.param("elastic", marks=pytest.mark.server)], scope="module")
def make_engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Engine]]:
    """Make fresh, empty engines of one kind."""
    made: list[Engine] = []

    def make() -> Engine:
        if request.param == "sqlite":
            engine: Engine = SqliteEngine(tmp_path_factory.mktemp("index") / "index.db")
        else:
            url = request.getfixturevalue("elasticsearch_url")
            engine = connect([url], name=f"conformance-{next(_numbers)}")
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def engine(make_engine: Callable[[], Engine]) -> Engine:
    """A fresh, empty engine."""
    return make_engine()


@dataclass(frozen=True)
class Filled:
    """An engine and the reference with the same documents."""

    engine: Engine
    reference: ReferenceIndex


@pytest.fixture(scope="module")
def filled(make_engine: Callable[[], Engine]) -> Filled:
    """An engine with many documents of all kinds, some of them buried."""
    engine, reference = make_engine(), ReferenceIndex()
    documents = generated(DOCUMENTS)
    buried = [
        tombstone(one.id, one.kind, patient_key=one.patient_key, version=one.version + 1) for one in documents[::17]
    ]
    for batch in (documents, buried):
        engine.put(batch)
        reference.put(batch)
    engine.refresh()
    return Filled(engine, reference)


def pages(engine: Engine, query: Query) -> Iterator[Page]:
    """Yield all pages of a query."""
    while True:
        page = engine.search(query)
        yield page
        if page.next_cursor is None:
            return
        query = replace(query, cursor=page.next_cursor)


def patient(name: str, *, key: str = "p1", version: int = 1, **others: Any) -> Document:
    """Return the document of a patient."""
    return patient_document({"patient": {"name": name, "names": [name], **others}}, patient_key=key, version=version)


def found(engine: Engine, **asked: Any) -> list[str]:
    """Return the patients found, by key."""
    engine.refresh()
    return [hit.patient_key for hit in engine.search(Query(kind=Kind.PATIENT, **asked)).hits]


# --- answers -----------------------------------------------------------------------------------------------------

_words = st.one_of(
    st.sampled_from([part for name in NAMES for part in name.replace("=", "^").split("^")]),
    st.sampled_from(["小东", "wxd", "wang", "xiaodong", "zeng", "dossier0", "1.2.7", "60", "*", "?", "[x]", "%", "a*"]),
    st.text(max_size=3),
    st.text("wangxido王小东山ㄱ홍ﾔ0*?^= -_[\\%.", max_size=4),
)  # fmt: skip
_patterns = st.one_of(
    st.sampled_from(NAMES),
    st.builds(
        lambda name, cut, end: name[:cut] + end, st.sampled_from(NAMES), st.integers(0, 6), st.sampled_from("*?")
    ),
    st.builds(lambda name, cut: "*" + name[cut:], st.sampled_from(NAMES), st.integers(0, 4)),
    st.text("wang王小*?^=[\\", max_size=6),
)
_days = st.sampled_from(["", "20180615", "2020-01-01", "2023-12-31"])


def _some(values: tuple[str, ...], *more: str) -> st.SearchStrategy[str]:
    return st.one_of(st.just(""), st.just(""), st.sampled_from((*values, *more)))


def _lists(*values: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.one_of(st.just(()), st.just(()), st.lists(st.sampled_from(values), max_size=3).map(tuple))


_leaves: st.SearchStrategy[Condition] = st.sampled_from(
    [
        Term("modality", "ct"),
        Term("study_id", "3"),
        OneOf("study_uid", ("1.2.7", "1.2.8", "1.2.9")),
        Prefix("name", "w"),
        Prefix("referring", "sam"),
        Range("study_date", "2018-01-01", "2022-06-30"),
        Range("study_date", high="2020-01-01"),
        Wildcard("description", "*ct*"),
        Wildcard("referring", "m?ller^*"),
    ]
)
_conditions = st.one_of(
    _leaves,
    st.lists(_leaves, max_size=3).map(lambda parts: all_of(*parts)),
    st.lists(_leaves, max_size=2).map(lambda parts: any_of(*parts)),
)
_queries = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(Kind),
        "limit": st.integers(1, 60),
        "order": st.sampled_from(Order),
        "with_total": st.booleans(),
    },
    optional={
        "text": st.lists(_words, max_size=3).map(" ".join),
        "patient_id": st.one_of(_some(IDS, "0*", "*45", "?2345", "*"), st.text("0123*?", max_size=4)),
        "issuer": _some(ISSUERS),
        "name": _patterns,
        "birth_date": _some(("19600229", "1975-12-31")),
        "sex": _some(("M", "f", "O")),
        "date_from": _days,
        "date_to": _days,
        "modality": _lists("photon", "CT", "rtplan", "proton", "none"),
        "state": _lists("open", "SEALED", "none"),
        "approval": _lists("APPROVED", "rejected"),
        "finding": _lists("NO-SUMMARY"),
        "site": _some(SITES, "乳腺", "head", "neck", "lung*", "*(r)"),
        "plan_label": _some(LABELS, "plan", "PLAN*", "?lan 1"),
        "machine": _some(MACHINES, "加速", "true", "*1"),
        "technique": _some(("imrt", "3d")),
        "dossiers": _lists("dossier0007", "ALIAS-OF-DOSSIER0008", "dossier"),
        "series_uids": _lists("1.2.7.1", "1.2.8.1", "1.2"),
        "instance_uids": _lists("1.2.7.1.0", "1.2.8.1.3", "1.2.9.5.0"),
        "accession": _some(("ACC007", "ACC00?", "acc007")),
        "where": st.one_of(st.just(EVERYTHING), _conditions),
    },
)


@settings(max_examples=150, deadline=None)
@given(asked=_queries)
def test_search_for_any_query_equals_a_plain_evaluation(filled: Filled, asked: dict[str, Any]) -> None:
    try:
        query = Query(**asked)
    except BadQuery:
        return
    page = filled.engine.search(query)
    assert page == filled.reference.search(query)
    if page.next_cursor is not None:
        following = replace(query, cursor=page.next_cursor)
        assert filled.engine.search(following) == filled.reference.search(following, decode_cursor(following))


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("order", Order)
def test_search_when_paged_gives_every_document_once_in_order(filled: Filled, kind: Kind, order: Order) -> None:
    paged = [hit for page in pages(filled.engine, Query(kind=kind, order=order, limit=37)) for hit in page.hits]
    whole = filled.reference.search(Query(kind=kind, order=order, limit=1000))
    assert len(paged) > 250
    assert tuple(paged) == whole.hits


def test_search_by_name_lists_pinyin_among_latin_names_and_the_nameless_last(engine: Engine) -> None:
    names = ["", "Zhao^Yun", "王^小东", "WANG^XIAOLI", "\ue000", "𠮷^野", "Adams"]
    engine.put([patient(name, key=f"k{position}") for position, name in enumerate(names)])
    # U+E000 before U+20BB7: by code point, where UTF-16 would turn them round
    assert [names[int(key[1])] for key in found(engine)] == [
        "Adams",
        "王^小东",
        "WANG^XIAOLI",
        "Zhao^Yun",
        "\ue000",
        "𠮷^野",
        "",
    ]


@pytest.mark.parametrize("text", ["王小东", "小东", "Wang Xiaodong", "xiaodong wang", "wangxiaodong", "wxd", "王^小东"])
@pytest.mark.parametrize("name", ["王^小东", "王小东", "Wang^Xiaodong=王^小东", "=王^小东"])
def test_search_for_a_chinese_patient_finds_him_however_he_is_written(engine: Engine, text: str, name: str) -> None:
    engine.put([patient(name, key="he"), patient("李^晓明", key="other"), patient("Wang^Xin=王^欣", key="namesake")])
    assert found(engine, text=text) == ["he"]
    assert found(engine, name=text) == ["he"]


def test_search_for_signs_of_query_languages_takes_them_literally(engine: Engine) -> None:
    engine.put([patient("Plain^Name", key="plain"), patient("a*b?c", key="signs"), patient('x"y) OR *:*', key="more")])
    assert found(engine, text="*") == ["more"]  # it holds the word *:*
    assert found(engine, text="a*b") == ["signs"]
    assert found(engine, text='x"y)') == ["more"]
    assert found(engine, text="name OR other") == []
    assert found(engine, text="%") == []


def test_search_for_an_id_counts_leading_zeros_and_case(engine: Engine) -> None:
    for key, value in (("zeros", "00123"), ("none", "123"), ("letter", "A1"), ("small", "a1")):
        engine.put([patient("X", key=key, ids=[{"value": value, "issuer": "H", "kind": "mr"}])])
    assert found(engine, patient_id="123") == ["none"]
    assert found(engine, patient_id="00123") == ["zeros"]
    assert found(engine, patient_id="A1") == ["letter"]
    assert found(engine, text="001") == ["zeros"]
    assert found(engine, patient_id="*123") == ["none", "zeros"]


def test_search_for_id_and_issuer_wants_both_in_one_identifier(engine: Engine) -> None:
    ids = [{"value": "1", "issuer": "A", "kind": "mr"}, {"value": "2", "issuer": "B", "kind": "mr"}]
    engine.put([patient("X", ids=ids)])
    assert found(engine, patient_id="1", issuer="A") == ["p1"]
    assert found(engine, patient_id="1", issuer="B") == []
    assert found(engine, patient_id="?", issuer="B") == ["p1"]
    assert found(engine, issuer="B") == ["p1"]


def test_search_for_many_uids_at_once_answers(filled: Filled) -> None:
    uids = (*(f"1.2.{number}.1.0" for number in range(9_999)), "x" * 64)
    query = Query(kind=Kind.SERIES, instance_uids=uids, limit=1000, with_total=True)
    assert filled.engine.search(query) == filled.reference.search(query)


@pytest.mark.parametrize("pattern", ["*a????????", "a*b*c*d*e*f*g*?", "?" * 128, "王*" * 8])
def test_search_for_the_most_involved_pattern_answers(filled: Filled, pattern: str) -> None:
    for query in (Query(kind=Kind.PATIENT, name=pattern), Query(kind=Kind.PATIENT, patient_id=pattern, issuer="H")):
        assert filled.engine.search(query) == filled.reference.search(query)


def test_search_for_very_long_values_answers_alike(engine: Engine) -> None:
    long = "长" * 40_000
    engine.put([patient(f"{long}^{long}", ids=[{"value": long, "issuer": long, "kind": "mr"}])])
    assert found(engine, patient_id=long) == ["p1"]
    assert found(engine, text=long) == ["p1"]
    assert found(engine, patient_id="长" * 255) == []


def test_get_gives_the_body_back_as_it_was_put(engine: Engine) -> None:
    body = {
        "id": "d",
        "bytes": 2**62,
        "gy": 1.10,
        "none": None,
        "texts": ["\ud800", "\0", "é", "𠮷", "</b>"],
        "empty": {},
    }
    document = dossier_document(body, patient_key="p1", version=3)
    engine.put([document])
    hit = engine.get(document.id)
    assert hit is not None
    assert hit.body == body
    assert (hit.kind, hit.patient_key, hit.version) == (Kind.DOSSIER, "p1", 3)
    assert engine.get("dossier:other:p1") is None


def test_fetch_gives_the_living_of_these_ids(engine: Engine) -> None:
    documents = [patient(name, key=name) for name in ("one", "two", "three")]
    engine.put(documents)
    engine.put([tombstone(documents[1].id, Kind.PATIENT, patient_key="two", version=2)])
    fetched = engine.fetch([*(one.id for one in documents), "patient:nobody"])
    assert {id_: hit.patient_key for id_, hit in fetched.items()} == {"patient:one": "one", "patient:three": "three"}
    assert fetched["patient:one"] == engine.get("patient:one")
    assert engine.fetch([]) == {}


def test_count_counts_the_living_of_one_kind(filled: Filled) -> None:
    for kind in Kind:
        alive = [one for one in filled.reference.documents.values() if one.kind is kind and not one.tombstone]
        assert filled.engine.count(kind) == len(alive)


# --- versions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "shown"), [(5, 3, "first"), (5, 5, "second"), (5, 7, "second"), (0, 0, "second")]
)
def test_put_when_versions_differ_keeps_the_newer_and_of_equals_the_later(
    engine: Engine, first: int, second: int, shown: str
) -> None:
    engine.put([patient("first", version=first)])
    engine.put([patient("second", version=second)])
    assert found(engine, text=shown) == ["p1"]
    assert found(engine, text="first" if shown == "second" else "second") == []


def test_put_when_repeated_changes_nothing(filled: Filled) -> None:
    query = Query(kind=Kind.DOSSIER, limit=1000, with_total=True)
    before = filled.engine.search(query)
    filled.engine.put(generated(DOCUMENTS))
    filled.engine.refresh()
    assert filled.engine.search(query) == before


def test_put_of_a_tombstone_hides_the_document_and_a_late_update_does_not_bring_it_back(engine: Engine) -> None:
    document = patient("first", version=5)
    engine.put([document])
    engine.put([tombstone(document.id, Kind.PATIENT, patient_key="p1", version=6)])
    engine.put([patient("late", version=5)])
    assert found(engine) == []
    assert engine.get(document.id) is None
    assert engine.count(Kind.PATIENT) == 0
    assert [(one.version, one.is_tombstone) for one in engine.documents_of("p1")] == [(6, True)]


def test_put_of_a_tombstone_of_the_same_version_leaves_the_living(engine: Engine) -> None:
    document = patient("alive", version=6)
    gone = tombstone(document.id, Kind.PATIENT, patient_key="p1", version=6)
    engine.put([document])
    engine.put([gone])
    assert found(engine) == ["p1"]
    engine.put([tombstone(document.id, Kind.PATIENT, patient_key="p1", version=7)])
    engine.put([patient("again", version=7)])
    assert found(engine, text="again") == ["p1"]


def test_put_when_a_document_changes_forgets_its_old_terms(engine: Engine) -> None:
    engine.put([patient("Old^Name", version=1)])
    engine.put([patient("New^Name", version=2)])
    assert found(engine, text="old") == []
    assert found(engine, text="new name") == ["p1"]


def test_put_of_nothing_is_no_error(engine: Engine) -> None:
    engine.put([])
    assert engine.count(Kind.PATIENT) == 0


def test_documents_of_a_patient_gives_all_kinds_in_order_of_id_without_a_refresh(engine: Engine) -> None:
    documents = [patient("X"), *(dossier_document({"id": f"d{n}"}, patient_key="p1", version=1) for n in range(3))]
    engine.put([*documents, patient("Y", key="p2")])
    held = engine.documents_of("p1")
    assert [one.id for one in held] == sorted(one.id for one in documents)
    assert {one.kind for one in held} == {Kind.PATIENT, Kind.DOSSIER}


def test_documents_of_a_patient_with_thousands_gives_all(engine: Engine) -> None:
    engine.put([dossier_document({"id": f"d{n:04d}"}, patient_key="p1", version=1) for n in range(2_001)])
    assert len(engine.documents_of("p1")) == 2_001


def test_patients_tells_oldest_living_and_newest_version_of_each(filled: Filled) -> None:
    expected: dict[str, tuple[int | None, int]] = {}
    for document in filled.reference.documents.values():
        oldest, newest = expected.get(document.patient_key, (None, 0))
        if not document.tombstone:
            oldest = document.version if oldest is None else min(oldest, document.version)
        expected[document.patient_key] = (oldest, max(newest, document.version))
    found = list(filled.engine.patients())
    assert [one.patient_key for one in found] == sorted(expected)
    assert {one.patient_key: (one.oldest_living, one.newest) for one in found} == expected
    assert any(one.is_uneven for one in found)


def test_patients_beyond_one_request_are_all_told(engine: Engine) -> None:
    engine.put([patient("X", key=f"p{number:04d}") for number in range(2_000)])
    assert len(list(engine.patients())) == 2_000


# --- rebuild -----------------------------------------------------------------------------------------------------


def test_rebuild_when_finished_replaces_everything_at_once(engine: Engine) -> None:
    engine.put([patient("old", key="old")])
    rebuild = engine.begin_rebuild()
    rebuild.put([patient("new", key="new")])
    assert found(engine) == ["old"]
    assert rebuild.finish() == 1
    assert found(engine) == ["new"]
    engine.put([patient("later", key="later")])
    assert found(engine) == ["later", "new"]


def test_rebuild_when_documents_are_put_meanwhile_has_them_too(engine: Engine) -> None:
    rebuild = engine.begin_rebuild()
    engine.put([patient("meanwhile", key="a", version=9)])
    rebuild.put([patient("stale", key="a", version=8), patient("other", key="b")])
    assert found(engine) == ["a"]
    rebuild.finish()
    assert found(engine, text="meanwhile") == ["a"]
    assert found(engine, text="stale") == []
    assert found(engine, text="other") == ["b"]


def test_rebuild_when_abandoned_leaves_the_old_index(engine: Engine) -> None:
    engine.put([patient("old", key="old")])
    rebuild = engine.begin_rebuild()
    rebuild.put([patient("new", key="new")])
    rebuild.abandon()
    rebuild.abandon()
    assert found(engine) == ["old"]
    with pytest.raises(RebuildSuperseded):
        rebuild.put([patient("new", key="new")])
    with pytest.raises(RebuildSuperseded):
        rebuild.finish()
    engine.put([patient("later", key="later")])
    assert found(engine) == ["later", "old"]


def test_rebuild_when_another_begins_is_superseded(engine: Engine) -> None:
    first = engine.begin_rebuild()
    first.put([patient("first", key="first")])
    second = engine.begin_rebuild()
    with pytest.raises(RebuildSuperseded):
        first.finish()
    first.abandon()
    second.put([patient("second", key="second")])
    second.finish()
    assert found(engine) == ["second"]


def test_rebuild_when_finished_twice_says_it_is_over(engine: Engine) -> None:
    rebuild = engine.begin_rebuild()
    rebuild.put([patient("new", key="new")])
    rebuild.finish()
    with pytest.raises(RebuildSuperseded):
        rebuild.put([patient("x", key="x")])
    rebuild.abandon()
    assert found(engine) == ["new"]


def test_check_of_a_sound_index_says_nothing(engine: Engine) -> None:
    engine.check()
