"""Measures a registration on the images and structures of a patient, and says what it meets (AAPM TG-132)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from archive.facts.dose_decisions import RegistrationQuality
from archive.gate.names import suggestion
from dose.errors import BadStructure
from dose.grids.grid import ImageVolume
from dose.grids.transforms import Transform
from dose.registering.images import BODY_HU, BODY_WINDOW, similarity
from dose.registering.limits import LIMITS, Limit, consistency_limit, rigid_limit
from dose.registering.quality import (
    Agreement,
    Landmarks,
    agreement,
    body_of,
    inverse_consistency,
    jacobian_range,
    landmark_errors,
)
from dose.registering.solids import Solid
from dose.shapes.structures import Structure

_WHOLE = frozenset({"EXTERNAL", "SUPPORT", "BOLUS"})
"""RT ROI Interpreted Types that say nothing: the outline follows the field of view."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """One side of a registration: an image and what is drawn on it."""

    image: ImageVolume
    structures: Sequence[Structure] = ()


def measure(
    transform: Transform,
    fixed: Judged,
    moving: Judged,
    *,
    backward: Transform | None = None,
    landmarks: Landmarks | None = None,
) -> RegistrationQuality:
    """Measure a registration with what there is: landmarks, structures of one name on both images, the map itself.

    Parameters
    ----------
    backward
        The registration the other way, computed apart; None where there is none.
    landmarks
        Pairs; single points of one name on both images count besides.
    """
    body = body_of(fixed.image, BODY_HU)
    errors = _errors(transform, fixed, moving, landmarks)
    jacobian = jacobian_range(transform, body, fixed.image.geometry)
    apart = (
        inverse_consistency(transform, backward, body, fixed.image.geometry, moving.image.geometry)
        if backward
        else None
    )
    compared = _agreements(transform, fixed, moving)
    return RegistrationQuality(
        landmarks=len(errors),
        tre_mean_mm=float(errors.mean()) if len(errors) else None,
        tre_max_mm=float(errors.max()) if len(errors) else None,
        dice=tuple((name, one.dice) for name, one in compared),
        mean_distance_mm=tuple(
            (name, one.mean_distance_mm) for name, one in compared if one.mean_distance_mm is not None
        ),
        jacobian_least=jacobian[0] if jacobian else None,
        jacobian_most=jacobian[1] if jacobian else None,
        inverse_consistency_mm=apart[1] if apart else None,
        similarity=similarity(fixed.image, moving.image, transform, body, BODY_WINDOW),
    )


def verdicts(
    quality: RegistrationQuality, kind: str, spacing_mm: tuple[float, float, float]
) -> list[dict[str, str | float | None]]:
    """Return for each limit whether it is met: ``meets``, ``misses`` or ``not measured``.

    Of structures the worst counts.
    """
    figures: dict[str, Any] = asdict(quality)
    figures["dice"] = min((value for _, value in quality.dice), default=None)
    figures["mean_distance_mm"] = max((value for _, value in quality.mean_distance_mm), default=None)
    limits: tuple[Limit, ...] = (*LIMITS, rigid_limit(spacing_mm), consistency_limit(spacing_mm))
    return [
        {
            "measure": limit.measure,
            "value": figures[limit.measure],
            "limit": limit.words,
            "verdict": limit.verdict(figures[limit.measure]),
            "source": limit.source,
        }
        for limit in limits
        if kind in limit.kinds
    ]


def _errors(transform: Transform, fixed: Judged, moving: Judged, landmarks: Landmarks | None) -> Any:
    ours, theirs = (
        {key: one.points[0] for key, one in _by_name(side.structures).items() if len(one.points) == 1}
        for side in (fixed, moving)
    )
    shared = sorted(ours.keys() & theirs.keys())
    pairs = [(ours[name], theirs[name]) for name in shared]
    if landmarks is not None:
        pairs.extend(zip(landmarks.fixed_mm, landmarks.moving_mm, strict=True))
    if not pairs:
        return np.empty(0)
    at = np.array(pairs, dtype=np.float64)
    names = tuple(str(n) for n in range(len(pairs)))
    return landmark_errors(transform, Landmarks(names=names, fixed_mm=at[:, 0], moving_mm=at[:, 1]))


def _agreements(transform: Transform, fixed: Judged, moving: Judged) -> list[tuple[str, Agreement]]:
    ours, theirs = (_drawn(side.structures) for side in (fixed, moving))
    found = []
    for key in sorted(ours.keys() & theirs.keys()):
        try:
            pair = Solid.of(ours[key]), Solid.of(theirs[key])
        except BadStructure:
            continue
        found.append((ours[key].name, agreement(*pair, transform)))
    return found


def _drawn(structures: Sequence[Structure]) -> Mapping[str, Structure]:
    named = _by_name(structures)
    return {key: one for key, one in named.items() if one.has_volume and one.interpreted_type not in _WHOLE}


def _by_name(structures: Sequence[Structure]) -> Mapping[str, Structure]:
    """Return structures by their TG-263 name; where two share one it can't be told which is meant, and none counts."""
    found: dict[str, list[Structure]] = {}
    for one in structures:
        key = (suggestion(one.name) or one.name).casefold()
        found.setdefault(key, []).append(one)
    return {key: several[0] for key, several in found.items() if len(several) == 1}
