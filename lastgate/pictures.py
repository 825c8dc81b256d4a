"""Isodose pictures of a composite: planes through highest overlap and highest dose, over the planning image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from courses.answers import structures_of
from courses.composite import Composite
from courses.hot_points import HotPoint
from courses.reading import Reader
from dose.grids.grid import ImageVolume
from dose.shapes.planes import Orientation, PlaneCut, cut
from dose.shapes.structures import Structure
from reports.figures import IsodosePicture, Outline

_COLOURS = ("#FFFFFF", "#00E0D0", "#F5B7FF", "#D2FF72", "#FFD8B0", "#A9C7FF")
_TARGETS = frozenset({"PTV", "CTV", "GTV"})
_PIXEL_MM = 1.0
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "prescription": "prescription {target}",
        "highest": "highest known dose",
        "overlap": "Planes through the point of highest overlap ({at} mm): {doses}",
        "dose": "Planes through the point of the highest known dose ({at} mm): {doses}",
        "course": "course {number} {gy} {unit}",
        "sum": "sum {gy} {unit}",
        "left_out": "{label}: not in the sum, see the table of courses",
        "given": "{given} of {planned} fractions",
        "as_planned": "{planned} fractions as planned",
        "identity": "same frame of reference",
        "rigid": "rigid registration",
        "colon": ": ",
        "comma": ", ",
    },
    "zh": {
        "prescription": "处方 {target}",
        "highest": "已知最高剂量",
        "overlap": "各平面通过疗程重叠最高点（{at} mm）：{doses}",
        "dose": "各平面通过已知剂量最高点（{at} mm）：{doses}",
        "course": "疗程{number} {gy} {unit}",
        "sum": "合计 {gy} {unit}",
        "left_out": "{label}：未计入，见疗程表",
        "given": "{planned}次中的{given}次",
        "as_planned": "按计划{planned}次",
        "identity": "同一坐标系",
        "rigid": "刚性配准",
        "colon": "：",
        "comma": "，",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Planes:
    """The three planes through a point and the outlines on them; words are put to them by `isodose_picture`."""

    point: HotPoint
    cuts: Sequence[PlaneCut]
    outlines: Sequence[Outline]


def planes_through(points: Sequence[HotPoint], composite: Composite, reader: Reader) -> list[Planes]:
    """Cut axial, coronal and sagittal planes through each point, targets outlined; the image is read once."""
    if not points:
        return []
    image = reader.image(composite.image) if composite.image else None
    drawn = structures_of(composite, reader).structures
    targets = [one for one in drawn if one.interpreted_type in _TARGETS][: len(_COLOURS)]
    return [_planes(point, composite, image, targets) for point in points]


def _planes(point: HotPoint, composite: Composite, image: ImageVolume | None, targets: Sequence[Structure]) -> Planes:
    grid = composite.total.grid
    cuts = [cut(way, point.at_mm, grid, image=image, pixel_mm=_PIXEL_MM) for way in Orientation]
    outlines = [
        Outline(name=one.name, colour=colour, lines_mm=[_lines(one, plane) for plane in cuts])
        for one, colour in zip(targets, _COLOURS, strict=False)
    ]
    return Planes(point=point, cuts=cuts, outlines=outlines)


def isodose_picture(planes: Planes, composite: Composite, language: str) -> IsodosePicture:
    """Return the planes with isodoses in Gy, and in words through which point they go and where it all comes from."""
    words = _WORDS[language]
    reference, name = _reference(composite, words)
    unit = "Gy" if composite.dose_type == "PHYSICAL" else "Gy(RBE)"
    return IsodosePicture(
        cuts=planes.cuts,
        reference_gy=reference,
        reference_name=name,
        unit=unit,
        outlines=planes.outlines,
        provenance=[_through(planes.point, composite, unit, words), *_provenance(composite, words)],
        language=language,
    )


def _through(point: HotPoint, composite: Composite, unit: str, words: Mapping[str, str]) -> str:
    """Return through which point planes go and what each course gives there; courses by their number in the report."""
    numbers = {one.id: place for place, one in enumerate(composite.dossiers, start=1)}
    doses = [
        words["course"].format(number=numbers[dossier], gy=f"{gy:.1f}", unit=unit) for dossier, gy in point.by_course_gy
    ]
    doses.append(words["sum"].format(gy=f"{point.known_gy:.1f}", unit=unit))
    at = ", ".join(f"{name} {value:.1f}" for name, value in zip("xyz", point.at_mm, strict=True)).replace("-", "−")
    return words[point.what].format(at=at, doses=words["comma"].join(doses))


def _reference(composite: Composite, words: Mapping[str, str]) -> tuple[float, str]:
    """Return what 100 percent means: the highest prescription of the course shown, else the highest known dose."""
    prescribed = [
        (target.prescribed_gy, target.name)
        for phase in composite.onto.phases
        for target in phase.targets
        if target.prescribed_gy
    ]
    if prescribed:
        dose, target = max(prescribed)
        return dose, words["prescription"].format(target=target)
    return composite.total.grid.max_gy, words["highest"]


def _lines(structure: Structure, plane: PlaneCut) -> Sequence[npt.NDArray[np.float64]]:
    """Return the contours drawn on an axial plane; other planes cut between contours and show none."""
    if plane.orientation is not Orientation.AXIAL:
        return []
    heights = sorted({round(float(points[0, 2]), 2) for points in structure.closed})
    near = min(heights, key=lambda height: abs(height - plane.position_mm), default=None)
    step = min(np.diff(heights), default=3.0)
    if near is None or abs(near - plane.position_mm) > step:
        return []
    drawn = [points for points in structure.closed if abs(points[0, 2] - near) < 0.01]
    return [np.vstack([points, points[:1]])[:, :2] for points in drawn]


def _provenance(composite: Composite, words: Mapping[str, str]) -> list[str]:
    lines = []
    for share in composite.shares:
        label = share.plan.header.label or share.plan.uid
        if share.reason_not_summed:
            lines.append(words["left_out"].format(label=label))
            continue
        told = words["as_planned"] if share.as_planned else words["given"]
        fractions = told.format(
            given=f"{share.plan.fraction_equivalents:g}", planned=share.plan.fractions_planned or "?"
        )
        way = words[share.mapping.kind] if share.mapping else ""
        lines.append(f"{label}{words['colon']}{fractions}{words['comma']}{way}")
    return lines
