"""Doses and structures with known answers."""

import io
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, RTDoseStorage

from dose.grids.grid import DoseGrid, Geometry
from dose.shapes.structures import Contour, Structure

ORIENTATIONS = {
    "HFS": (1, 0, 0, 0, 1, 0),
    "HFP": (-1, 0, 0, 0, -1, 0),
    "FFS": (-1, 0, 0, 0, 1, 0),
    "FFP": (1, 0, 0, 0, -1, 0),
    "HFDR": (0, 1, 0, -1, 0, 0),
    "HFDL": (0, -1, 0, 1, 0, 0),
    "FFDR": (0, -1, 0, -1, 0, 0),
    "FFDL": (0, 1, 0, 1, 0, 0),
}
"""Image Orientation (Patient) as a planning system writes it for each patient position (DICOMORIENT grids)."""

GRADIENT = np.array([0.06, -0.05, 0.04])
"""Gy per mm along x, y, z."""

BASE_GY = 30.0


def linear_gy(points_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The dose of all linear phantoms at LPS points ``[n, 3]``."""
    dose: npt.NDArray[np.float64] = BASE_GY + np.asarray(points_mm, dtype=np.float64) @ GRADIENT
    return dose


def centred(
    orientation: Sequence[float],
    *,
    shape: tuple[int, int, int] = (30, 34, 38),
    spacing_mm: tuple[float, float, float] = (2.5, 2.0, 3.0),
    centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Geometry:
    """A grid around a point, in any orientation; spacing is (column, row, plane)."""
    at_zero = Geometry.from_axes(
        shape=shape,
        position_mm=(0, 0, 0),
        orientation=orientation,
        row_spacing_mm=spacing_mm[1],
        column_spacing_mm=spacing_mm[0],
        plane_spacing_mm=spacing_mm[2],
    )
    affine = at_zero.affine.copy()
    affine[:3, 3] = np.array(centre_mm) - at_zero.corner_points().mean(axis=0)
    return Geometry(shape=shape, affine=affine)


def linear_grid(geometry: Geometry) -> DoseGrid:
    """The linear dose on a grid."""
    k, j, i = np.indices(geometry.shape)
    points = geometry.to_points(np.column_stack([i.ravel(), j.ravel(), k.ravel()]))
    return DoseGrid(dose_gy=linear_gy(points).astype(np.float32).reshape(geometry.shape), geometry=geometry)


def structure(contours: Sequence[npt.NDArray[np.float64]], *, kind: str = "CLOSED_PLANAR") -> Structure:
    """A structure of some contours."""
    return Structure(
        number=1,
        name="Phantom",
        interpreted_type="ORGAN",
        contours=tuple(Contour(kind=kind, points_mm=points) for points in contours),
    )


def circle(centre_mm: Sequence[float], radius_mm: float, *, corners: int = 240) -> npt.NDArray[np.float64]:
    """A circle in an axial plane."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    x, y, z = centre_mm
    return np.column_stack([x + radius_mm * np.cos(angle), y + radius_mm * np.sin(angle), np.full(corners, z)])


def box(low_mm: Sequence[float], high_mm: Sequence[float], z: float) -> npt.NDArray[np.float64]:
    """A rectangle in an axial plane."""
    (x0, y0), (x1, y1) = low_mm, high_mm
    return np.array([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)], dtype=np.float64)


def sphere(radius_mm: float, slice_mm: float, centre_mm: Iterable[float], first_mm: float = 0.0) -> Structure:
    """A sphere contoured on axial slices, one of which lies at z = `first_mm`."""
    x, y, z = centre_mm
    low, high = np.ceil((z - radius_mm - first_mm) / slice_mm), np.floor((z + radius_mm - first_mm) / slice_mm)
    contours = []
    for n in range(int(low), int(high) + 1):
        at = first_mm + n * slice_mm
        square = radius_mm**2 - (at - z) ** 2
        if square > 1e-6:
            contours.append(circle((x, y, at), float(np.sqrt(square))))
    return structure(contours)


def sphere_cc(radius_mm: float) -> float:
    """Volume of a sphere in cm3."""
    return 4 / 3 * np.pi * radius_mm**3 / 1000


def dose_dataset(
    stored: npt.NDArray[np.generic],
    *,
    scaling: str = "0.001",
    orientation: Sequence[float] = ORIENTATIONS["HFS"],
    position_mm: Sequence[float] = (-10, -20, -30),
    offsets: Sequence[float] | None = None,
    syntax: UID = ExplicitVRLittleEndian,
    **values: object,
) -> Dataset:
    """A minimal RTDOSE of stored values ``[z, y, x]``, written to a file and parsed again."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTDoseStorage, "2.25.1"
    dataset.Modality = "RTDOSE"
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = list(position_mm), list(orientation)
    dataset.PixelSpacing = [2.0, 3.0]
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = stored.shape
    bits = stored.dtype.itemsize * 8
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.DoseUnits, dataset.DoseType, dataset.DoseSummationType = "GY", "PHYSICAL", "PLAN"
    dataset.DoseGridScaling = scaling
    dataset.GridFrameOffsetVector = [2.5 * n for n in range(stored.shape[0])] if offsets is None else list(offsets)
    swapped = stored.dtype if syntax.is_little_endian else stored.dtype.newbyteorder(">")
    data = stored.astype(swapped).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW"
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return pydicom.dcmread(io.BytesIO(file.getvalue()))
