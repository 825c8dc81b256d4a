"""Brings the frames of reference of a patient onto one, by the Spatial Registration objects in the archive.

A registration names one frame as its own and gives, for other frames, the
matrix that takes their coordinates into it (PS3.3 C.20.2.1.1). Two frames that
one object both names are joined through it; longer chains are left to a
physicist.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from archive.headers import InstanceKind
from archive.model import Held
from courses.reading import Reader

Matrix = npt.NDArray[np.float64]
_RIGID_TOLERANCE = 1e-4
"""How far the rotation part of a rigid matrix may be from orthonormal (values are written with six digits or so)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """How points of a moving frame come into the fixed one.

    Parameters
    ----------
    kind
        ``identity`` (same frame of reference) or ``rigid``.
    source
        Where it comes from: ``frame of reference``, or the UID of the registration.
    moving_to_fixed
        4 x 4, mm, LPS; None for the identity.
    """

    kind: str
    source: str
    moving_to_fixed: Matrix | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoMapping:
    """No registration joins two frames, and why the ones there are do not help."""

    reason: str


def mapping(moving: str, fixed: str, registrations: Iterable[Held], reader: Reader) -> Mapping | NoMapping:
    """Return how the frame of reference `moving` comes onto `fixed`.

    Of several registrations the one that arrived last counts, tie by UID.
    """
    if moving and moving == fixed:
        return Mapping(kind="identity", source="frame of reference", moving_to_fixed=None)
    reason = "no registration joins its frame of reference to the one of the image"
    fitting = [held for held in registrations if _joins(held, moving, fixed)]
    for held in sorted(fitting, key=lambda one: (one.receipt.received_at, one.uid), reverse=True):
        header = held.header.registration
        if header and header.is_deformable:
            reason = "only a deformable registration joins its frame of reference to the one of the image"
            continue
        matrices = _matrices(reader.dataset(held))
        if moving in matrices and fixed in matrices:
            composed = np.linalg.inv(matrices[fixed]) @ matrices[moving]
            if _is_rigid(composed):
                return Mapping(kind="rigid", source=held.uid, moving_to_fixed=composed)
            reason = "the registration that joins its frame of reference to the one of the image is not rigid"
    return NoMapping(reason=reason)


def registrations_of(instances: Iterable[Held]) -> list[Held]:
    """Return the registrations among `instances`, each once."""
    return list({held.uid: held for held in instances if held.kind is InstanceKind.REGISTRATION}.values())


def _joins(held: Held, moving: str, fixed: str) -> bool:
    header = held.header.registration
    return header is not None and {moving, fixed} <= set(header.frame_uids) and bool(moving) and bool(fixed)


def _matrices(dataset: Dataset) -> dict[str, Matrix]:
    """Return the matrix of each frame into the registration's own frame, which maps onto itself."""
    found: dict[str, Matrix] = {str(dataset.get("FrameOfReferenceUID", "")): np.eye(4)}
    for item in dataset.get("RegistrationSequence") or []:
        frame = str(item.get("FrameOfReferenceUID", ""))
        matrix = np.eye(4)
        for registration in item.get("MatrixRegistrationSequence") or []:
            # Several matrices of one item are applied in their order (PS3.3 C.20.2.1.1).
            for step in registration.get("MatrixSequence") or []:
                values = [float(value) for value in step.FrameOfReferenceTransformationMatrix]
                matrix = np.array(values, dtype=np.float64).reshape(4, 4) @ matrix
        if frame:
            found[frame] = matrix
    return found


def _is_rigid(matrix: Matrix) -> bool:
    rotation = matrix[:3, :3]
    is_orthonormal = np.allclose(rotation @ rotation.T, np.eye(3), atol=_RIGID_TOLERANCE)
    return bool(is_orthonormal and np.linalg.det(rotation) > 0 and np.allclose(matrix[3], (0, 0, 0, 1), atol=1e-9))
