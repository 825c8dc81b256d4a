"""Composite dose of real plans through the whole house, judged by SimpleITK from the files alone."""

import hashlib
import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian, RTBeamsTreatmentRecordStorage

from archive.model import PatientRecord, Plan
from archive.uids import is_own
from courses.composite import Composite, compose
from courses.delivered import DeliveredDose, delivered_dose
from courses.summing import eqd2_sum
from dose.biology.tissues import Tissue
from dose.grids.accumulate import Part, accumulate
from dose.objects.dicom import read_dose
from dose.objects.write import UNKNOWN_ROI
from lastgate.composing import compose_patient
from lastgate.reception import take_in
from lastgate.wiring import House
from tests.acceptance.houses import local
from tests.dose.judge import ITK
from tests.factories import uid

pytestmark = pytest.mark.real_data

Floats = npt.NDArray[np.float64]
PATIENT = "WTR303030"


class Judged:
    """A dose file as SimpleITK reads it, in gray."""

    def __init__(self, path: Path) -> None:
        self.image = ITK.ReadImage(str(path))
        self.dose_gy: Floats = ITK.GetArrayFromImage(self.image) * float(self.image.GetMetaData("3004|000e"))

    def onto(self, other: "Judged") -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Resample onto the grid of another dose; with where that lies within the hull of voxel centres."""
        source = ITK.GetImageFromArray(self.dose_gy)
        source.CopyInformation(self.image)
        values = ITK.GetArrayFromImage(ITK.Resample(source, other.image, ITK.Transform(), ITK.sitkLinear, 0.0))
        inside = np.ones(values.shape, dtype=np.bool_)
        for axis in range(3):  # x, y, z; no grid is turned
            at, last = (
                np.array(one.image.GetOrigin()[axis])
                + np.arange(one.image.GetSize()[axis]) * one.image.GetSpacing()[axis]
                for one in (other, self)
            )
            here = (at >= last[0] - 0.005) & (at <= last[-1] + 0.005)
            inside &= here.reshape([-1 if 2 - axis == n else 1 for n in range(3)])
        return values, inside


@pytest.fixture(scope="module")
def house(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """An archive that took in the proton plans."""
    with local(tmp_path_factory.mktemp("house") / "home") as opened:
        take_in(opened, [real_data / "dcpt_let"])
        yield opened


@pytest.fixture(scope="module")
def folder(house: House, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the composite of four plans was written."""
    where = tmp_path_factory.mktemp("composite")
    compose_patient(house, house.patient(PATIENT), onto="", as_of=None, as_planned=True, folder=where)
    return where


@pytest.fixture(scope="module")
def stored(real_data: Path) -> list[Judged]:
    """The four dose grids of the patient as they lie in the data set."""
    paths = sorted((real_data / "dcpt_let").rglob("RD*.dcm"))
    mine = [path for path in paths if dcmread(path, stop_before_pixels=True).PatientID == PATIENT]
    assert len(mine) == 4
    return [Judged(path) for path in mine]


def test_composite_when_read_by_simpleitk_then_it_is_its_own_sum_of_the_four_grids(
    folder: Path, stored: list[Judged]
) -> None:
    ours = Judged(folder / "composite-dose.dcm")
    parts = [one.onto(ours) for one in stored]
    known = np.all([inside for _, inside in parts], axis=0)
    judge = np.sum([values for values, _ in parts], axis=0)
    assert 0.5 < known.mean() < 1
    # asked for is 0.1 % of the maximum (7.4 Gy); measured 1.6e-7 of it, from float32 sums and steps of 2^-31
    assert np.abs(ours.dose_gy - judge)[known].max() < 1e-6 * judge.max()


def test_composite_when_a_voxel_is_unknown_then_it_holds_the_upper_estimate(folder: Path, stored: list[Judged]) -> None:
    ours = Judged(folder / "composite-dose.dcm")
    worst = np.zeros(ours.dose_gy.shape)
    for one in stored:
        values, inside = one.onto(ours)
        worst += np.where(inside, values, one.dose_gy.max())
    assert np.abs(ours.dose_gy - worst).max() < 1e-6 * worst.max()


def test_composite_when_anything_is_unknown_then_it_says_incomplete_and_the_structure_marks_those_voxels(
    folder: Path, stored: list[Judged]
) -> None:
    ours, structures = Judged(folder / "composite-dose.dcm"), dcmread(folder / "dose-unknown.dcm")
    known = np.all([one.onto(ours)[1] for one in stored], axis=0)
    (roi,) = structures.StructureSetROISequence
    assert roi.ROIName == UNKNOWN_ROI
    assert np.array_equal(_drawn(structures, ours), ~known)
    for made in (dcmread(folder / "composite-dose.dcm"), structures):
        assert made.SeriesDescription.startswith("INCOMPLETE")
        assert is_own(made.SOPInstanceUID)
        assert made.PatientID == PATIENT


def _drawn(structures: Dataset, dose: Judged) -> npt.NDArray[np.bool_]:
    """Voxels whose centres lie inside the contours: a line from each centre towards -x crosses them an odd number of
    times."""
    found = np.zeros(dose.dose_gy.shape, dtype=np.bool_)
    origin, spacing = np.array(dose.image.GetOrigin()), np.array(dose.image.GetSpacing())
    for contour in structures.ROIContourSequence[0].ContourSequence:
        points = (np.array(contour.ContourData, dtype=float).reshape(-1, 3) - origin) / spacing
        plane = found[round(points[0, 2])]
        for start, end in zip(points, np.roll(points, -1, axis=0), strict=True):
            if abs(start[0] - end[0]) < 1e-3:  # along y: what lies beyond it changes sides
                low, high = sorted((start[1], end[1]))
                rows = slice(int(np.ceil(low)), int(np.ceil(high)))
                plane[rows, int(np.ceil(start[0])) :] ^= True
    return found


def test_composite_when_written_twice_then_all_files_are_the_same_bytes(
    house: House, folder: Path, tmp_path: Path
) -> None:
    compose_patient(house, house.patient(PATIENT), onto="", as_of=None, as_planned=True, folder=tmp_path)
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "composite-dose.dcm", "dose-unknown.dcm", "isodoses.png", "composite-zh.pdf", "composite-en.pdf",
        "composite.json", "eqd2-ab3.dcm",
    }  # fmt: skip
    for name in names - {"composite.json"}:
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes(), name
    one, other = (json.loads((where / "composite.json").read_text("utf-8")) for where in (folder, tmp_path))
    for answer, where in ((one, folder), (other, tmp_path)):
        assert answer["files"].pop("rtdose_physical") == str(where / "composite-dose.dcm")
        del answer["files"]
        digest = hashlib.sha256((where / "composite-dose.dcm").read_bytes()).hexdigest()
        assert answer["digests"]["rtdose_physical"] == digest
        assert house.stores.work.read_bytes(f"derived/{digest[:2]}/{digest}")
    assert one == other


def test_composite_when_sent_back_then_nothing_changes(real_data: Path, folder: Path, tmp_path: Path) -> None:
    with local(tmp_path / "home") as house:
        take_in(house, [real_data / "dcpt_let", folder / "composite-dose.dcm", folder / "dose-unknown.dcm"])
        after = compose_patient(house, house.patient(PATIENT), onto="", as_of=None, as_planned=True, folder=None)
    before = json.loads((folder / "composite.json").read_text("utf-8"))
    for answer in (before, after):
        del answer["files"]
    del before["digests"]
    assert after == before


def test_effect_when_of_four_plans_then_it_is_the_closed_form_over_grids_resampled_by_simpleitk(
    house: House, folder: Path, stored: list[Judged]
) -> None:
    composite = compose(house.patient(PATIENT), house.reader, as_planned=True)
    ours, tissue = Judged(folder / "composite-dose.dcm"), Tissue(alpha_beta_gy=2.0)
    fractions = {
        grid.held.uid: grid.planned
        for share in composite.shares
        for grid in _delivered(share.plan).grids
    }  # fmt: skip
    total = eqd2_sum(composite.gathered, tissue)
    factors = {part.rbe for part in composite.gathered.parts}
    ((least, most),) = factors
    judge, known = [np.zeros(ours.dose_gy.shape), np.zeros(ours.dose_gy.shape)], np.ones(ours.dose_gy.shape, np.bool_)
    for one in stored:
        values, inside = one.onto(ours)
        n = fractions[one.image.GetMetaData("0008|0018").strip("\0 ")]
        known &= inside
        for number, rbe in enumerate((least, most)):
            judge[number] += rbe * values * (rbe * values / n + 2) / 4
    assert known.any()
    for found, expected in zip((total.lower_gy, total.upper_gy), judge, strict=True):
        # asked for is 0.1 %; measured a millionth of the maximum
        assert np.abs(found - expected)[known].max() < 1e-5 * expected[known].max()


def _delivered(plan: Plan) -> DeliveredDose:
    found = delivered_dose(plan, as_planned=True)
    assert isinstance(found, DeliveredDose)
    return found


# A plan is the sum of its beams


@pytest.fixture(scope="module")
def breast(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Dataset]]:
    """A photon plan of four beams whose PLAN grid was split into BEAM grids of two beams each, given in part."""
    source, made = real_data / "dicompyler_core", tmp_path_factory.mktemp("beams")
    whole, plan = dcmread(source / "rtdose.dcm"), dcmread(source / "rtplan.dcm")
    for number, half in enumerate(_split(whole, [[1, 2], [3, 4]])):
        half.save_as(made / f"beams-{number}.dcm", enforce_file_format=True)
    for number in range(1, 6):
        _record(plan, number).save_as(made / f"record-{number}.dcm", enforce_file_format=True)
    with local(tmp_path_factory.mktemp("house") / "home") as house:
        take_in(house, [source / "rtplan.dcm", source / "rtss.dcm", made])
        yield house, whole


def _split(whole: Dataset, beams: list[list[int]]) -> list[Dataset]:
    """Split a dose between two groups of beams by a share that changes across the patient, each with its own steps."""
    stored = whole.pixel_array.astype(float) * float(whole.DoseGridScaling)
    share = np.linspace(0.1, 0.8, stored.shape[2])
    halves = []
    for part, numbers in zip((stored * share, stored * (1 - share)), beams, strict=True):
        half = deepcopy(whole)
        half.SOPInstanceUID = half.file_meta.MediaStorageSOPInstanceUID = UID(uid(f"beams {numbers}"))
        half.DoseSummationType = "BEAM"
        half.DoseGridScaling = f"{part.max() / 65535:.10g}"
        values = np.rint(part / float(half.DoseGridScaling)).astype("<u2")
        half.BitsAllocated, half.BitsStored, half.HighBit, half.PixelData = 16, 16, 15, values.tobytes()
        group = Dataset()
        group.ReferencedFractionGroupNumber = 1
        group.ReferencedBeamSequence = Items([_numbered(number) for number in numbers])
        half.ReferencedRTPlanSequence[0].ReferencedFractionGroupSequence = Items([group])
        del half.DVHSequence
        halves.append(half)
    return halves


def _numbered(number: int, **values: Any) -> Dataset:
    item = Dataset()
    item.ReferencedBeamNumber = number
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _record(plan: Dataset, number: int) -> Dataset:
    """A treatment record of one fraction; in the fifth, beams 3 and 4 were stopped half way."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = RTBeamsTreatmentRecordStorage, UID(uid(f"record {number}"))
    made.PatientID, made.PatientName = plan.PatientID, plan.PatientName
    made.StudyInstanceUID, made.SeriesInstanceUID = plan.StudyInstanceUID, uid("records")
    made.Modality, made.TreatmentDate, made.TreatmentTime = "RTRECORD", f"2008040{number}", "090000"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = plan.SOPClassUID, plan.SOPInstanceUID
    made.ReferencedRTPlanSequence, made.ReferencedFractionGroupNumber = Items([reference]), 1
    sessions = []
    for beam in plan.FractionGroupSequence[0].ReferencedBeamSequence:
        part = 0.5 if number == 5 and int(beam.ReferencedBeamNumber) > 2 else 1.0
        session = _numbered(
            int(beam.ReferencedBeamNumber), CurrentFractionNumber=number, TreatmentDeliveryType="TREATMENT",
            TreatmentTerminationStatus="NORMAL" if part == 1 else "MACHINE",
            SpecifiedPrimaryMeterset=beam.BeamMeterset, DeliveredPrimaryMeterset=float(beam.BeamMeterset) * part,
        )  # fmt: skip
        sessions.append(session)
    made.TreatmentSessionBeamSequence = Items(sessions)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


def _plan(house: House) -> tuple[PatientRecord, Plan]:
    (key,) = house.facts.patients()
    record = house.desk.record(key)
    (plan,) = record.dossiers[0].plans
    return record, plan


def _summed(house: House, *, as_planned: bool) -> tuple[DeliveredDose, Floats, float]:
    """The dose of the plan, its sum on the grid of the plan, and half a step of each grid together."""
    _, plan = _plan(house)
    dose = delivered_dose(plan, as_planned=as_planned)
    assert isinstance(dose, DeliveredDose), dose
    datasets = [house.reader.dataset(one.held) for one in dose.grids]
    grids = [read_dose(dataset).grid for dataset in datasets]
    parts = [Part(grid=g, weight=one.weight, label=one.held.uid) for g, one in zip(grids, dose.grids, strict=True)]
    total = accumulate(parts, grids[0].geometry)
    assert total.is_complete
    return dose, total.lower_gy.astype(float), sum(float(one.DoseGridScaling) / 2 for one in datasets)


def test_beams_when_summed_as_planned_then_they_are_the_plan_within_half_a_step_of_each(
    breast: tuple[House, Dataset],
) -> None:
    house, whole = breast
    dose, total, half_steps = _summed(house, as_planned=True)
    assert (dose.source, [one.weight for one in dose.grids]) == ("summed", [1.0, 1.0])
    stored = whole.pixel_array * float(whole.DoseGridScaling)
    # float32 of at most 20 Gy adds 2e-6
    assert np.abs(total - stored).max() < half_steps + 2e-6
    assert half_steps < 2e-4 < stored.max() / 1000


def test_beams_when_some_were_stopped_then_each_counts_by_what_it_gave(breast: tuple[House, Dataset]) -> None:
    house, whole = breast
    dose, total, half_steps = _summed(house, as_planned=False)
    weights = {one.held.header.dose.beam_numbers: one.weight for one in dose.grids if one.held.header.dose}
    assert weights == {(1, 2): pytest.approx(5 / 7), (3, 4): pytest.approx(4.5 / 7)}
    assert dose.is_certain
    stored = whole.pixel_array * float(whole.DoseGridScaling)
    share = np.linspace(0.1, 0.8, stored.shape[2])
    given = stored * (share * 5 / 7 + (1 - share) * 4.5 / 7)
    assert np.abs(total - given).max() < half_steps + 2e-6


def test_composite_when_of_beams_then_it_is_their_sum_and_complete(breast: tuple[House, Dataset]) -> None:
    house, _ = breast
    record, _ = _plan(house)
    composite: Composite = compose(record, house.reader)
    _, total, _ = _summed(house, as_planned=False)
    assert composite.is_complete
    assert [share.source for share in composite.shares] == ["summed"]
    # one weight is a product, the other a quotient
    assert np.allclose(composite.total.lower_gy, total, rtol=3e-7, atol=0)
