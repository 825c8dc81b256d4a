"""No name survives, wherever it hides; what parts of a course say of one another does."""

import io

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from archive.deidentification.cleaning import deidentify
from archive.deidentification.pseudonyms import Pseudonyms
from archive.deidentification.structure_names import is_telling_nothing
from archive.facts.receipts import PatientKey

PSEUDONYMS = Pseudonyms(bytes(32), PatientKey("one"))
SECRETS = (
    "Wang",
    "Xiaodong",
    "H-1001",
    "19610203",
    "1.3.6.1.4",
    "General Hospital",
    "Zhang",
    "Linac-7",
    "call her son",
)


def _plan() -> Dataset:
    plan = Dataset()
    plan.SpecificCharacterSet = "ISO_IR 192"
    plan.SOPClassUID, plan.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.5", "1.3.6.1.4.1"
    plan.PatientName, plan.PatientID, plan.PatientBirthDate = "Wang^Xiaodong=王^小东", "H-1001", "19610203"
    plan.PatientSex, plan.PatientAge = "F", "064Y"
    plan.InstitutionName, plan.ReferringPhysicianName, plan.OperatorsName = "General Hospital", "Zhang^Wei", "Zhang^Li"
    plan.RTPlanLabel, plan.RTPlanDate, plan.RTPlanTime = "Wang boost", "20250908", "093000"
    plan.Modality, plan.Manufacturer, plan.ApprovalStatus = "RTPLAN", "ACME", "APPROVED"
    plan.ReviewerName = "Zhang^Wei"
    plan.add_new(0x00091010, "LO", "H-1001")  # private
    plan.add_new(0x50003000, "OW", b"Wang")  # a curve
    beam = Dataset()
    beam.BeamNumber, beam.BeamName, beam.TreatmentMachineName, beam.BeamType = 1, "Wang AP", "Linac-7", "STATIC"
    beam.BeamDescription = "call her son"
    beam.RadiationType = "PHOTON"
    beam.add_new(0x300B1001, "LO", "Zhang")
    plan.BeamSequence = Sequence([beam])
    reference = Dataset()
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    reference.ReferencedSOPInstanceUID = "1.3.6.1.4.2"
    plan.ReferencedStructureSetSequence = Sequence([reference])
    return plan


def _bytes(dataset: Dataset) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    target = io.BytesIO()
    dataset.save_as(target, enforce_file_format=True)
    return target.getvalue()


def test_clean_when_a_plan_is_full_of_names_then_none_is_left_in_its_bytes() -> None:
    before = _bytes(_plan())
    assert all(secret.encode() in before for secret in SECRETS)
    plan = _plan()
    deidentify(plan, PSEUDONYMS)
    after = _bytes(plan)
    assert [secret for secret in (*SECRETS, "王") if secret.encode() in after] == []


def test_clean_when_done_then_the_profile_is_named_and_what_is_technical_stays() -> None:
    plan = _plan()
    deidentify(plan, PSEUDONYMS)
    assert (plan.PatientIdentityRemoved, plan.LongitudinalTemporalInformationModified) == ("YES", "MODIFIED")
    assert [code.CodeValue for code in plan.DeidentificationMethodCodeSequence] == ["113100", "113105", "113107"]
    assert (plan.Modality, plan.Manufacturer, plan.ApprovalStatus) == ("RTPLAN", "ACME", "APPROVED")
    assert plan.SOPClassUID == "1.2.840.10008.5.1.4.1.1.481.5"
    assert plan.RTPlanTime == "093000"
    assert plan.RTPlanDate == PSEUDONYMS.day("20250908")
    assert (plan.PatientBirthDate, plan.PatientSex) == ("", "")
    assert "PatientAge" not in plan
    (beam,) = plan.BeamSequence
    assert (beam.BeamNumber, beam.BeamType, beam.RadiationType) == (1, "STATIC", "PHOTON")


def test_clean_when_two_objects_name_one_thing_then_they_still_do() -> None:
    plan, record = _plan(), Dataset()
    record.SOPInstanceUID = "1.3.6.1.4.3"
    record.TreatmentMachineName = "Linac-7"
    plan_of = Dataset()
    plan_of.ReferencedSOPInstanceUID = "1.3.6.1.4.1"
    record.ReferencedRTPlanSequence = Sequence([plan_of])
    for one in (plan, record):
        deidentify(one, PSEUDONYMS)
    assert record.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.SOPInstanceUID
    assert record.TreatmentMachineName == plan.BeamSequence[0].TreatmentMachineName
    assert record.PatientID == plan.PatientID == PSEUDONYMS.patient_id


def test_clean_when_a_code_is_of_a_scheme_of_the_site_then_its_words_go() -> None:
    dataset = Dataset()
    standard, local = Dataset(), Dataset()
    standard.CodeValue, standard.CodingSchemeDesignator, standard.CodeMeaning = "T-62000", "SRT", "Liver"
    local.CodeValue, local.CodingSchemeDesignator, local.CodeMeaning = "7", "99SITE", "Dr Zhang's way"
    dataset.AnatomicRegionSequence = Sequence([standard, local])
    deidentify(dataset, PSEUDONYMS)
    kept, gone = dataset.AnatomicRegionSequence
    assert (kept.CodeValue, kept.CodeMeaning) == ("T-62000", "Liver")
    assert "Zhang" not in gone.CodeMeaning
    assert gone.CodeMeaning.startswith("LG-")


@pytest.mark.parametrize(
    "name", ["PTV", "CTV_6000", "PTVn2_High", "GTVp", "Parotid_L", "Lung R", "SpinalCord_PRV05", "BODY"]
)
def test_structure_name_when_it_is_a_common_one_then_it_may_stay(name: str) -> None:
    assert is_telling_nothing(name)
    assert _renamed(name) == name


@pytest.mark.parametrize("name", ["PTV Wang", "王小东", "wang_lung", "H-1001", "Zhang", "", "Lung_Wang_L"])
def test_structure_name_when_it_may_name_somebody_then_a_label_stands_in(name: str) -> None:
    assert not is_telling_nothing(name)
    assert name == "" or _renamed(name) == PSEUDONYMS.label(name)


def _renamed(name: str) -> str:
    dataset, roi = Dataset(), Dataset()
    roi.ROINumber, roi.ROIName = 1, name
    dataset.StructureSetROISequence = Sequence([roi])
    deidentify(dataset, PSEUDONYMS)
    return str(dataset.StructureSetROISequence[0].ROIName)
