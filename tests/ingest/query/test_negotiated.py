"""What only a negotiating peer can ask for, and how queries end: pynetdicom as SCU.

Its associations are ours: in those of pynetdicom 3.0.4 the reactor takes an answer away now and then that comes within
a millisecond of the request.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from ingest.node.reactor import ReactorAssociation
from ingest.node.requesting import associate
from ingest.query import rows
from search.base import Page
from search.query import Query
from search.sqlite import SqliteEngine
from tests.ingest.query.conftest import MOST_ANSWERS, Queried
from tests.ingest.query.corpus import uid

PATIENT_ROOT = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"
SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")


@contextmanager
def associated(queried: Queried, wanted: bytes = b"", syntax: str = SYNTAXES[1]) -> Iterator[Association]:
    """Associate for queries, and negotiate `wanted` if it is given."""
    items: list[Any] = []
    for model in (PATIENT_ROOT, STUDY_ROOT) if wanted else ():
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid, item.service_class_application_information = model, wanted
        items.append(item)
    association = associate(
        AE(ae_title="ASKER"),
        ("127.0.0.1", queried.port),
        ae_title="LASTGATE",
        contexts=[build_context(model, syntax) for model in (PATIENT_ROOT, STUDY_ROOT)],
        negotiation=items,
    )
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def query(level: str, **keys: object) -> Dataset:
    """Return an identifier."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def answered(association: Association, asked: Dataset, model: str = STUDY_ROOT) -> tuple[list[Dataset], list[int]]:
    """Return the answers, and the status of every response."""
    responses = list(association.send_c_find(asked, model))
    return [one for _, one in responses if one is not None], [status.Status for status, _ in responses]


def numbers(answers: list[Dataset]) -> set[int]:
    """Return the numbers of the studies found."""
    return {int(one.StudyInstanceUID.rsplit(".", 1)[1]) for one in answers}


def test_negotiation_when_everything_is_asked_for_then_what_is_offered_is_agreed_on(queried: Queried) -> None:
    with associated(queried, b"\1\1\1\1\1") as association:
        agreed = association.acceptor.sop_class_extended
    assert agreed == {PATIENT_ROOT: b"\1\1\1\0\0", STUDY_ROOT: b"\1\1\1\0\0"}


@pytest.mark.parametrize(
    ("level", "keys", "expected"),
    [
        ("IMAGE", {"SOPInstanceUID": uid(1, 2, 1)}, {(1, uid(1, 2, 1))}),
        ("IMAGE", {"SeriesInstanceUID": uid(4, 1), "SOPInstanceUID": ""}, {(4, uid(4, 1, 1)), (4, uid(4, 1, 2))}),
        ("IMAGE", {"PatientID": "0042", "InstanceNumber": "1", "SOPInstanceUID": ""},
         {(3, uid(3, 1, 1)), (4, uid(4, 1, 1))}),
        ("SERIES", {"Modality": "MR", "SeriesInstanceUID": ""}, {(3, ""), (4, "")}),
        ("SERIES", {"PatientName": "Smith^John*", "SeriesInstanceUID": ""}, {(3, "")}),
        ("SERIES", {"SeriesInstanceUID": uid(1, 1), "AccessionNumber": "A999"}, set()),
        ("SERIES", {"AccessionNumber": "A10*", "Modality": ["RTPLAN", "RTRECORD"], "SeriesInstanceUID": ""},
         {(1, ""), (2, "")}),
    ],
)  # fmt: skip
def test_relational_query_when_agreed_on_then_upper_keys_need_not_be_there(
    queried: Queried, level: str, keys: dict[str, str], expected: set[tuple[int, str]]
) -> None:
    asked = query(level, **keys)
    with associated(queried, b"\1") as association:
        answers, _ = answered(association, asked)
    found = {(int(one.StudyInstanceUID.rsplit(".", 1)[1]), one.get("SOPInstanceUID", "")) for one in answers}
    assert found == expected
    with associated(queried) as association:
        _, statuses = answered(association, asked)
    assert statuses == [0xA900]


@pytest.mark.parametrize(("wanted", "expected"), [(b"\0\1", {2, 5}), (b"", {1, 2, 5}), (b"\1\0", {1, 2, 5})])
def test_date_and_time_when_combining_is_agreed_on_then_they_are_one_range(
    queried: Queried, wanted: bytes, expected: set[int]
) -> None:
    # from 15 January, 10:15:10, to 31 December, 24:00
    asked = query("STUDY", StudyInstanceUID="", StudyDate="20240115-20241231", StudyTime="101510-235959")
    alone = query("STUDY", StudyInstanceUID="", StudyDate="20240115-20241231", StudyTime="101500-235959")
    with associated(queried, wanted) as association:
        found = numbers(answered(association, asked)[0])
        assert numbers(answered(association, alone)[0]) == {1, 2, 5}
    assert found == (expected if wanted[1:2] == b"\1" else {2, 5})


def test_date_and_time_when_combined_then_the_time_counts_on_the_last_day_alone(queried: Queried) -> None:
    # study 2 is of 1 March, 23:59: inside from January to 2 March 08:00 taken together, outside each for itself
    asked = query("STUDY", StudyInstanceUID="", StudyDate="20240116-20240302", StudyTime="070000-080000")
    for wanted, expected in ((b"\0\1", {2}), (b"", set())):
        with associated(queried, wanted) as association:
            assert numbers(answered(association, asked)[0]) == expected


@pytest.mark.parametrize(
    ("name", "fuzzy", "strict"),
    [
        ("xiaodong wang", {1, 2, 7}, set()),
        ("wang", {1, 2, 6, 7}, set()),
        ("小东", {1, 2, 7}, set()),
        ("wxd", {1, 2, 7}, set()),
        ("Smith", {3, 4}, set()),
        ("jürg", {5}, set()),
        ("WANG^*", {1, 2, 6, 7}, {1, 2}),
    ],
)
def test_name_when_fuzzy_matching_is_agreed_on_then_it_is_found_as_people_type_it(
    queried: Queried, name: str, fuzzy: set[int], strict: set[int]
) -> None:
    asked = query("STUDY", StudyInstanceUID="", PatientName=name)
    with associated(queried, b"\0\0\1") as association:
        assert numbers(answered(association, asked)[0]) == fuzzy
    with associated(queried) as association:
        assert numbers(answered(association, asked)[0]) == strict


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_answer_when_any_transfer_syntax_is_agreed_on_then_it_is_the_same(queried: Queried, syntax: str) -> None:
    keys = {"StudyInstanceUID": uid(1), "SeriesInstanceUID": uid(1, 1), "SOPInstanceUID": "", "Rows": None}
    asked = query(
        "IMAGE", **keys, PatientName="", OtherPatientIDsSequence=[Dataset()], InstanceNumber="3", ImageType=""
    )
    with associated(queried, syntax=syntax) as association:
        (answer,), statuses = answered(association, asked)
    assert statuses == [0xFF00, 0x0000]
    assert (answer.Rows, answer.InstanceNumber, answer.SOPInstanceUID) == (512, 3, uid(1, 1, 3))
    assert str(answer.PatientName) == "Wang^XiaoDong=王^小东"
    assert answer.OtherPatientIDsSequence[0].PatientID == "X-9"


def test_key_when_we_do_not_know_it_then_it_comes_back_empty_with_ff01(queried: Queried) -> None:
    asked = query("STUDY", StudyInstanceUID=uid(1), ImagingFrequency="", PatientName="")
    asked.add_new(0x00091010, "LO", "private")
    with associated(queried) as association:
        (answer,), statuses = answered(association, asked)
    assert statuses == [0xFF01, 0x0000]
    assert answer["ImagingFrequency"].is_empty
    assert answer[0x00091010].is_empty
    assert answer.PatientName


def test_query_when_it_has_more_answers_than_allowed_then_it_ends_with_a700_after_them(queried: Queried) -> None:
    with associated(queried, b"\1") as association:
        answers, statuses = answered(association, query("IMAGE", SOPInstanceUID=""))
        assert len(answers) == MOST_ANSWERS
        assert statuses[-1] == 0xA700
        assert queried.told().hits == MOST_ANSWERS
        # and the association lives on
        assert numbers(answered(association, query("STUDY", StudyInstanceUID=uid(1)))[0]) == {1}


def test_query_when_it_lists_ten_thousand_uids_then_it_is_answered_and_one_more_is_refused(queried: Queried) -> None:
    uids = [uid(5), *(f"1.2.{number}" for number in range(9_999))]
    with associated(queried, syntax=SYNTAXES[0]) as association:
        assert numbers(answered(association, query("STUDY", StudyInstanceUID=uids))[0]) == {5}
        _, statuses = answered(association, query("STUDY", StudyInstanceUID=[*uids, "1.2.3.4"]))
    assert statuses == [0xA700]


def test_query_when_its_key_is_longer_than_a_megabyte_then_it_is_refused(queried: Queried) -> None:
    asked = query("STUDY", StudyInstanceUID="")
    asked.add_new(0x00104000, "UT", "x" * 1_100_000)
    with associated(queried, syntax=SYNTAXES[0]) as association:
        _, statuses = answered(association, asked)
        assert statuses == [0xA700]
        assert numbers(answered(association, query("STUDY", StudyInstanceUID=uid(1)))[0]) == {1}


def test_query_when_it_is_cancelled_then_it_ends_with_fe00_and_the_association_goes_on(
    queried: Queried, engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_FIRST_PAGE", "_PAGE"):
        monkeypatch.setattr(rows, name, 1)
    searching, cancelled = threading.Event(), threading.Event()
    search = engine.search

    def slow(asked: Query) -> Page:
        if asked.cursor is not None:
            searching.set()
            assert cancelled.wait(10)
        return search(asked)

    monkeypatch.setattr(engine, "search", slow)
    with associated(queried) as association:
        responses = association.send_c_find(query("STUDY", StudyInstanceUID=""), STUDY_ROOT, msg_id=7)
        assert next(responses)[0].Status == 0xFF00
        assert searching.wait(10)  # else it may be heard before we can see that it has come
        association.send_c_cancel(7, query_model=STUDY_ROOT)
        _until(lambda: _served(queried).dul.connection.ready)
        cancelled.set()
        assert [status.Status for status, _ in responses][-1] == 0xFE00
        told = queried.told()
        assert told.outcome == "cancelled"
        assert told.hits < 7
        assert numbers(answered(association, query("STUDY", StudyInstanceUID=uid(1)))[0]) == {1}


def _served(queried: Queried) -> ReactorAssociation:
    _until(lambda: sum(one.is_established for one in queried.associations()) == 1)
    (association,) = [one for one in queried.associations() if one.is_established]
    assert isinstance(association, ReactorAssociation)
    return association


def _until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_trail_when_a_query_ends_then_it_holds_the_keys_and_nothing_of_the_answers(queried: Queried) -> None:
    with associated(queried) as association:
        answered(association, query("STUDY", StudyInstanceUID="", PatientName="Smith*", PatientBirthDate=""))
    told = queried.told()
    assert (told.peer, told.model, told.level, told.hits, told.outcome) == ("ASKER", "Study Root", "STUDY", 2, "done")
    assert told.keys == {"PatientName": "Smith*"}
    assert told.address == "127.0.0.1"


def test_patient_root_when_asked_for_series_then_patient_and_study_must_be_named(queried: Queried) -> None:
    whole = query("SERIES", PatientID="H-0001", StudyInstanceUID=uid(1), SeriesInstanceUID="")
    lacking = query("SERIES", StudyInstanceUID=uid(1), SeriesInstanceUID="")
    other = query("SERIES", PatientID="0042", StudyInstanceUID=uid(1), SeriesInstanceUID="")
    with associated(queried) as association:
        assert len(answered(association, whole, PATIENT_ROOT)[0]) == 2
        assert answered(association, lacking, PATIENT_ROOT)[1] == [0xA900]
        assert answered(association, other, PATIENT_ROOT)[1] == [0x0000]
