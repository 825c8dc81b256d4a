"""Sums what was delivered: physical dose, and dose in fractions of 2 Gy for one tissue.

Physical dose is interpolated first, then added within a session, then converted (`dose.biology`): no other order gives
the effect. Every sum has three volumes: what certainly was given (`lower_gy`), the worst it can be (`upper_gy`), and
the best estimate between them: fall-off beyond the edge of a grid, and plans in doubt taken as delivered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from courses.exposures import Exposure, Gathered, GroupPart
from dose.grids.accumulate import Sum
from dose.grids.grid import Geometry

if TYPE_CHECKING:
    from dose.grids.sampling import Sampled


class TissueLike(Protocol):
    """What converting needs of a tissue (`dose.biology`): alpha/beta, and where the linear part of LQ-L begins."""

    @property
    def alpha_beta_gy(self) -> float:
        """Alpha/beta, Gy."""

    @property
    def transition_gy(self) -> float | None:
        """Transition dose per fraction of LQ-L, Gy; None where nobody published one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """All parts at the places of one grid, read once and summed in many ways."""

    geometry: Geometry
    found: tuple[tuple[GroupPart, "Sampled"], ...]

    def of(self, part: GroupPart) -> "Sampled":
        """Return what was read of a part."""
        raise NotImplementedError


def sample_parts(gathered: Gathered, geometry: Geometry | None = None) -> Samples:
    """Read all parts at the places of a grid: the one of the sum, or a small one around a structure."""
    raise NotImplementedError


def physical_sum(
    gathered: Gathered, geometry: Geometry | None = None, *, only: str = "", samples: Samples | None = None
) -> Sum:
    """Sum the dose of the kind `Gathered.dose_type`, as stored.

    Parameters
    ----------
    geometry
        Where to sum; None: on the grid of the composite.
    only
        Id of the one course to sum.
    samples
        What was read already (`sample_parts`); its grid is summed on.
    """
    raise NotImplementedError


def eqd2_sum(
    gathered: Gathered,
    tissue: TissueLike,
    *,
    forgotten: Mapping[str, float] | None = None,
    geometry: Geometry | None = None,
    lql: bool = False,
    only: str = "",
    samples: Samples | None = None,
    repair_half_time_h: float | None = None,
) -> Sum:
    """Sum the effect of all exposures as dose in fractions of 2 Gy, for one tissue.

    Parameters
    ----------
    forgotten
        Part of the effect taken as recovered, 0 to 1, by dossier id; None: nothing is.
    lql
        With the linear extension above `TissueLike.transition_gy`; for information beside the plain model.
    repair_half_time_h
        Where given, exposures in close sessions count with incomplete repair, ``d (1 + h)``.
    """
    raise NotImplementedError


def of_course(exposures: Sequence[Exposure], dossier_id: str) -> list[Exposure]:
    """Return the exposures of one course, the parts of others left out of shared sessions."""
    raise NotImplementedError
