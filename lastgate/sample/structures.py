"""Structure sets of the sample patients: the solids cut by the planes of the CT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from contourpy import contour_generator
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, RTStructureSetStorage

from lastgate.sample.ct import image_uid
from lastgate.sample.dicomfile import PHYSICIAN, Series, Study, dataset_of, new_object, reference, save, set_decimals
from lastgate.sample.phantom import ImageGrid, Organ
from lastgate.sample.solids import Floats, Placement

_DETACHED_STUDY = UID("1.2.840.10008.3.1.2.3.1")  # Detached Study Management, retired, and still what everyone writes


def structure_set_uid(study: Study) -> UID:
    """SOP Instance UID of the structure set of a course."""
    return study.uid("rtstruct", "1")


def write_structures(
    path: Path,
    study: Study,
    organs: tuple[Organ, ...],
    placement: Placement,
    grid: ImageGrid,
    *,
    step_mm: float,
    date: str,
) -> None:
    """Write an approved RT Structure Set.

    Parameters
    ----------
    organs
        What is contoured; ROI numbers count from 1 in this order.
    step_mm
        How finely the solids are sampled in the plane.
    date
        When the contours were drawn and approved.
    """
    series = Series(
        key="rtstruct", number=2, modality="RTSTRUCT", description="RT Structure Set", date=date, time="103000",
        model="Sample TPS",
    )  # fmt: skip
    ds = new_object(study, series, RTStructureSetStorage, key="1")
    ds.InstanceNumber, ds.StructureSetLabel, ds.StructureSetName = 1, "PLANNING", "Planning CT"
    ds.StructureSetDate, ds.StructureSetTime = date, "103000"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = study.frame_uid, ""
    ds.ReferencedFrameOfReferenceSequence = [_frame(study, len(grid.z_mm))]
    ds.StructureSetROISequence, ds.ROIContourSequence, ds.RTROIObservationsSequence = [], [], []
    for number, organ in enumerate(organs, start=1):
        ds.StructureSetROISequence.append(
            dataset_of(
                ROINumber=number, ReferencedFrameOfReferenceUID=study.frame_uid, ROIName=organ.name,
                ROIGenerationAlgorithm="AUTOMATIC" if organ.kind == "EXTERNAL" else "MANUAL",
            )
        )  # fmt: skip
        contours = dataset_of(ROIDisplayColor=list(organ.colour), ReferencedROINumber=number)
        drawn = _contours(study, organ, placement, grid, step_mm)
        if drawn:  # an organ between two slices of a coarse picture has none
            contours.ContourSequence = drawn
        ds.ROIContourSequence.append(contours)
        ds.RTROIObservationsSequence.append(
            dataset_of(
                ObservationNumber=number, ReferencedROINumber=number, ROIObservationLabel=organ.name,
                RTROIInterpretedType=organ.kind, ROIInterpreter=study.person.in_own_script(*PHYSICIAN),
            )
        )  # fmt: skip
    ds.ApprovalStatus, ds.ReviewDate, ds.ReviewTime = "APPROVED", date, "163000"
    ds.ReviewerName = study.person.in_own_script(*PHYSICIAN)
    save(ds, path, study.person)


def _frame(study: Study, slices: int) -> Dataset:
    """The CT the contours were drawn on."""
    images = [reference(CTImageStorage, image_uid(study, number)) for number in range(1, slices + 1)]
    series = dataset_of(SeriesInstanceUID=study.uid("ct"), ContourImageSequence=images)
    seen = reference(_DETACHED_STUDY, study.study_uid)
    seen.RTReferencedSeriesSequence = [series]
    return dataset_of(FrameOfReferenceUID=study.frame_uid, RTReferencedStudySequence=[seen])


def _contours(study: Study, organ: Organ, placement: Placement, grid: ImageGrid, step_mm: float) -> list[Dataset]:
    """Closed planar contours of one organ on every slice it meets."""
    low, high = placement.bounds_in_image(organ.solid.bounds_mm)
    x, y = (np.arange(low[i] - 2 * step_mm, high[i] + 2.5 * step_mm, step_mm) for i in (0, 1))
    found = []
    for number, z in enumerate(grid.z_mm, start=1):
        if not low[2] <= z <= high[2]:
            continue
        where = placement.to_anatomy(x[None, :], y[:, None], np.array([[z]]))
        signed = organ.solid.signed_mm(*where) + np.zeros((y.size, x.size))
        for line in contour_generator(x, y, signed).lines(0.0):
            points = _evenly(np.asarray(line, dtype=np.float64), 2.0 * step_mm)
            if len(points) < 4:
                continue
            item = dataset_of(
                ContourImageSequence=[reference(CTImageStorage, image_uid(study, number))],
                ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=len(points),
            )  # fmt: skip
            set_decimals(item, "ContourData", np.column_stack([points, np.full(len(points), z)]), digits=2)
            found.append(item)
    return found


def _evenly(line: Floats, distance_mm: float) -> Floats:
    """Points of a closed line at even distances, at least twelve of them; the first isn't repeated."""
    steps = np.hypot(*np.diff(line, axis=0).T)
    way = np.concatenate([[0.0], np.cumsum(steps)])
    count = max(12, round(float(way[-1]) / distance_mm))
    if way[-1] < 0.5 * distance_mm:
        return line[:0]
    at = np.linspace(0.0, way[-1], count, endpoint=False)
    return np.column_stack([np.interp(at, way, line[:, i]) for i in (0, 1)])
