"""Structures of other courses on the image of a composite, as RTSTRUCT: one for each course that came by registration.

Planning systems show them beside the structures of the image, so that people see where its organs and targets come
to lie. Each says through which registration it came: it is as good as that.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydicom import Dataset

from archive.model import Dossier, Held
from courses.composite import Composite
from courses.drawn import drawn_in
from courses.reading import planning_series, slice_distance_mm
from courses.registration import Mapping
from dose.compiled import processors
from dose.errors import DoseError
from dose.grids.grid import Geometry
from dose.grids.transforms import Transform
from dose.objects.header import PlaneImage
from dose.objects.structure_set import DrawnRoi, structure_set_dataset
from dose.shapes.carried import carried
from dose.shapes.structures import Structure
from lastgate.composed_objects import Making

Json = dict[str, Any]

_LABEL = "Mapped {}"


def write_mapped_structures(making: Making) -> None:
    """Write the structures of each course that came through a registration, and name the files in the answer."""
    making.answer["files"]["rtstruct_mapped"] = list(_written(making))


def _written(making: Making) -> Iterator[Json]:
    composite = making.composite
    image = making.house.reader.image(composite.image) if composite.image else None
    if image is None:
        return
    slices = _slices(composite, image.geometry)
    place = 0
    for dossier in composite.dossiers:
        asked = [
            (structure, mapping, image.geometry, _slice_mm(dossier))
            for frame, mapping in _ways(composite, dossier).items()
            for structure in drawn_in(dossier, frame, making.house.reader).structures
        ]
        with ThreadPoolExecutor(processors()) as pool:
            found = list(pool.map(lambda one: _roi(*one), asked))
        if not found:
            continue
        place += 1
        name = f"structures-{place}.dcm"
        making.save(_dataset(making, dossier, found, slices), name)
        sources = dict.fromkeys(uid for one in _ways(composite, dossier).values() for uid in one.sources)
        yield {"dossier": dossier.id, "sources": list(sources), "path": making.path(name)}


def _ways(composite: Composite, dossier: Dossier) -> dict[str, Mapping]:
    """Return by frame of reference how doses of a course came onto the image, those of the image's frame left out."""
    return {
        held.header.frame_uid: share.mapping
        for share in composite.shares
        if share.dossier.id == dossier.id and share.mapping and share.mapping.transform
        for held in share.plan.doses
        if held.header.frame_uid not in ("", composite.frame_uid)
    }


def _slice_mm(dossier: Dossier) -> float | None:
    series = planning_series(dossier)
    return slice_distance_mm(series[0][1]) if series else None


def _roi(structure: Structure, mapping: Mapping, onto: Geometry, slice_mm: float | None) -> tuple[DrawnRoi, bool]:
    """Return a structure on the image, and whether it could be carried there."""
    origin = f"Through {mapping.kind} registration {mapping.source}"
    contours, is_carried = [], True
    try:
        contours = carried(structure, mapping.transform or Transform(()), onto, slice_mm=slice_mm)
    except DoseError as error:
        origin, is_carried = f"Not carried: {error}", False
    if is_carried and not contours:
        origin = f"{origin}; no part of it lies on the image"
    if mapping.invalid:
        origin = f"{origin}; holds nowhere within {', '.join(name for _, name in mapping.invalid)}"
    roi = DrawnRoi(
        name=structure.name, contours=contours, description=origin, interpreted_type=structure.interpreted_type
    )
    return roi, is_carried


def _dataset(
    making: Making, dossier: Dossier, found: Sequence[tuple[DrawnRoi, bool]], slices: Sequence[PlaneImage]
) -> Dataset:
    header = making.header(f"Structures of course {dossier.id[:8]} mapped, {making.state}")
    rois = [roi for roi, _ in found]
    is_whole = all(is_carried for _, is_carried in found)
    return structure_set_dataset(
        rois, header=header, label=_LABEL.format(dossier.id[:8]), images=slices, complete=is_whole
    )


def _slices(composite: Composite, geometry: Geometry) -> list[PlaneImage]:
    """Return the slices of the image in the order of its planes."""

    def plane(held: Held) -> float:
        assert held.header.image is not None
        return float(geometry.to_index(held.header.image.position_mm)[..., 2].item())

    return [
        PlaneImage(
            sop_class_uid=held.header.sop_class_uid,
            sop_instance_uid=held.uid,
            series_instance_uid=held.header.series_uid,
        )
        for held in sorted(composite.image, key=plane)
    ]
