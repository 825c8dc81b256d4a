"""What a registration has to meet, with sources, and whether it does."""

from dataclasses import dataclass
from typing import Literal

_TG132 = "AAPM TG-132 (Brock et al., Med Phys 44:e43, 2017)"

Verdict = Literal["meets", "misses", "not measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit.

    Parameters
    ----------
    measure
        Name of the figure it is about.
    words
        The limit as people read it.
    least, most
        What still meets it; None where there is no such end. `above` is not met by being equal.
    kinds
        The kinds of registration it holds for.
    """

    measure: str
    words: str
    source: str
    least: float | None = None
    most: float | None = None
    above: float | None = None
    kinds: tuple[str, ...] = ("rigid", "deformable")

    def verdict(self, value: float | None) -> Verdict:
        """Return whether a figure meets it."""
        if value is None:
            return "not measured"
        meets = (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
        )
        return "meets" if meets else "misses"


LIMITS = (
    Limit(
        measure="tre_mean_mm",
        words="at most 2 mm on average",
        most=2.0,
        source=f"{_TG132}; Latifi et al., PMC6036411",
    ),
    Limit(measure="tre_max_mm", words="at most 5 mm at any landmark", most=5.0, source=f"{_TG132}; PMC6036411"),
    Limit(measure="dice", words="at least 0.8 for each structure", least=0.8, source=_TG132),
    Limit(measure="mean_distance_mm", words="at most 3 mm for each structure", most=3.0, source=_TG132),
    Limit(measure="jacobian_least", words="above 0: no tissue folds", above=0.0, source=_TG132),
)
"""Limits that need no voxel size; `rigid_limit` and `consistency_limit` give those that do."""


def rigid_limit(spacing_mm: tuple[float, float, float]) -> Limit:
    """Return what a rigid registration of a phantom has to meet: half of the largest side of a voxel."""
    half = max(spacing_mm) / 2
    return Limit(
        measure="tre_mean_mm",
        words=f"at most half a voxel, {half:g} mm, for a rigid body",
        most=half,
        source=_TG132,
        kinds=("rigid",),
    )


def consistency_limit(spacing_mm: tuple[float, float, float]) -> Limit:
    """Return how far there and back may end from where it began: the largest side of a voxel."""
    most = max(spacing_mm)
    return Limit(measure="inverse_consistency_mm", words=f"at most one voxel, {most:g} mm", most=most, source=_TG132)
