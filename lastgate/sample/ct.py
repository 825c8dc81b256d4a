"""CT series of the sample patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataelem import DataElement
from pydicom.uid import UID, CTImageStorage

from lastgate.sample.dicomfile import Series, Study, new_object, save
from lastgate.sample.phantom import Anatomy, ImageGrid, paint_slices
from lastgate.sample.solids import Placement

_INTERCEPT = -1024


def image_uid(study: Study, number: int) -> UID:
    """SOP Instance UID of the slice with this number, 1-based from the feet."""
    return study.uid("ct", str(number))


def write_ct(
    folder: Path, study: Study, anatomy: Anatomy, placement: Placement, grid: ImageGrid, *, region: str
) -> tuple[Path, ...]:
    """Write the slices of the planning CT; returns their paths, foot to head.

    Parameters
    ----------
    region
        Body Part Examined.
    """
    series = Series(
        key="ct", number=1, modality="CT", description=f"Planning CT {region.lower()}",
        date=study.date, time=study.time, model="Sample CT",
    )  # fmt: skip
    ds = new_object(study, series, CTImageStorage, key="1")
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.AcquisitionDate = ds.ContentDate = study.date
    ds.AcquisitionTime = ds.ContentTime = study.time
    ds.BodyPartExamined, ds.KVP, ds.SliceThickness = region, "120", f"{grid.spacing_mm[2]:g}"
    ds.PatientPosition, ds.AcquisitionNumber = "HFS", 1
    ds.XRayTubeCurrent, ds.ExposureTime, ds.ConvolutionKernel = 250, 1000, "B30"
    ds.ReconstructionDiameter, ds.GantryDetectorTilt, ds.TableHeight = "500", "0", "150"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = study.frame_uid, ""
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = grid.shape[1], grid.shape[0]
    ds.PixelSpacing = [f"{grid.spacing_mm[1]:.10g}", f"{grid.spacing_mm[0]:.10g}"]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = str(_INTERCEPT), "1", "HU"
    seed = int(study.uid("noise").removeprefix("2.25.")) % 2**63
    paths = []
    for number, picture in enumerate(paint_slices(anatomy, placement, grid, seed), start=1):
        z = grid.z_mm[number - 1]
        ds.SOPInstanceUID, ds.InstanceNumber = image_uid(study, number), number
        ds.ImagePositionPatient = [f"{grid.origin_mm[0]:.10g}", f"{grid.origin_mm[1]:.10g}", f"{z:.10g}"]
        ds.SliceLocation = f"{z:.10g}"
        ds["PixelData"] = _pixels(picture)
        path = folder / "CT" / f"CT.{number:04d}.dcm"
        save(ds, path, study.person)
        paths.append(path)
    return tuple(paths)


def _pixels(picture: npt.NDArray[np.int16]) -> DataElement:
    return DataElement(0x7FE00010, "OW", np.clip(picture - _INTERCEPT, 0, 4095).astype("<u2").tobytes())
