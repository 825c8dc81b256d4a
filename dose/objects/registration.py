"""Spatial and Deformable Spatial Registration objects, read with caution (PS3.3 C.20.2, C.20.3).

A *Spatial Registration* gives for each frame of reference a matrix that takes its coordinates into the frame of the
object (the Registered RCS, PS3.3 C.20.2.1.1). A *Deformable* one goes the other way: for a place of its own frame it
tells the place of a source frame from where data are sampled. What can't be read without doubt joins nothing, and the
error says so: a dose in the wrong place looks as good as one in the right place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from pydicom import Dataset
from pydicom.uid import DeformableSpatialRegistrationStorage

from dose.errors import BadGeometry, BadRegistration
from dose.grids.fields import DisplacementStep, inverted
from dose.grids.grid import Affine, Geometry
from dose.grids.transforms import MatrixStep, Transform

RIGID_TOLERANCE = 1e-4
"""How far the rotation part of a rigid matrix may be from orthonormal (values are written with six digits or so)."""

_REACH_MM = 500.0
_SAME_MAP_MM = 0.01
"""Two maps are the same when no place within `_REACH_MM` of the origin comes out further apart along an axis."""


class Form(StrEnum):
    """What a map does to shapes."""

    RIGID = "rigid"
    RIGID_SCALE = "rigid_scale"
    AFFINE = "affine"
    DEFORMABLE = "deformable"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredRegistration:
    """A registration object as read.

    Parameters
    ----------
    own_frame
        Frame of Reference UID of the object: the Registered RCS.
    into_own
        By frame: its matrix into `own_frame`, or in words why there is none. Empty for a deformable registration.
    out_of_own
        By source frame: the map from `own_frame` to it, or in words why there is none. Empty for a rigid one.
    declared
        Frame of Reference Transformation Matrix Types by frame, as written.
    """

    own_frame: str
    into_own: Mapping[str, Affine | str]
    out_of_own: Mapping[str, Transform | str]
    declared: Mapping[str, tuple[str, ...]]

    def between(self, fixed: str, moving: str) -> Transform:
        """Return the map from places of one frame to those of another.

        Raises
        ------
        BadRegistration
            It names one of the two not, gives no matrix or field for it or several, or mirrors.
        """
        if not self.out_of_own:
            matrix = np.linalg.inv(self._matrix(moving)) @ self._matrix(fixed)
            return Transform.of_matrix(np.asarray(matrix, dtype=np.float64))
        try:
            return inverted(self._field(fixed)).then(self._field(moving))
        except BadGeometry as error:
            raise BadRegistration("gives a matrix that takes space into a plane") from error

    def _matrix(self, frame: str) -> Affine:
        found = self.into_own.get(frame, "does not give its matrix")
        if isinstance(found, str):
            raise BadRegistration(found)
        if np.linalg.det(found[:3, :3]) < RIGID_TOLERANCE:
            raise BadRegistration("is not rigid")  # a mirror, or space into a plane: never a patient
        return found

    def _field(self, frame: str) -> Transform:
        if frame == self.own_frame:
            return Transform()
        found = self.out_of_own.get(frame, "does not give its displacement field")
        if isinstance(found, str):
            raise BadRegistration(found)
        return found


def read_registration(dataset: Dataset) -> StoredRegistration:
    """Read a Spatial or Deformable Spatial Registration.

    Items that name no frame but only images (type 1C) are left out: their frame would be a guess.

    Raises
    ------
    BadRegistration
        It names no frame of reference of its own, or holds no item.
    """
    own = str(dataset.get("FrameOfReferenceUID") or "")
    if not own:
        raise BadRegistration("names no frame of reference of its own")
    is_deformable = dataset.get("SOPClassUID") == DeformableSpatialRegistrationStorage
    if is_deformable or "DeformableRegistrationSequence" in dataset:
        return _deformable(dataset, own)
    found: dict[str, Affine | str] = {own: np.eye(4)}
    declared: dict[str, tuple[str, ...]] = {}
    for item in dataset.get("RegistrationSequence") or []:
        frame = str(item.get("FrameOfReferenceUID") or "")
        if not frame:
            continue
        matrix = _matrix(item)
        known = found.setdefault(frame, matrix)
        declared[frame] = (*declared.get(frame, ()), *_declared(item))
        if isinstance(known, str) or isinstance(matrix, str):
            found[frame] = known if isinstance(known, str) else matrix
        elif not same_map(known, matrix):
            found[frame] = "gives two maps for one frame of reference"
    return StoredRegistration(own_frame=own, into_own=found, out_of_own={}, declared=declared)


def form_of(transform: Transform) -> Form:
    """Return what a map does to shapes, by its numbers: what an object declares of its matrices may be wrong."""
    matrix = transform.matrix
    if matrix is None:
        return Form.DEFORMABLE
    gram = matrix[:3, :3].T @ matrix[:3, :3]
    if np.allclose(gram, np.eye(3), atol=RIGID_TOLERANCE):
        return Form.RIGID
    # PS3.3 C.20.2.1.2: RIGID_SCALE is a rotation after a scaling of each axis, so the columns stay perpendicular.
    return Form.RIGID_SCALE if np.allclose(gram, np.diag(np.diag(gram)), atol=RIGID_TOLERANCE) else Form.AFFINE


def same_map(one: Affine, other: Affine) -> bool:
    """Return whether two maps take every place near the patient to the same place."""
    off = np.abs(one - other)
    return bool((off[:3, :3].sum(axis=1) * _REACH_MM + off[:3, 3] <= _SAME_MAP_MM).all())


def _deformable(dataset: Dataset, own: str) -> StoredRegistration:
    found: dict[str, Transform | str] = {}
    declared: dict[str, tuple[str, ...]] = {}
    for item in dataset.get("DeformableRegistrationSequence") or []:
        frame = str(item.get("SourceFrameOfReferenceUID") or "")
        if not frame:
            continue
        known = frame in found
        try:
            found[frame] = "gives two fields for one frame of reference" if known else _pull_back(item)
        except BadRegistration as error:
            found[frame] = str(error)
        declared[frame] = (*declared.get(frame, ()), *_declared(item))
    if not found:
        raise BadRegistration("names no frame of reference it maps")
    return StoredRegistration(own_frame=own, into_own={}, out_of_own=found, declared=declared)


def _pull_back(item: Dataset) -> Transform:
    """Return the map from the registered frame to the source: M_post (M_pre x + d(x)), PS3.3 C.20.3.1.1.

    The displacement belongs to the place *before* the first matrix. As steps that run one after the other the same
    map is x + M_pre^-1 d(x), then both matrices.
    """
    before = _one_matrix(item, "PreDeformationMatrixRegistrationSequence")
    after = _one_matrix(item, "PostDeformationMatrixRegistrationSequence")
    for matrix in (before, after):
        if np.linalg.det(matrix[:3, :3]) < RIGID_TOLERANCE:
            raise BadRegistration("has a matrix that mirrors, or takes space into a plane")
    matrices = MatrixStep(np.asarray(after @ before, dtype=np.float64))
    grids = item.get("DeformableRegistrationGridSequence") or []
    if not grids:  # "If the Sequence has no items, the displacements are zero"
        return Transform((matrices,))
    if len(grids) > 1:
        raise BadRegistration("gives several displacement fields for one frame of reference")
    field = _field(grids[0], np.linalg.inv(before[:3, :3]).astype(np.float64))
    is_moved = not np.array_equal(matrices.matrix, np.eye(4))
    return Transform((field, matrices) if is_moved else (field,))


def _field(grid: Dataset, turn: Affine) -> DisplacementStep:
    """Return the displacement grid, its vectors turned by a 3 x 3 matrix."""
    try:
        size = [int(value) for value in grid.get("GridDimensions") or ()]
        spacing = [float(value) for value in grid.get("GridResolution") or ()]
        position = [float(value) for value in grid.get("ImagePositionPatient") or ()]
        orientation = [float(value) for value in grid.get("ImageOrientationPatient") or ()]
    except (TypeError, ValueError) as error:
        raise BadRegistration("has a displacement field with something that is no number") from error
    if len(size) != 3 or min(size) < 1 or len(spacing) != 3:
        raise BadRegistration("has a displacement field without size or spacing")
    geometry = _placed(size, spacing, position, orientation)
    values = _values(grid, size)
    if np.isinf(values).any():
        raise BadRegistration("has a displacement field with infinite values")
    if not np.array_equal(turn, np.eye(3)):
        values = (values @ turn.T).astype(np.float32)
    return DisplacementStep(vectors_mm=values, geometry=geometry)


def _values(grid: Dataset, size: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Vector Grid Data: float triples, left to right, top to bottom, plane by plane (PS3.3 C.20.3.1.3).

    It is written as OF (before 2007 as OW) in the byte order of the transfer syntax; pydicom hands over its bytes.
    """
    body = grid.get("VectorGridData")
    count = int(np.prod([*size, 3], dtype=object))
    if not isinstance(body, bytes) or len(body) < 4 * count:
        raise BadRegistration("has a displacement field that ends before its last vector")
    order = ">f4" if grid.original_encoding[1] is False else "<f4"
    values = np.frombuffer(body, dtype=order, count=count).astype(np.float32)
    return values.reshape(size[2], size[1], size[0], 3)


def _placed(
    size: Sequence[int], spacing: Sequence[float], position: Sequence[float], orientation: Sequence[float]
) -> Geometry:
    try:
        return Geometry.from_axes(
            shape=(size[2], size[1], size[0]),
            position_mm=position,
            orientation=orientation,
            row_spacing_mm=spacing[1],
            column_spacing_mm=spacing[0],
            plane_spacing_mm=spacing[2],
        )
    except BadGeometry as error:
        raise BadRegistration(f"has a displacement field that lies nowhere: {error}") from error


def _one_matrix(item: Dataset, keyword: str) -> Affine:
    """Return the matrix before or after the field; the identity where there is none."""
    steps = item.get(keyword) or []
    if len(steps) > 1:
        raise BadRegistration("gives several matrices whose order matters")
    return _numbers(steps[0]) if steps else np.eye(4)


def _matrix(item: Dataset) -> Affine | str:
    """Return the matrix of one item of the Registration Sequence, or in words why it gives none."""
    try:
        matrices = [_numbers(step) for step in _steps(item)]
    except BadRegistration as error:
        return str(error)
    if not matrices:
        return "has no matrix"
    # Item order "corresponds to matrix multiplication order" (PS3.3 C.20.2.1.1): the first stands leftmost. Programs
    # are known to read it the other way round, so several matrices count only where their order makes no difference.
    product, reverse = np.eye(4), np.eye(4)
    for matrix in matrices:
        product, reverse = product @ matrix, matrix @ reverse
    return product if same_map(product, reverse) else "gives several matrices whose order matters"


def _numbers(step: Dataset) -> Affine:
    try:
        values = [float(value) for value in step.get("FrameOfReferenceTransformationMatrix") or ()]
        matrix = np.array(values, dtype=np.float64).reshape(4, 4)
    except (TypeError, ValueError) as error:
        raise BadRegistration("has a matrix that is not 16 numbers") from error
    if not np.isfinite(matrix).all():
        raise BadRegistration("has a matrix that is not 16 numbers")
    if not np.allclose(matrix[3], (0, 0, 0, 1), atol=1e-9):
        raise BadRegistration("is not rigid")
    return matrix


def _declared(item: Dataset) -> tuple[str, ...]:
    """Return what an item calls its matrices."""
    singles = ("PreDeformationMatrixRegistrationSequence", "PostDeformationMatrixRegistrationSequence")
    steps = [*_steps(item), *(step for keyword in singles for step in item.get(keyword) or [])]
    return tuple(str(step.get("FrameOfReferenceTransformationMatrixType") or "") for step in steps)


def _steps(item: Dataset) -> list[Dataset]:
    return [step for one in item.get("MatrixRegistrationSequence") or [] for step in one.get("MatrixSequence") or []]
