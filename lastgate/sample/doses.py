"""RTDOSE of the sample plans: the analytic dose on a grid, and saying so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.uid import UID, RTDoseStorage, RTStructureSetStorage

from lastgate.sample.dicomfile import Series, Study, new_object, reference, save, set_decimals
from lastgate.sample.fields import NOT_CLINICAL, PlacedDose
from lastgate.sample.phantom import ImageGrid
from lastgate.sample.planparts import plan_uid
from lastgate.sample.structures import structure_set_uid
from lastgate.sample.treatment import CourseSpec, PlanSpec

# a fixed step, and not one fitted to the maximum: rounding then hides the last bits of the math library
_STEP_GY = 1e-4
_REACH_MM = 75.0


def dose_uid(study: Study, key: str) -> UID:
    """SOP Instance UID of the dose of a plan."""
    return study.uid("rtdose", key)


def dose_grid(course: CourseSpec, plan: PlanSpec, image: ImageGrid, spacing_mm: float) -> ImageGrid:
    """Grid around the target and across the body, within the picture; the reach along z is 75 mm beyond the target."""
    low, high = course.placement.bounds_in_image(course.anatomy.body.bounds_mm)
    near, far = course.placement.bounds_in_image(plan.envelope.bounds_mm)
    bottom, top = max(image.z_mm[0], near[2] - _REACH_MM), min(image.z_mm[-1], far[2] + _REACH_MM)
    origin = (np.floor(low[0]) - spacing_mm, np.floor(low[1]) - spacing_mm, round(bottom, 1))
    counts = [
        int((b - a) / spacing_mm) + 1
        for a, b in zip(origin, (high[0] + spacing_mm, high[1] + spacing_mm, top), strict=True)
    ]
    return ImageGrid(
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        spacing_mm=(spacing_mm,) * 3,
        shape=(counts[0], counts[1], counts[2]),
    )


def write_dose(path: Path, study: Study, course: CourseSpec, plan: PlanSpec, grid: ImageGrid) -> None:
    """Write the dose of all planned fractions of a plan.

    Dose Type is EFFECTIVE for protons (RBE 1.1 is contained), PHYSICAL for photons.
    """
    series = Series(
        key=f"rtdose-{plan.key}", number=4, modality="RTDOSE", description=NOT_CLINICAL, date=plan.date, time="150500",
        model="Sample analytic dose",
    )  # fmt: skip
    ds = new_object(study, series, RTDoseStorage, key=plan.key)
    ds.SOPInstanceUID, ds.InstanceNumber = dose_uid(study, plan.key), 1
    ds.ContentDate, ds.ContentTime = plan.date, "150500"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = study.frame_uid, ""
    ds.ImagePositionPatient = [f"{v:.3f}" for v in grid.origin_mm]
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.PixelSpacing, ds.SliceThickness = (
        [f"{grid.spacing_mm[1]:g}", f"{grid.spacing_mm[0]:g}"],
        f"{grid.spacing_mm[2]:g}",
    )
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.Columns, ds.Rows, ds.NumberOfFrames = grid.shape
    ds.FrameIncrementPointer = 0x3004000C
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 32, 32, 31
    ds.DoseUnits, ds.DoseType = "GY", "EFFECTIVE" if plan.is_proton else "PHYSICAL"
    ds.DoseComment = f"{NOT_CLINICAL}. RBE 1.1" if plan.is_proton else NOT_CLINICAL
    ds.DoseSummationType = "PLAN"
    set_decimals(ds, "GridFrameOffsetVector", grid.axis(2) - grid.axis(2)[0], digits=2)
    ds.DoseGridScaling, ds.TissueHeterogeneityCorrection = f"{_STEP_GY:g}", "WATER"
    ds.ReferencedRTPlanSequence = [reference(plan.sop_class, plan_uid(study, plan.key))]
    ds.ReferencedStructureSetSequence = [reference(RTStructureSetStorage, structure_set_uid(study))]
    dose = PlacedDose(model=plan.dose, placement=course.placement)
    values = dose.dose_gy(grid.axis(0)[None, None, :], grid.axis(1)[None, :, None], grid.axis(2)[:, None, None])
    ds["PixelData"] = DataElement(0x7FE00010, "OW", np.rint(values / _STEP_GY).astype("<u4").tobytes())
    save(ds, path, study.person)
