"""Our own results as DICOM: composite RTDOSE, and the RTSTRUCT that marks where it is unknown.

An RTDOSE can't say *unknown*. There such voxels hold the upper estimate, Series Description begins with INCOMPLETE, and
the structure ``Dose_Unknown`` beside it is drawn around them (DESIGN section 3, promise 7). UIDs, times and everything
about patient and study are handed in: this module invents nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import RTDoseStorage, RTPlanStorage
from pydicom.valuerep import format_number_as_ds

from dose.errors import BadDose
from dose.grids.accumulate import Sum
from dose.grids.grid import Geometry, Volume
from dose.objects.header import (
    INCOMPLETE,
    LO_LENGTH,
    ObjectHeader,
    PlaneImage,
    decimals,
    item_of,
    new_object,
    right_handed,
)
from dose.objects.structure_set import DrawnRoi, structure_set_dataset
from dose.shapes.mask import outline

__all__ = [
    "INCOMPLETE",
    "UNKNOWN_ROI",
    "ObjectHeader",
    "PlanReference",
    "PlaneImage",
    "rtdose_dataset",
    "unknown_structure_set",
]

UNKNOWN_ROI = "Dose_Unknown"
"""Name of the structure around unknown voxels."""

_UNKNOWN_COLOR = (255, 0, 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReference:
    """A plan that went into the sum; `sop_class_uid` may be that of RT Ion Plan."""

    sop_instance_uid: str
    sop_class_uid: str = RTPlanStorage


def rtdose_dataset(
    total: Sum,
    *,
    header: ObjectHeader,
    plans: Sequence[PlanReference],
    dose_type: str = "PHYSICAL",
    comment: str = "",
    bits: int = 32,
) -> Dataset:
    """Make the RTDOSE of a sum, ready to be saved (PS3.3 A.18.3, C.8.8.3).

    Parameters
    ----------
    total
        Unknown voxels get its upper bound.
    header
        Patient, study, UIDs.
    plans
        Those summed; more than one make Dose Summation Type MULTI_PLAN.
    dose_type
        PHYSICAL, or EFFECTIVE for EQD2 and RBE-weighted dose.
    comment
        Dose Comment: model and alpha/beta of an EQD2, for instance.
    bits
        16 or 32 per voxel. Rounding is at most half a step: 0.0008 % of the maximum with 16 bits.

    Raises
    ------
    BadDose
        No plan is named, or `bits` is something else.
    """
    if not plans:
        raise BadDose("A summed dose names at least one plan.")
    complete = total.is_complete
    dataset = new_object(header, RTDoseStorage, "RTDOSE", complete=complete)
    is_turned = (geometry := right_handed(total.geometry)) is not total.geometry
    _place(dataset, geometry)
    _store(dataset, total.upper_gy[::-1] if is_turned else total.upper_gy, bits)
    dataset.DoseUnits = "GY"
    dataset.DoseType = dose_type
    dataset.DoseComment = comment[:LO_LENGTH]
    dataset.DoseSummationType = "MULTI_PLAN" if len(plans) > 1 else "PLAN"
    dataset.ReferencedRTPlanSequence = Items(
        [item_of(ReferencedSOPClassUID=p.sop_class_uid, ReferencedSOPInstanceUID=p.sop_instance_uid) for p in plans]
    )
    return dataset


def unknown_structure_set(
    total: Sum,
    *,
    header: ObjectHeader,
    images: Sequence[PlaneImage] | None = None,
) -> Dataset:
    """Make the RTSTRUCT whose structure ``Dose_Unknown`` is drawn around the unknown voxels of a sum.

    Contours run along voxel edges on the planes of the grid, so that `dose.shapes.mask.fill` gives the mask back
    exactly. With everything known the structure has no contours.

    Parameters
    ----------
    total
        The sum.
    header
        Patient, study, UIDs of its own.
    images
        One per plane of the grid where it is that of an image series, in plane order.
    """
    unknown = DrawnRoi(name=UNKNOWN_ROI, contours=outline(~total.known, total.geometry), color=_UNKNOWN_COLOR)
    return structure_set_dataset(
        [unknown], header=header, label=UNKNOWN_ROI.upper(), images=images, complete=total.is_complete
    )


def _place(dataset: Dataset, geometry: Geometry) -> None:
    directions, (column_mm, row_mm, plane_mm) = geometry.directions, geometry.spacing_mm
    dataset.ImagePositionPatient = decimals(geometry.affine[:3, 3])
    dataset.ImageOrientationPatient = decimals(directions[:, :2].T.ravel() + 0.0)
    dataset.PixelSpacing = decimals(np.array([row_mm, column_mm]))
    dataset.SliceThickness = decimals(np.array([plane_mm]))[0]
    dataset.GridFrameOffsetVector = decimals(np.arange(geometry.shape[0], dtype=np.float64) * plane_mm)
    dataset.FrameIncrementPointer = Tag("GridFrameOffsetVector")


def _store(dataset: Dataset, dose_gy: Volume, bits: int) -> None:
    """Pixels: unsigned, but 32-bit values stay below 2**31, since some readers take them as signed."""
    if bits not in (16, 32):
        raise BadDose(f"Dose grids have 16 or 32 bits, not {bits}.")
    steps = 2**16 - 1 if bits == 16 else 2**31 - 2
    highest = max(float(dose_gy.max()), 1e-6)
    scaling = float(format_number_as_ds(highest / (steps - 1)))
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = dose_gy.shape
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    dataset.DoseGridScaling = format_number_as_ds(scaling)
    dtype = np.dtype("<u2" if bits == 16 else "<u4")
    pixels = bytearray()
    for plane in dose_gy:
        pixels += np.rint(plane.astype(np.float64) / scaling).astype(dtype).tobytes()
    dataset.PixelData = bytes(pixels) + b"\0" * (len(pixels) % 2)
    dataset["PixelData"].VR = "OW"
