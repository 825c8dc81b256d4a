"""Reads instances of the archive as DICOM data sets, their digest checked on the way."""

import io
from collections.abc import Iterable, Sequence

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from archive.headers import InstanceKind
from archive.model import Dossier, Held
from archive.vault.places import Places
from courses.errors import Unreadable
from dose.errors import DoseError
from dose.grids.grid import ImageVolume
from dose.objects.dicom import StoredDose, read_dose, read_image
from dose.shapes.structures import StructureSet, read_structures

_XYZ = ("x", "y", "z")
_SAME_PLACE_MM = 0.01
_PLATEAU_VOXELS = 3


class Reader:
    """Reads what a dossier holds.

    Parameters
    ----------
    places
        Where instances lie.
    """

    def __init__(self, places: Places) -> None:
        self._places = places

    def dataset(self, held: Held) -> Dataset:
        """Return the whole data set.

        Raises
        ------
        DigestMismatch
            No copy has the bytes that were received.
        ObjectMissing
            There is no copy.
        Unreadable
            pydicom can't read them.
        """
        body = self._places.whole(held.receipt)
        try:
            return dcmread(io.BytesIO(body), force=True)
        except (InvalidDicomError, EOFError, OSError, ValueError, KeyError, NotImplementedError) as error:
            raise Unreadable(f"{held.kind.value} {held.uid} can't be read: {error}") from error

    def bytes(self, held: Held) -> bytes:
        """Return the file as it was received."""
        return self._places.whole(held.receipt)

    def dose(self, held: Held) -> StoredDose:
        """Return a dose grid; `dose.errors.DoseError` says why it can't be used."""
        return read_dose(self.dataset(held))

    def dose_and_reach(self, held: Held) -> tuple[StoredDose, bool]:
        """Return a dose grid, and whether it is cut off at the largest number it can store.

        Many planning systems scale a dose so that its one maximum is that number; several voxels there are a plateau
        that the patient does not have.
        """
        dataset = self.dataset(held)
        stored = read_dose(dataset)
        bits = int(dataset.get("BitsStored") or 0) - int(dataset.get("PixelRepresentation") or 0)
        most = stored.grid.max_gy
        is_last = bits > 0 and most > 0 and round(most / float(dataset.DoseGridScaling)) >= 2**bits - 1
        return stored, is_last and int(np.count_nonzero(stored.grid.dose_gy >= most)) >= _PLATEAU_VOXELS

    def structures(self, held: Held) -> StructureSet:
        """Return all structures of a structure set."""
        return read_structures(self.dataset(held))

    def image(self, series: Sequence[Held]) -> ImageVolume | None:
        """Return the volume of an image series, None where its slices make no volume."""
        try:
            return read_image([self.dataset(held) for held in series])
        except DoseError:
            return None


def planning_series(dossier: Dossier) -> list[tuple[str, tuple[Held, ...]]]:
    """Return the image series of a dossier with their UIDs, the likeliest planning image first.

    First those its structure sets refer to, then those in the frame of reference of its dose, then the longest.
    """
    referred = {
        uid for held in dossier.instances if held.header.structure_set for uid in held.header.structure_set.series_uids
    }
    frames = {held.header.frame_uid for plan in dossier.plans for held in plan.doses} - {""}
    series: dict[str, list[Held]] = {}
    for held in _of_kind(dossier.instances, InstanceKind.IMAGE):
        series.setdefault(held.header.series_uid, []).append(held)

    def rank(uid: str) -> tuple[bool, bool, int, str]:
        return (uid not in referred, series[uid][0].header.frame_uid not in frames, -len(series[uid]), uid)

    return [(uid, tuple(series[uid])) for uid in sorted(series, key=rank)]


def slice_distance_mm(series: Iterable[Held]) -> float | None:
    """Return the usual distance of the slices of a series, None where fewer than two tell where they lie."""
    headers = [held.header.image for held in series if held.header.image]
    placed = [one for one in headers if len(one.position_mm) == len(_XYZ) and len(one.orientation) == 2 * len(_XYZ)]
    if not placed:
        return None
    normal = np.cross(placed[0].orientation[:3], placed[0].orientation[3:])
    along = np.sort([float(np.dot(normal, one.position_mm)) for one in placed])
    gaps = [gap for gap in np.diff(along) if gap > _SAME_PLACE_MM]
    return float(np.median(gaps)) if gaps else None


def _of_kind(instances: Iterable[Held], kind: InstanceKind) -> Iterable[Held]:
    return (held for held in instances if held.kind is kind)
