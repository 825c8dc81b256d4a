"""What is asked of a composite beyond its physical dose."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dose.grids.grid import DoseGrid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A new plan that is looked at on top of what was given; it is in no figure but those that compare.

    Parameters
    ----------
    label, uid
        Plan Label and SOP Instance UID of the plan; of the dose grid where no plan is named.
    grid
        Its dose in Gy, all fractions.
    frame_uid
        Frame of Reference of the grid.
    fractions
        How many the plan intends.
    sha256
        Digest of the file of the grid.
    """

    label: str
    uid: str
    grid: DoseGrid
    frame_uid: str
    fractions: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Questions:
    """What is asked of a composite; what nobody asks for is not computed, and is null or empty in the answer.

    Parameters
    ----------
    alpha_beta_gy
        Alpha/beta by name of the structure, where it is another than that of the data file.
    recovery
        Recovery models to show side by side, by name; none is applied without being asked for.
    fractions
        Planned fractions of the next course: what dose remains in them, and what dose that was given is worth in them.
    limits
        Name of the limit set; the standard one if empty.
    candidate
        A new plan to look at on top.
    has_ensemble
        Whether figures are varied with what is uncertain.
    """

    alpha_beta_gy: Mapping[str, float] = field(default_factory=dict)
    recovery: tuple[str, ...] = ()
    fractions: int | None = None
    limits: str = ""
    candidate: Candidate | None = None
    has_ensemble: bool = False
