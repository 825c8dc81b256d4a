"""RTDOSE and image series as grids in patient space (PS3.3 C.8.8.3 RT Dose Module, C.7.6.2 Image Plane Module)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dose.errors import BadDose, BadGeometry, DoseNotAbsolute
from dose.grids.grid import DoseGrid, Geometry, ImageVolume, Volume, direction_cosines, from_image_series
from dose.objects.pixels import frames, number, numbers

SUMMATION_TYPES = frozenset(
    {
        "PLAN",
        "MULTI_PLAN",
        "PLAN_OVERVIEW",
        "FRACTION",
        "BEAM",
        "BRACHY",
        "FRACTION_SESSION",
        "BEAM_SESSION",
        "BRACHY_SESSION",
        "CONTROL_POINT",
        "RECORD",
    }
)
"""Dose Summation Type (3004,000A), defined terms of PS3.3 C.8.8.3."""

DOSE_TYPES = frozenset({"PHYSICAL", "EFFECTIVE", "ERROR"})
"""Dose Type (3004,0004): absorbed, biologically weighted, or a difference (signed)."""

PLANE_TOLERANCE_MM = 0.05
"""How far a plane may lie from its place in the even stack, and a first offset from Image Position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDose:
    """An RTDOSE as stored by a planning system.

    Parameters
    ----------
    grid
        Dose in gray (for DoseType ERROR a difference, which can be negative). All of the grid counts as known.
    summation_type
        One of `SUMMATION_TYPES`: what the grid holds. PLAN, FRACTION and BEAM hold all planned fractions, the
        ``*_SESSION`` types and CONTROL_POINT one fraction.
    dose_type
        One of `DOSE_TYPES`.
    units
        GY, or RELATIVE where the dose was scaled by the normalisation handed in.
    comment
        Dose Comment.
    plan_uids
        SOP Instance UIDs of the referenced plans.
    fraction_groups
        Numbers of the referenced fraction groups, for FRACTION, BEAM and CONTROL_POINT.
    beams
        Numbers of the referenced beams.
    brachy_setups
        Numbers of the referenced brachytherapy application setups.
    frame_of_reference_uid
        Empty where the file says nothing: such a dose lies in no known frame.
    """

    grid: DoseGrid
    summation_type: str
    dose_type: str
    units: str
    comment: str
    plan_uids: tuple[str, ...]
    fraction_groups: tuple[int, ...]
    beams: tuple[int, ...]
    brachy_setups: tuple[int, ...]
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    frame_of_reference_uid: str


def read_dose(dataset: Dataset, *, normalization_gy: float | None = None) -> StoredDose:
    """Read an RTDOSE.

    Parameters
    ----------
    dataset
        Parsed RTDOSE, any native or RLE transfer syntax, with or without file meta group.
    normalization_gy
        Gray that a relative dose of 1.0 stands for; needed for Dose Units RELATIVE, not used for GY.

    Raises
    ------
    BadDose, DoseTruncated, DoseNotAbsolute
        What is missing or contradictory is named.
    BadGeometry
        Oblique to the patient axes, unevenly spaced planes (refused rather than resampled unseen: no planning system
        met so far writes them), or a Grid Frame Offset Vector that fits neither form of PS3.3 C.8.8.3.2.
    """
    summation_type = _code(dataset, "DoseSummationType", SUMMATION_TYPES)
    dose_type = _code(dataset, "DoseType", DOSE_TYPES)
    units = _code(dataset, "DoseUnits", frozenset({"GY", "RELATIVE"}))
    scaling = number(dataset, "DoseGridScaling")
    if scaling <= 0:
        raise BadDose(f"Dose Grid Scaling is {scaling}.")
    if units == "RELATIVE":
        if normalization_gy is None:
            raise DoseNotAbsolute("The dose is given in RELATIVE units, not in gray.")
        scaling *= normalization_gy
    geometry = dose_geometry(dataset)
    plans = list(dataset.get("ReferencedRTPlanSequence") or [])
    groups = [group for plan in plans for group in plan.get("ReferencedFractionGroupSequence") or []]
    return StoredDose(
        grid=DoseGrid(dose_gy=_scaled(dataset, geometry.shape, scaling, 0.0), geometry=geometry),
        summation_type=summation_type,
        dose_type=dose_type,
        units=units,
        comment=str(dataset.get("DoseComment") or ""),
        plan_uids=tuple(str(plan.get("ReferencedSOPInstanceUID", "")) for plan in plans),
        fraction_groups=_listed(groups, "ReferencedFractionGroupNumber"),
        beams=_listed(_items(groups, "ReferencedBeamSequence"), "ReferencedBeamNumber"),
        brachy_setups=_listed(
            _items(groups, "ReferencedBrachyApplicationSetupSequence"), "ReferencedBrachyApplicationSetupNumber"
        ),
        sop_instance_uid=str(dataset.get("SOPInstanceUID", "")),
        series_instance_uid=str(dataset.get("SeriesInstanceUID", "")),
        study_instance_uid=str(dataset.get("StudyInstanceUID", "")),
        frame_of_reference_uid=str(dataset.get("FrameOfReferenceUID", "")),
    )


def dose_geometry(dataset: Dataset) -> Geometry:
    """Where the voxels of an RTDOSE lie; reads no pixels.

    A dose of a single plane gets Slice Thickness (else 1 mm) as plane spacing, which nothing depends on: above and
    below its only plane the dose is unknown.
    """
    count = int(number(dataset, "NumberOfFrames")) if dataset.get("NumberOfFrames") is not None else 1
    position, orientation = numbers(dataset, "ImagePositionPatient"), numbers(dataset, "ImageOrientationPatient")
    spacing = numbers(dataset, "PixelSpacing")
    if len(spacing) != 2:
        raise BadGeometry(f"Pixel Spacing has {len(spacing)} values, not 2.")
    if len(position) != 3:
        raise BadGeometry(f"Image Position (Patient) has {len(position)} values, not 3.")
    geometry = Geometry.from_axes(
        shape=(count, int(number(dataset, "Rows")), int(number(dataset, "Columns"))),
        position_mm=position,
        orientation=orientation,
        row_spacing_mm=spacing[0],
        column_spacing_mm=spacing[1],
        plane_spacing_mm=_plane_step(dataset, count, position, orientation),
    )
    if not geometry.is_axis_parallel:
        raise BadGeometry(f"The dose grid is oblique to the patient: Image Orientation (Patient) is {orientation}.")
    return geometry


def _plane_step(dataset: Dataset, count: int, position: Sequence[float], orientation: Sequence[float]) -> float:
    """Step from plane to plane along row x column, from the Grid Frame Offset Vector (PS3.3 C.8.8.3.2)."""
    offsets = np.array(numbers(dataset, "GridFrameOffsetVector"))
    if count == 1 and len(offsets) <= 1:
        thickness = numbers(dataset, "SliceThickness")
        return thickness[0] if thickness and thickness[0] > 0 else 1.0
    if len(offsets) != count:
        raise BadGeometry(f"Grid Frame Offset Vector has {len(offsets)} values for {count} frames.")
    if offsets[0] != 0:  # form b: patient z of each plane
        row, column = direction_cosines(orientation)
        normal_z = float(np.cross(row, column)[2])
        if abs(offsets[0] - position[2]) > PLANE_TOLERANCE_MM or abs(normal_z) < 0.5:
            raise BadGeometry(
                f"Grid Frame Offset Vector begins with {offsets[0]}: neither 0 nor the z of Image Position (Patient)."
            )
        offsets = (offsets - offsets[0]) * np.sign(normal_z)
    step = float(offsets[-1] / (count - 1))
    off = np.abs(offsets - step * np.arange(count)).max()
    if step == 0 or off > PLANE_TOLERANCE_MM:
        raise BadGeometry(f"The planes of the dose are unevenly spaced: one lies {off:.2f} mm from its even place.")
    return step


def read_image_geometry(datasets: Sequence[Dataset]) -> Geometry:
    """Grid of an image series, from the headers of its slices in any order.

    Raises
    ------
    BadGeometry
        Slices differ in orientation, size or spacing, or do not make a regular stack.
    SlicesMissing
        Says at which positions slices are missing.
    """
    return _stack(datasets)[0]


def read_image(datasets: Sequence[Dataset]) -> ImageVolume:
    """Read an image series as a volume of HU (or what Rescale Slope and Intercept give).

    Raises
    ------
    BadGeometry, SlicesMissing
        As `read_image_geometry`.
    BadDose
        The pixels of a slice can't be read.
    """
    geometry, order = _stack(datasets)
    hu = np.empty(geometry.shape, dtype=np.float32)
    for plane, n in enumerate(order):
        slice_ = datasets[n]
        slope = (numbers(slice_, "RescaleSlope") or [1.0])[0]
        intercept = (numbers(slice_, "RescaleIntercept") or [0.0])[0]
        hu[plane] = _scaled(slice_, (1, *geometry.shape[1:]), slope, intercept)[0]
    return ImageVolume(hu=hu, geometry=geometry)


def _stack(datasets: Sequence[Dataset]) -> tuple[Geometry, list[int]]:
    if not datasets:
        raise BadGeometry("There are no slices.")
    first = _slice_layout(datasets[0])
    odd = [n for n, slice_ in enumerate(datasets) if not np.allclose(_slice_layout(slice_), first, atol=1e-3)]
    if odd:
        raise BadGeometry(f"{len(odd)} of {len(datasets)} slices differ in orientation, size or spacing.")
    return from_image_series(
        positions_mm=[numbers(slice_, "ImagePositionPatient") for slice_ in datasets],
        orientation=[float(v) for v in first[:6]],
        pixel_spacing_mm=[float(v) for v in first[6:8]],
        rows=int(first[8]),
        columns=int(first[9]),
    )


def _slice_layout(slice_: Dataset) -> npt.NDArray[np.float64]:
    """Orientation (6), Pixel Spacing (2), rows and columns of one slice."""
    orientation, spacing = numbers(slice_, "ImageOrientationPatient"), numbers(slice_, "PixelSpacing")
    if len(orientation) != 6 or len(spacing) != 2 or len(numbers(slice_, "ImagePositionPatient")) != 3:
        raise BadGeometry("A slice has no complete position, orientation or pixel spacing.")
    return np.array([*orientation, *spacing, number(slice_, "Rows"), number(slice_, "Columns")])


def _scaled(dataset: Dataset, shape: tuple[int, int, int], slope: float, intercept: float) -> Volume:
    """Stored values times slope plus intercept, rounded to float32 once, at the end."""
    scaled = np.empty(shape, dtype=np.float32)
    for plane, frame in enumerate(frames(dataset, shape[0])):
        scaled[plane] = frame.astype(np.float64) * slope + intercept
    return scaled


def _code(dataset: Dataset, keyword: str, allowed: frozenset[str]) -> str:
    value = str(dataset.get(keyword) or "").strip().upper()
    if value not in allowed:
        raise BadDose(f"{keyword} is {value!r}, not one of {', '.join(sorted(allowed))}.")
    return value


def _items(parents: Sequence[Dataset], keyword: str) -> list[Dataset]:
    return [item for parent in parents for item in parent.get(keyword) or []]


def _listed(items: Sequence[Dataset], keyword: str) -> tuple[int, ...]:
    return tuple(int(item.get(keyword)) for item in items if item.get(keyword) is not None)
