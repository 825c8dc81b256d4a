"""What is kept by keyword for queries: as written, nothing empty, and said once for the slices of a series."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence

from archive.errors import FactDamaged
from archive.facts.receipts import PatientKey, Receipt, Source
from archive.facts.store import FactStore
from archive.headers import InstanceHeader
from archive.reading.attributes import ATTRIBUTES, OWN, SEQUENCES, SHARED, Level
from archive.reading.describe import describe
from storage.filesystem import FilesystemStore

KEY = PatientKey("ab" * 32)


def _image(number: int = 1, **values: object) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.SOPInstanceUID = f"1.2.3.{number}"
    dataset.Modality = "CT"
    dataset.Rows = dataset.Columns = 512
    dataset.StudyTime = "101500.25"
    dataset.AccessionNumber = "A 77"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def _receipt(header: InstanceHeader) -> Receipt:
    digest = header.sop_instance_uid.rjust(64, "0")
    return Receipt(
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        node="n",
        source=Source(kind="dicom"),
        disposition="stored",
        key=f"intake/dicom/00/{digest}",
        file_sha256=digest,
        file_sha512=digest,
        dataset_sha256=digest,
        size_bytes=1,
        header=header,
    )


def test_attributes_when_described_then_they_stand_as_written_and_empty_ones_are_left_out() -> None:
    header = describe(
        _image(StudyID="", ImageType=["ORIGINAL", "", "AXIAL"], ContentTime="101733", PatientWeight="71.50")
    )
    assert header.shared == {
        "StudyTime": "101500.25",
        "AccessionNumber": "A 77",
        "ImageType": "ORIGINAL\\\\AXIAL",
        "PatientWeight": "71.50",
        "Rows": "512",
        "Columns": "512",
    }
    assert header.own == {"ContentTime": "101733"}


def test_sequence_when_described_then_its_items_are_kept_without_what_nobody_asks_for() -> None:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "123", "99X", "Planning CT"
    item.MappingResource = "DCMR"
    header = describe(_image(ProcedureCodeSequence=Sequence([item, Dataset()])))
    assert header.shared["ProcedureCodeSequence"] == (
        {"CodeValue": "123", "CodingSchemeDesignator": "99X", "CodeMeaning": "Planning CT"},
    )


def test_person_when_described_then_all_groups_of_the_name_are_kept() -> None:
    header = describe(_image(SpecificCharacterSet="ISO_IR 192", ReferringPhysicianName="Wang^Li=王^丽=ㄨㄤ"))
    assert header.shared["ReferringPhysicianName"] == "Wang^Li=王^丽=ㄨㄤ"


def test_machine_when_it_stands_in_the_beams_of_a_plan_then_it_is_told_of_the_plan() -> None:
    beams = []
    for machine in ("L1", "L2", "L1"):
        beam = Dataset()
        beam.TreatmentMachineName = machine
        beams.append(beam)
    header = describe(_image(BeamSequence=Sequence(beams)))
    assert header.own["TreatmentMachineName"] == "L1\\L2"


def test_value_when_it_cannot_be_read_then_nothing_is_flagged_for_it() -> None:
    dataset = _image()
    dataset.add_new(0x00101030, "SQ", Sequence([Dataset()]))  # PatientWeight as a sequence
    header = describe(dataset)
    assert "PatientWeight" not in header.shared
    assert header.flags == ()


def test_every_attribute_has_one_level_and_one_place() -> None:
    listed = [keyword for level in Level for keyword in ATTRIBUTES[level]]
    assert len(listed) == len(set(listed))
    assert set(SHARED) | set(OWN) | set(SEQUENCES) <= set(listed)
    assert not set(SHARED) & set(OWN)


def test_receipts_when_slices_share_their_series_then_it_is_written_once_and_read_whole(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path)
    facts = FactStore(store, node="n")
    one = [describe(_image(n, ContentTime=f"1010{n:02d}")) for n in range(4)]
    other = [replace(header, shared={"StudyTime": "120000"}) for header in one[2:]]
    receipts = [_receipt(header) for header in (one[0], other[0], one[1], replace(other[1], shared={}), other[1])]
    name = facts.write_receipts(KEY, receipts)
    assert facts.read(KEY).receipts == tuple(receipts)
    written = store.read_bytes(name)
    assert written.count(b"101500.25") == 1
    assert written.count(b"120000") == 1
    assert facts.read_some(KEY, {"1.2.3.1"}).receipts == (receipts[2],)


def test_receipt_when_it_shares_with_a_line_that_is_missing_then_it_is_damaged(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path)
    facts = FactStore(store, node="n")
    name = facts.write_receipts(KEY, [_receipt(describe(_image(n))) for n in range(2)])
    path = tmp_path / name
    lines = path.read_bytes().splitlines(keepends=True)
    path.chmod(0o600)
    path.write_bytes(lines[1].replace(b'"shared_of":0', b'"shared_of":7'))
    with pytest.raises(FactDamaged, match="line 7"):
        facts.read(KEY)
