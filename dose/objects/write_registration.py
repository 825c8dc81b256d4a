"""Registrations of our own making: Spatial and Deformable Spatial Registration (PS3.3 A.39, C.20.1 to C.20.3)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, DeformableSpatialRegistrationStorage, SpatialRegistrationStorage

from dose.errors import BadRegistration
from dose.grids.fields import displacements
from dose.grids.grid import Affine, Geometry
from dose.grids.transforms import Transform
from dose.objects.header import ObjectHeader, PlaneImage, decimals, image_item, item_of, new_object, right_handed
from dose.objects.registration import Form, form_of

_TYPES = {Form.RIGID: "RIGID", Form.RIGID_SCALE: "RIGID_SCALE", Form.AFFINE: "AFFINE"}
_LABEL = "REGISTRATION"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two images of a registration.

    Parameters
    ----------
    frame_uid
        Frame of Reference UID; of the fixed side that of the object too.
    study_instance_uid
        Study of its slices.
    images
        Its slices; none where there is no image.
    """

    frame_uid: str
    study_instance_uid: str
    images: Sequence[PlaneImage] = ()


def spatial_registration(
    fixed_to_moving: Affine, *, header: ObjectHeader, fixed: Side, moving: Side, comment: str = ""
) -> Dataset:
    """Make the Spatial Registration of one matrix, in the frame of the fixed image (PS3.3 C.20.2).

    Parameters
    ----------
    fixed_to_moving
        4 x 4, mm, LPS. What is written for the moving frame is its inverse, which takes it into the fixed one.
    comment
        With what it was computed.

    Raises
    ------
    BadRegistration
        The matrix mirrors, or takes space into a plane.
    """
    if np.linalg.det(fixed_to_moving[:3, :3]) <= 0:
        raise BadRegistration("The matrix mirrors, or takes space into a plane.")
    dataset = _registration(header, SpatialRegistrationStorage, fixed, moving)
    into_fixed = np.linalg.inv(fixed_to_moving).astype(np.float64)
    matrices: tuple[tuple[Side, Affine], ...] = ((fixed, np.eye(4)), (moving, into_fixed))
    dataset.RegistrationSequence = Items([_matrix_item(side, matrix, comment) for side, matrix in matrices])
    return dataset


def deformable_registration(
    transform: Transform, geometry: Geometry, *, header: ObjectHeader, fixed: Side, moving: Side, comment: str = ""
) -> Dataset:
    """Make the Deformable Spatial Registration of any map, sampled onto a grid (PS3.3 C.20.3).

    The matrices of the map are written as the matrix before the field, and the field holds what they lack. Where the
    map says nothing the vector is NaN (PS3.3 C.20.3.1.3).

    Parameters
    ----------
    transform
        Places of the fixed image to those of the moving one.
    geometry
        Grid of the displacements in the frame of the fixed image; between its centres others interpolate.
    comment
        With what it was computed.
    """
    dataset = _registration(header, DeformableSpatialRegistrationStorage, fixed, moving)
    dataset.DeviceSerialNumber = header.model  # type 1 here (PS3.3 C.7.5.2), and a program has no other
    before = transform.matrices_alone.matrix
    assert before is not None
    grid = right_handed(geometry)
    item = item_of(SourceFrameOfReferenceUID=moving.frame_uid)
    if moving.images:
        item.ReferencedImageSequence = Items([image_item(image) for image in moving.images])
    if comment:
        item.FrameOfReferenceTransformationComment = comment
    item.RegistrationTypeCodeSequence = Items([])
    item.PreDeformationMatrixRegistrationSequence = Items([_matrix(before)])
    item.PostDeformationMatrixRegistrationSequence = Items([_matrix(np.eye(4))])
    item.DeformableRegistrationGridSequence = Items([_grid(transform, grid, before)])
    dataset.DeformableRegistrationSequence = Items([item])
    return dataset


def _registration(header: ObjectHeader, sop_class_uid: UID, fixed: Side, moving: Side) -> Dataset:
    if header.frame_of_reference_uid != fixed.frame_uid:
        raise BadRegistration("The object of a registration lies in the frame of the fixed image.")
    dataset = new_object(header, sop_class_uid, "REG", complete=True)
    del dataset.OperatorsName
    dataset.Laterality = ""
    dataset.ContentLabel, dataset.ContentDescription = _LABEL, header.series_description
    dataset.ContentCreatorName = ""
    _refer(dataset, header.study_instance_uid, (fixed, moving))
    return dataset


def _refer(dataset: Dataset, own_study: str, sides: Iterable[Side]) -> None:
    """Common Instance Reference Module (PS3.3 C.12.2): series of the object's own study, and of other studies."""
    studies: dict[str, list[Dataset]] = {}
    for side in sides:
        series: dict[str, list[Dataset]] = {}
        for image in side.images:
            series.setdefault(image.series_instance_uid, []).append(image_item(image))
        studies.setdefault(side.study_instance_uid, []).extend(
            item_of(SeriesInstanceUID=uid, ReferencedInstanceSequence=Items(items)) for uid, items in series.items()
        )
    if own := studies.pop(own_study, []):
        dataset.ReferencedSeriesSequence = Items(own)
    others = [
        item_of(StudyInstanceUID=uid, ReferencedSeriesSequence=Items(items)) for uid, items in studies.items() if items
    ]
    if others:
        dataset.StudiesContainingOtherReferencedInstancesSequence = Items(others)


def _matrix_item(side: Side, matrix: Affine, comment: str) -> Dataset:
    item = item_of(FrameOfReferenceUID=side.frame_uid)
    if side.images:
        item.ReferencedImageSequence = Items([image_item(image) for image in side.images])
    one = item_of(RegistrationTypeCodeSequence=Items([]), MatrixSequence=Items([_matrix(matrix)]))
    if comment:
        one.FrameOfReferenceTransformationComment = comment
    item.MatrixRegistrationSequence = Items([one])
    return item


def _matrix(matrix: Affine) -> Dataset:
    return item_of(
        FrameOfReferenceTransformationMatrix=decimals(matrix.ravel()),
        FrameOfReferenceTransformationMatrixType=_TYPES[form_of(Transform.of_matrix(matrix))],
    )


def _grid(transform: Transform, geometry: Geometry, before: Affine) -> Dataset:
    vectors = displacements(transform, geometry, before=before)
    # An undefined place is three NaN, never one (PS3.3 C.20.3.1.3)
    vectors[np.isnan(vectors).any(axis=-1)] = np.nan
    return item_of(
        ImagePositionPatient=decimals(geometry.affine[:3, 3]),
        ImageOrientationPatient=decimals(geometry.directions[:, :2].T.ravel() + 0.0),
        GridDimensions=list(geometry.shape[::-1]),
        GridResolution=list(geometry.spacing_mm),
        VectorGridData=vectors.astype("<f4").tobytes(),
    )
