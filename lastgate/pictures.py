"""Isodose pictures of a composite: planes through the hottest voxel, over the planning image."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from courses.answers import structures_of
from courses.composite import Composite
from courses.reading import Reader
from dose.shapes.planes import Orientation, PlaneCut, cut, hottest_point_mm
from dose.shapes.structures import Structure
from reports.figures import IsodosePicture, Outline

_COLOURS = ("#e31a1c", "#33a02c", "#6a3d9a", "#b15928", "#1f78b4", "#ff7f00")
_TARGETS = frozenset({"PTV", "CTV", "GTV"})
_PIXEL_MM = 1.0
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "prescription": "prescription {target}",
        "highest": "highest known dose",
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
        "left_out": "{label}：未计入，见疗程表",
        "given": "{planned}次中的{given}次",
        "as_planned": "按计划{planned}次",
        "identity": "同一坐标系",
        "rigid": "刚性配准",
        "colon": "：",
        "comma": "，",
    },
}


def isodose_picture(composite: Composite, reader: Reader, *, language: str = "en") -> IsodosePicture | None:
    """Return axial, coronal and sagittal planes with isodoses in Gy, targets outlined, and where it all comes from.

    The planes go through the voxel with the highest known dose; there is no picture where no dose is known.
    """
    if composite.total.grid.max_gy <= 0:
        return None
    through = hottest_point_mm(composite.total.grid)
    image = reader.image(composite.image) if composite.image else None
    cuts = [cut(way, through, composite.total.grid, image=image, pixel_mm=_PIXEL_MM) for way in Orientation]
    drawn = structures_of(composite, reader).structures
    targets = [one for one in drawn if one.interpreted_type in _TARGETS][: len(_COLOURS)]
    reference, name = _reference(composite, _WORDS[language])
    return IsodosePicture(
        cuts=cuts,
        reference_gy=reference,
        reference_name=name,
        unit="Gy" if composite.dose_type == "PHYSICAL" else "Gy(RBE)",
        outlines=[
            Outline(name=one.name, colour=colour, lines_mm=[_lines(one, plane) for plane in cuts])
            for one, colour in zip(targets, _COLOURS, strict=False)
        ],
        provenance=_provenance(composite, _WORDS[language]),
        language=language,
    )


def in_language(picture: IsodosePicture, composite: Composite, language: str) -> IsodosePicture:
    """Return a picture of this composite with its words in another language; the planes are not cut again."""
    words = _WORDS[language]
    _, name = _reference(composite, words)
    return replace(picture, language=language, reference_name=name, provenance=_provenance(composite, words))


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
