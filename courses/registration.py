"""Brings the frames of reference of a patient onto one, by the Spatial Registration objects in the archive.

A registration names one frame as its own and gives, for other frames, the
matrix that takes their coordinates into it (PS3.3 C.20.2.1.1). Two frames that
one object both names are joined through it; longer chains are left to a
physicist. What can't be read without doubt joins nothing, and the reason says
so: a dose in the wrong place looks as good as one in the right place.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from archive.facts.dose_decisions import RegistrationQuality
from archive.headers import InstanceKind
from archive.model import Held, PatientRecord
from courses.errors import Unreadable
from courses.reading import Reader
from dose.grids.transforms import Transform

Matrix = npt.NDArray[np.float64]
_RIGID_TOLERANCE = 1e-4
"""How far the rotation part of a rigid matrix may be from orthonormal (values are written with six digits or so)."""

_REACH_MM = 500.0
_SAME_MAP_MM = 0.01
"""Two maps are the same when no place within `_REACH_MM` of the origin comes out further apart along an axis."""

_THEIRS = "the registration that joins its frame of reference to the one of the image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """What somebody should know of a map, under a code.

    Parameters
    ----------
    code
        Stable, for programs: ``LG-REG-...``.
    words
        What is the case.
    hint
        What to do.
    """

    code: str
    words: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """How a place of the fixed frame is found in the moving one.

    Parameters
    ----------
    kind
        ``identity`` (same frame of reference), ``rigid``, ``affine`` (approved although it scales), ``deformable``, or
        ``chain`` over several registrations.
    sources
        UIDs of the registrations, from the fixed frame to the moving one; none for the identity.
    transform
        Fixed to moving; None for the identity.
    quality
        What was measured of it; of a chain None.
    is_approved, approved_by
        Whether a physicist approved each registration, and by whose accounts.
    invalid
        Structures (Structure Set UID, ROI Name) within which no place has a partner.
    error
        How far it may be off, in words.
    cautions
        What to know of it.
    """

    kind: str
    sources: tuple[str, ...] = ()
    transform: Transform | None = None
    quality: RegistrationQuality | None = None
    is_approved: bool = False
    approved_by: str = ""
    invalid: tuple[tuple[str, str], ...] = ()
    error: str = ""
    cautions: tuple[Caution, ...] = ()

    @property
    def source(self) -> str:
        """Where it comes from, in words: ``frame of reference``, or the UIDs of registrations."""
        return " + ".join(self.sources) or "frame of reference"

    @property
    def moving_to_fixed(self) -> Matrix | None:
        """Moving to fixed as a 4 x 4 matrix, mm, LPS; None for the identity, and where it is no matrix."""
        matrix = self.transform.matrix if self.transform else None
        return None if matrix is None else np.linalg.inv(matrix)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoMapping:
    """Nothing joins two frames, or nothing that may be used: why, under which code, and what to do."""

    reason: str
    code: str = "LG-REG-001"
    hint: str = ""


class Derived(Protocol):
    """Reads results of ours by their digest."""

    def read(self, sha256: str) -> bytes:
        """Return the bytes; `storage.errors.StorageError` where there are none with this digest."""


def find_mapping(
    moving_frame: str,
    fixed_frame: str,
    record: PatientRecord,
    reader: Reader,
    derived: Derived,
    *,
    moving_series: str = "",
    fixed_series: str = "",
) -> Mapping | NoMapping:
    """Return how places of the fixed frame of reference are found in the moving one."""
    everything = [held for dossier in record.dossiers for held in (*dossier.instances, *dossier.late)]
    return mapping(moving_frame, fixed_frame, registrations_of([*everything, *record.unattached]), reader)


def mapping(moving: str, fixed: str, registrations: Iterable[Held], reader: Reader) -> Mapping | NoMapping:
    """Return how the frame of reference `moving` comes onto `fixed`.

    Of several registrations the one that arrived last counts, tie by UID; one
    that can't be used is passed over, and names the reason if none can.
    """
    if not moving or not fixed:
        return NoMapping(reason="its dose grid or the image names no frame of reference")
    if moving == fixed:
        return Mapping(kind="identity", is_approved=True)
    reasons = []
    fitting = [held for held in registrations if _joins(held, moving, fixed)]
    for held in sorted(fitting, key=lambda one: (one.receipt.received_at, one.uid), reverse=True):
        found = _rigid(held, moving, fixed, reader)
        if not isinstance(found, str):
            return Mapping(kind="rigid", sources=(held.uid,), transform=Transform.of_matrix(np.linalg.inv(found)))
        reasons.append(found)
    return NoMapping(reason=next(iter(reasons), "no registration joins its frame of reference to the one of the image"))


def registrations_of(instances: Iterable[Held]) -> list[Held]:
    """Return the registrations among `instances`, each once."""
    return list({held.uid: held for held in instances if held.kind is InstanceKind.REGISTRATION}.values())


def _joins(held: Held, moving: str, fixed: str) -> bool:
    header = held.header.registration
    return header is not None and {moving, fixed} <= set(header.frame_uids)


def _rigid(held: Held, moving: str, fixed: str, reader: Reader) -> Matrix | str:
    """Return the map of a registration from one frame to another, or why it gives none."""
    if held.header.registration and held.header.registration.is_deformable:
        return "only a deformable registration joins its frame of reference to the one of the image"
    try:
        matrices = _matrices(reader.dataset(held))
    except Unreadable as error:
        return f"{_THEIRS} can't be read: {error}"
    found = [matrices.get(frame, "does not give its matrix") for frame in (moving, fixed)]
    for one in found:
        if isinstance(one, str):
            return f"{_THEIRS} {one}"
        if abs(np.linalg.det(one[:3, :3])) < _RIGID_TOLERANCE:
            return f"{_THEIRS} is not rigid"
    into, out_of = found[0], found[1]
    assert not isinstance(into, str)
    assert not isinstance(out_of, str)
    composed: Matrix = np.linalg.inv(out_of) @ into
    return composed if _is_rigid(composed) else f"{_THEIRS} is not rigid"


def _matrices(dataset: Dataset) -> dict[str, Matrix | str]:
    """Return the matrix of each frame into the registration's own, which maps onto itself; in words why there is none.

    Items that name no frame but only images (type 1C) are left out: their frame would be a guess.
    """
    own = str(dataset.get("FrameOfReferenceUID") or "")
    found: dict[str, Matrix | str] = {own: np.eye(4)} if own else {}
    for item in dataset.get("RegistrationSequence") or []:
        frame = str(item.get("FrameOfReferenceUID") or "")
        if not frame:
            continue
        matrix = _matrix(item)
        known = found.setdefault(frame, matrix)
        if isinstance(known, str) or isinstance(matrix, str):
            found[frame] = known if isinstance(known, str) else matrix
        elif not _same_map(known, matrix):
            found[frame] = "gives two maps for one frame of reference"
    return found


def _matrix(item: Dataset) -> Matrix | str:
    """Return the matrix of one item of the Registration Sequence, or in words why it gives none."""
    steps = [step for one in item.get("MatrixRegistrationSequence") or [] for step in one.get("MatrixSequence") or []]
    matrices = []
    for step in steps:
        try:
            values = [float(value) for value in step.get("FrameOfReferenceTransformationMatrix") or ()]
            matrices.append(np.array(values, dtype=np.float64).reshape(4, 4))
        except (TypeError, ValueError):
            return "has a matrix that is not 16 numbers"
    if not matrices or not np.isfinite(matrices).all():
        return "has no matrix"
    # Item order "corresponds to matrix multiplication order" (PS3.3 C.20.2.1.1): the first stands leftmost. Programs
    # are known to read it the other way round, so several matrices count only where their order makes no difference.
    product, reverse = np.eye(4), np.eye(4)
    for matrix in matrices:
        product, reverse = product @ matrix, matrix @ reverse
    return product if _same_map(product, reverse) else "gives several matrices whose order matters"


def _same_map(one: Matrix, other: Matrix) -> bool:
    """Return whether two maps take every place near the patient to the same place."""
    off = np.abs(one - other)
    return bool((off[:3, :3].sum(axis=1) * _REACH_MM + off[:3, 3] <= _SAME_MAP_MM).all())


def _is_rigid(matrix: Matrix) -> bool:
    rotation = matrix[:3, :3]
    is_orthonormal = np.allclose(rotation @ rotation.T, np.eye(3), atol=_RIGID_TOLERANCE)
    return bool(is_orthonormal and np.linalg.det(rotation) > 0 and np.allclose(matrix[3], (0, 0, 0, 1), atol=1e-9))
