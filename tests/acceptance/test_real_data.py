"""All real data sets through the whole front of the house: nothing is lost, and both kinds of archive say the same."""

import hashlib
import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom.filereader import read_file_meta_info

from ingest.dataset.walker import Walker
from ingest.filing.quarantine import Quarantine
from lastgate.reception import receiving, take_in
from lastgate.wiring import House
from tests.acceptance import dcmtk
from tests.acceptance.houses import folded, found, in_order, local, on_servers
from tests.servers.seaweedfs import Seaweed

pytestmark = [pytest.mark.real_data, pytest.mark.server, pytest.mark.slow]

# What DCMTK itself does not send, and why.
UNSENDABLE = {
    "Dose_SmallWaterPhantom_resampled_optimized.dcm",  # its SOP Instance UID has more than 64 characters
    "RP.1.2.246.352.71.5.818656424269.463732.20180308211117.dcm",  # private class: storescu knows no such
    "chrSQEncoding.dcm",  # no SOP class
    "chrSQEncoding1.dcm",  # no SOP class
    "rtdose_rle.dcm",  # an odd length before its pixels
    "rtdose_rle_1frame.dcm",
    "rtplan_truncated.dcm",  # cut off
}


class Journey:
    """What one archive holds after everything came in."""

    def __init__(self, house: House, *, dispositions: Counter[str]) -> None:
        self.dispositions = dispositions
        self.receipts = [one for key in house.facts.patients() for one in house.facts.read(key).receipts]
        self.quarantined = list(Quarantine(house.stores.work).list())
        self.find = found(house)
        self.folded = folded(house)
        self.stored_bytes = {
            key: hashlib.sha256(house.stores.work.read_bytes(key)).hexdigest()
            for key in {receipt.key for receipt in self.receipts} | {note.key for note in self.quarantined}
        }


@pytest.fixture(scope="module")
def backends(
    tmp_path_factory: pytest.TempPathFactory, seaweedfs: Seaweed, elasticsearch_url: str
) -> Iterator[dict[str, list[House]]]:
    base = tmp_path_factory.mktemp("houses")
    with ExitStack() as stack:
        yield {
            "local": [stack.enter_context(local(base / f"local-{n}")) for n in range(2)],
            "servers": [
                stack.enter_context(on_servers(base / f"servers-{n}", seaweedfs, elasticsearch_url)) for n in range(2)
            ],
        }


@pytest.fixture(scope="module")
def imported(backends: dict[str, list[House]], real_data: Path) -> dict[str, Journey]:
    journeys = {}
    for name, (house, _) in backends.items():
        report = take_in(house, [real_data])
        journeys[name] = Journey(house, dispositions=Counter(report.counts))
    return journeys


@pytest.fixture(scope="module")
def dicom_files(real_data: Path) -> list[Path]:
    return sorted(real_data.rglob("*.dcm"))


@pytest.fixture(scope="module")
def sent(backends: dict[str, list[House]], dicom_files: list[Path]) -> dict[str, tuple[dcmtk.Shipment, Journey]]:
    journeys = {}
    for name, (_, house) in backends.items():
        with receiving(house, port=0) as reception:
            shipment = dcmtk.storescu(dicom_files, port=reception.port, aet="LASTGATE")
            counts = reception.file()
        journeys[name] = (shipment, Journey(house, dispositions=counts))
    return journeys


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A data set as an independent receiver wrote it."""

    transfer_syntax_uid: str
    dataset_sha256: str
    content_sha256: str

    @classmethod
    def of(cls, path: Path) -> "Judged":
        """Digest everything behind the file meta group, whose length its first element tells (PS3.10 7.1)."""
        body = path.read_bytes()
        assert body[128:136] == b"DICM\x02\x00\x00\x00"
        dataset = body[144 + int.from_bytes(body[140:144], "little") :]
        syntax = str(read_file_meta_info(path).TransferSyntaxUID)
        walked = Walker(io.BytesIO(dataset), syntax, size_bytes=len(dataset)).walk()
        assert walked.content_sha256 is not None
        return cls(
            transfer_syntax_uid=syntax,
            dataset_sha256=hashlib.sha256(dataset).hexdigest(),
            content_sha256=walked.content_sha256,
        )


@pytest.fixture(scope="module")
def judge(dicom_files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Judged]:
    """Digests of the data sets as an independent receiver got them over the wire."""
    folder = tmp_path_factory.mktemp("judge") / "received"
    with dcmtk.storescp(folder) as port:
        dcmtk.storescu(dicom_files, port=port, aet="JUDGE")
    return [Judged.of(path) for path in folder.iterdir()]


@pytest.mark.parametrize("backend", ["local", "servers"])
def test_import_when_all_real_data_come_then_every_file_is_stored_or_quarantined(
    imported: dict[str, Journey], real_data: Path, backend: str
) -> None:
    journey = imported[backend]
    files = [path for path in real_data.rglob("*") if path.is_file()]
    members = [zipfile.ZipFile(path).namelist() for path in files if path.suffix == ".zip"]
    taken = len(files) - len(members) + sum(len([name for name in one if not name.endswith("/")]) for one in members)
    assert sum(journey.dispositions.values()) == taken
    assert journey.dispositions["refused"] == journey.dispositions["lost"] == journey.dispositions["waiting"] == 0
    kept = [journey.dispositions[what] for what in ("stored", "duplicate", "variant", "conflict")]
    assert len(journey.receipts) == sum(kept)
    assert len(journey.quarantined) == journey.dispositions["quarantined"]


@pytest.mark.parametrize("backend", ["local", "servers"])
def test_import_when_files_are_kept_then_their_bytes_are_those_of_the_files(
    imported: dict[str, Journey], real_data: Path, backend: str
) -> None:
    journey = imported[backend]
    originals = {hashlib.sha256(path.read_bytes()).hexdigest() for path in real_data.rglob("*") if path.is_file()}
    for path in real_data.rglob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            originals |= {hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
    assert set(journey.stored_bytes.values()) <= originals
    assert all(journey.stored_bytes[one.key] == one.file_sha256 for one in journey.receipts)
    assert all(journey.stored_bytes[one.key] == one.sha256 for one in journey.quarantined)


@pytest.mark.parametrize("backend", ["local", "servers"])
def test_storescu_when_all_real_data_are_sent_then_sent_is_stored_plus_quarantined(
    sent: dict[str, tuple[dcmtk.Shipment, Journey]], dicom_files: list[Path], backend: str
) -> None:
    shipment, journey = sent[backend]
    assert {path.name for path in shipment.unsendable} == UNSENDABLE
    assert len(shipment.answers) == len(dicom_files) - len(UNSENDABLE)
    assert len(journey.receipts) + len(journey.quarantined) == len(shipment.answers)
    refused = {path.name: answer for path, answer in shipment.answers.items() if answer != "Success"}
    assert refused == {"Plan_SmallWaterPhantom_resampled_optimized.dcm": "Error: CannotUnderstand"}
    assert [note.reason for note in journey.quarantined] == ["LG-ING-110"]


@pytest.mark.parametrize("backend", ["local", "servers"])
def test_storescu_when_data_sets_are_kept_then_they_are_what_came_over_the_wire(
    sent: dict[str, tuple[dcmtk.Shipment, Journey]], judge: list[Judged], backend: str
) -> None:
    """The judge asks for explicit encoding, we take what the sender has: those are compared by content."""
    _, journey = sent[backend]
    ours = {(one.transfer_syntax_uid, one.dataset_sha256) for one in journey.receipts}
    syntaxes = Counter((one.content_sha256, one.transfer_syntax_uid) for one in journey.receipts)
    alike = [one for one in judge if syntaxes[one.content_sha256, one.transfer_syntax_uid]]
    assert len(judge) == len(journey.receipts) + len(journey.quarantined)
    assert len(alike) > len(judge) // 3
    assert all((one.transfer_syntax_uid, one.dataset_sha256) in ours for one in alike)
    contents = Counter(one.content_sha256 or "" for one in journey.receipts)
    missed = Counter(one.content_sha256 for one in judge) - contents
    assert missed.total() == len(journey.quarantined)


@pytest.mark.parametrize("way", ["imported", "sent"])
def test_find_when_asked_of_both_kinds_of_archive_then_the_answers_are_equal(
    imported: dict[str, Journey], sent: dict[str, tuple[dcmtk.Shipment, Journey]], way: str
) -> None:
    journeys = imported if way == "imported" else {name: journey for name, (_, journey) in sent.items()}
    local_answer, server_answer = journeys["local"].find, journeys["servers"].find
    assert len(local_answer) > 30
    assert in_order(local_answer) == journeys["local"].folded
    assert _undated(local_answer) == _undated(server_answer)


def test_rebuild_when_the_index_is_lost_then_find_answers_as_before(backends: dict[str, list[House]]) -> None:
    for houses in backends.values():
        before = found(houses[0])
        houses[0].rebuild()
        assert found(houses[0]) == before


def _undated(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out on which day things arrived: a run may begin before midnight and end behind it."""
    for answer in answers:
        for finding in answer["findings"]:
            finding["since"] = None
    return answers
