"""Bad input through the whole house: it ends in quarantine or as a finding, and the next good instance is taken."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest

from ingest.dataset.part10 import file_header, find_dataset
from ingest.filing.quarantine import Quarantine, QuarantineNote
from ingest.retrieve.sender import Peer, send
from lastgate.reception import Reception, receiving, take_in
from lastgate.sample import Department
from lastgate.wiring import House
from lastgate.worklist import worklist
from search.kinds import Kind
from search.query import Query
from tests.acceptance import dcmtk
from tests.acceptance.houses import found, local

pytestmark = pytest.mark.server

ROOT = "1.2.826.0.1.3680043.9.7229"
EXPLICIT = "1.2.840.10008.1.2.1"
RT_PLAN = "1.2.840.10008.5.1.4.1.1.481.5"
WAYS = ("storescu", "raw", "import")
PLAN_LABEL = b"\x0a\x30\x02\x00"
FRACTIONS_PLANNED = b"\x0a\x30\x78\x00"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One kind of bad input.

    Parameters
    ----------
    spoil
        Makes it of a sound file.
    reason
        Code under which it lies in quarantine, by way; empty where it is taken.
    finding
        Code of the finding it makes, empty where it is in quarantine.
    said
        Words of the message.
    """

    number: int
    spoil: Callable[[bytes], bytes]
    reason: dict[str, str] = field(default_factory=dict)
    finding: str = ""
    said: str = ""


def _cut(body: bytes) -> bytes:
    return body[:-7]


def _text(_: bytes) -> bytes:
    return b"Dear colleague, this is no DICOM file at all.\n"


def _empty(_: bytes) -> bytes:
    return b""


def _with_vr(element: bytes, right: bytes, wrong: bytes) -> Callable[[bytes], bytes]:
    """Give an element another value representation and leave its value as it is."""

    def spoil(body: bytes) -> bytes:
        assert body.count(element + right) == 1
        return body.replace(element + right, element + wrong)

    return spoil


def _without_patient_id(body: bytes) -> bytes:
    dataset = pydicom.dcmread(BytesIO(body))
    dataset.PatientID = ""
    return _written(dataset)


def _as_it_is(body: bytes) -> bytes:
    return body


CASES = {
    "truncated": Case(number=1, spoil=_cut, reason=dict.fromkeys(("raw", "import"), "LG-ING-102"), said="are left"),
    "no DICOM": Case(number=2, spoil=_text, reason={"raw": "LG-ING-1", "import": "LG-ING-406"}),
    "empty": Case(number=3, spoil=_empty, reason={"raw": "LG-ING-101"}, said="no element"),
    "unknown VR": Case(
        number=4,
        spoil=_with_vr(PLAN_LABEL, b"SH", b"ZZ"),
        reason=dict.fromkeys(("raw", "import"), "LG-ING-105"),
        said="(300A,0002) at byte",
    ),
    "wrong VR": Case(
        number=5,
        spoil=_with_vr(FRACTIONS_PLANNED, b"IS", b"US"),
        finding="UNREADABLE-VALUES",
        said="NumberOfFractionsPlanned",
    ),
    "unknown patient": Case(number=6, spoil=_without_patient_id, finding="PATIENT-UNKNOWN", said="no patient ID"),
    "plan without dose": Case(number=7, spoil=_as_it_is, finding="DOSE-MISSING", said="has no dose grid"),
}
UNSENDABLE = {"truncated", "no DICOM", "empty", "unknown VR"}
"""What DCMTK refuses to send."""


def _written(dataset: pydicom.Dataset) -> bytes:
    stream = BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


class Journeys:
    """An archive for each way in, and what was given to it."""

    def __init__(self, base: Path, plan: Path, stack: ExitStack) -> None:
        self.base = base
        self.template = plan
        self.houses = {way: stack.enter_context(local(base / way)) for way in WAYS}
        self.sent: Counter[str] = Counter()

    def good(self, way: str, patient: str, number: int) -> bytes:
        """Return a sound plan of a patient."""
        dataset = pydicom.dcmread(self.template)
        dataset.PatientID, dataset.PatientName = patient, f"Bad^{patient}"
        for keyword, last in (("StudyInstanceUID", 1), ("SeriesInstanceUID", 2), ("SOPInstanceUID", 3)):
            setattr(dataset, keyword, f"{ROOT}.{WAYS.index(way)}.{number}.{last}")
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        return _written(dataset)

    def give(self, way: str, *bodies: bytes) -> list[str]:
        """Bring files in, one after the other in one go, and return what was answered to each."""
        paths = []
        for body in bodies:
            self.sent[way] += 1
            path = self.base / f"{way}-{self.sent[way]}.dcm"
            path.write_bytes(body if way != "raw" else _with_header(body))
            paths.append(path)
        house = self.houses[way]
        if way == "import":
            return [line.disposition for line in take_in(house, paths).lines]
        with receiving(house, port=0) as reception:
            answers = _over_dicom(way, paths, reception)
            reception.file()
        return answers

    def quarantined(self, way: str) -> list[QuarantineNote]:
        """Return what lies in quarantine."""
        return list(Quarantine(self.houses[way].stores.work).list())


def _over_dicom(way: str, paths: list[Path], reception: Reception) -> list[str]:
    if way == "raw":
        peer = Peer(aet="LASTGATE", host="127.0.0.1", port=reception.port)
        return ["stored" if one.is_stored else f"{one.status:04X}" for one in send(paths, peer, calling="BAD")]
    shipment = dcmtk.storescu(paths, port=reception.port, aet="LASTGATE")
    told = {path: "stored" if answer == "Success" else answer for path, answer in shipment.answers.items()}
    return [told.get(path, "unsendable") for path in paths]


def _with_header(body: bytes) -> bytes:
    """Return the bytes as a data set to be sent blindly, announced as what they should have been."""
    layout = find_dataset(BytesIO(body)) if body[128:132] == b"DICM" else None
    if layout is not None:
        return body
    return file_header(sop_class_uid=RT_PLAN, sop_instance_uid=f"{ROOT}.9", transfer_syntax_uid=EXPLICIT) + body


@pytest.fixture(scope="module")
def journeys(tmp_path_factory: pytest.TempPathFactory, sample_department: Department) -> Iterator[Journeys]:
    plan = sample_department.patient("SAMPLE-0005").courses[0].plans[0].path
    with ExitStack() as stack:
        yield Journeys(tmp_path_factory.mktemp("bad"), plan, stack)


def _answer(house: House, patient: str) -> dict[str, Any]:
    (hit,) = house.hits(Query(kind=Kind.DOSSIER, patient_id=patient)) if patient else _nameless(house)
    return hit.body


def _nameless(house: House) -> list[Any]:
    return [hit for hit in house.hits(Query(kind=Kind.DOSSIER)) if not hit.body["patient"]["ids"]]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_bad_input_when_it_comes_then_it_is_kept_and_told_and_the_next_good_instance_is_taken(
    journeys: Journeys, name: str, way: str
) -> None:
    case, house = CASES[name], journeys.houses[way]
    bad = case.spoil(journeys.good(way, f"P{case.number}", case.number))
    next_good = journeys.good(way, f"N{case.number}", 100 + case.number)
    before = len(journeys.quarantined(way))

    answers = journeys.give(way, bad, next_good)

    assert answers[1] == "stored"
    assert _answer(house, f"N{case.number}")["instances"] == 1
    if way == "storescu" and name in UNSENDABLE:
        assert answers[0] == "unsendable"
        return
    if name == "empty" and way == "import":
        assert answers[0] == "refused"  # there is nothing to keep; the line of the report says so
    elif case.reason:
        assert answers[0] == ("quarantined" if way == "import" else "C000")
        _check_quarantined(journeys, way, bad, case.reason[way], case.said, before)
    elif case.finding:
        assert answers[0] == "stored"
        _check_found(_answer(house, "" if name == "unknown patient" else f"P{case.number}"), case)


def _check_quarantined(journeys: Journeys, way: str, bad: bytes, reason: str, said: str, before: int) -> None:
    """The bytes lie in quarantine as they came, with a code, a sentence and what to do."""
    notes = journeys.quarantined(way)
    assert len(notes) == before + 1
    (note,) = [one for one in notes if one.reason.startswith(reason) and _holds(journeys.houses[way], one, bad)]
    assert said in note.message
    assert note.hint
    listed = [one for one in worklist(journeys.houses[way])["quarantine"] if one["sha256"] == note.sha256]
    assert [one["message"] for one in listed] == [note.message]


def _holds(house: House, note: QuarantineNote, bad: bytes) -> bool:
    body = house.stores.work.read_bytes(note.key)
    assert hashlib.sha256(body).hexdigest() == note.sha256
    layout = find_dataset(BytesIO(bad)) if bad[128:132] == b"DICM" else None
    return body.endswith(bad[layout.dataset_offset :] if layout else bad)


def _check_found(answer: dict[str, Any], case: Case) -> None:
    (finding,) = [one for one in answer["findings"] if one["code"] == case.finding]
    assert case.said in finding["message"]
    assert finding["fix"] or finding["severity"] == "note"
    assert answer["state"] == "open"


@pytest.mark.parametrize("way", WAYS)
def test_bad_input_when_a_uid_comes_again_with_other_bytes_then_both_are_kept_and_it_is_a_finding(
    journeys: Journeys, way: str
) -> None:
    first = journeys.good(way, "P20", 20)
    dataset = pydicom.dcmread(BytesIO(first))
    dataset.RTPlanLabel = "Rectum_60Gy"
    other, house = _written(dataset), journeys.houses[way]
    again = "duplicate" if way == "import" else "stored"

    answers = journeys.give(way, first, other, first, journeys.good(way, "N20", 120))

    assert answers == ["stored", "conflict" if way == "import" else "stored", again, "stored"]
    record = house.patient("P20")
    receipts = house.facts.read(record.key).receipts
    assert Counter(receipt.disposition for receipt in receipts) == {"stored": 2, "conflict": 1}
    assert len({receipt.key for receipt in receipts}) == 2
    answer = _answer(house, "P20")
    (finding,) = [one for one in answer["findings"] if one["code"] == "CONFLICT"]
    assert "arrived 2 times with different contents" in finding["message"]
    assert (answer["instances"], answer["plans"][0]["label"]) == (1, "Rectum_50Gy")
    if way == "import":
        stored = {receipt.key: house.stores.work.read_bytes(receipt.key) for receipt in receipts}
        assert set(stored.values()) == {first, other}


@pytest.mark.parametrize("way", WAYS)
def test_bad_input_when_all_has_come_then_every_object_is_receipted_or_quarantined(
    journeys: Journeys, way: str
) -> None:
    """Runs last: what was acknowledged, and what was refused with its bytes, adds up to what was sent."""
    house = journeys.houses[way]
    kept_nothing = {"storescu": len(UNSENDABLE), "raw": 0, "import": len({"empty"})}[way]
    receipts = [one for key in house.facts.patients() for one in house.facts.read(key).receipts]
    assert len(receipts) + len(journeys.quarantined(way)) == journeys.sent[way] - kept_nothing
    assert journeys.sent[way] == 2 * len(CASES) + 4
    before = found(house)
    house.rebuild()
    assert found(house) == before
    assert house.journal.flush() > 0
    assert house.journal.verify() > 0
