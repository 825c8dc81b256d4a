"""What was given together, and how often: the delivered dose of a patient as fractions.

Effect depends on what one fraction gave, so dose is kept per fraction: a *part* is the dose that one fraction of one
fraction group gives by one stored grid, an *exposure* is the parts that were given in one session, and in how many
sessions. A fraction that was cut short counts as a part of a fraction at the planned dose per fraction: delivery
changes how many, never how large. Physical dose and EQD2 are both sums over exposures (`courses.summing`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from archive.model import Dossier, PatientRecord
from courses.shares import PlanShare
from dose.grids.grid import DoseGrid, Geometry
from dose.grids.transforms import Transform

DoseKind = Literal["physical", "rbe_weighted", "unconfirmed"]
"""What a stored dose is: ``unconfirmed`` where ions are labelled physical and nobody stated that they are."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupPart:
    """The dose that one fraction of one fraction group gives by one stored grid.

    Parameters
    ----------
    grid
        As stored, in its own frame of reference.
    per_fraction
        What the grid is multiplied with for the dose of one whole fraction: 1 / planned fractions for a PLAN grid.
    transform
        Places of the sum to places of the grid; None where both are one frame.
    label
        How its plan is called in reports.
    fraction_group
        None where the grid holds several groups.
    rbe_model
        ``constant-1.1``, ``LEM-I``, ``LEM-IV``, ``MKM``; empty for physical dose, and where nobody stated it.
    is_stated
        Whether a physicist stated kind and model.
    modality
        That of its plan, see `archive.model.Plan`.
    rbe
        What its dose is multiplied with before conversion, at least and at most (`dose.biology.rbe.weighting`).
    not_addable
        Why its effect can't be told by its dose per fraction (low dose rate, implants); empty where it can.
    not_addable_code
        See `dose.biology.rbe.NotAddable`; empty where it can, and where the plan does not tell its fractions.
    """

    grid: DoseGrid
    per_fraction: float
    transform: Transform | None
    label: str
    dossier_id: str
    plan_uid: str
    fraction_group: int | None
    kind: DoseKind
    rbe_model: str = ""
    is_stated: bool = False
    modality: str = ""
    grid_uid: str = ""
    rbe: tuple[float, float] = (1.0, 1.0)
    not_addable: str = ""
    not_addable_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposure:
    """Parts given in one session, and in how many sessions they were.

    Parameters
    ----------
    parts
        Added before anything is converted; one stands twice where two of its fractions were given in one session.
    fractions
        How many: 29.4 where one of thirty was cut short.
    dossier_id
        The course, of several the one treated last.
    is_certain
        Whether it certainly was delivered; else it is in upper bound and estimate alone.
    last_date
        DA of its last session; empty where nobody knows.
    least, most
        Parts of `fractions` that were given at least and at most, where a grid does not tell its fraction groups apart.
    concentration
        How many times larger than told a fraction may have been at most (and as many times fewer): all fractions over
        those of the shortest group, where a grid holds several.
    close
        Sessions of one day or less than six hours apart: hours to the other session, and how many fractions had one.
    is_told
        Whether records tell its sessions; else the planned fractions of one fraction group are taken.
    """

    parts: tuple[GroupPart, ...]
    fractions: float
    dossier_id: str
    is_certain: bool
    last_date: str
    least: float = 1.0
    most: float = 1.0
    concentration: float = 1.0
    close: tuple[tuple[float, float], ...] = ()
    is_told: bool = True

    @property
    def at_least(self) -> float:
        """How many fractions were certainly given."""
        return self.fractions * self.least if self.is_certain else 0.0

    @property
    def at_most(self) -> float:
        """How many fractions may have been given."""
        return self.fractions * self.most


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gathered:
    """All that was delivered to a patient, before it is summed.

    Parameters
    ----------
    onto
        The dossier whose image the sum lies on.
    geometry
        The grid of the sum, in the frame `frame_uid`.
    exposures
        Of every plan whose dose can be had, physical and RBE-weighted.
    dose_type
        ``PHYSICAL`` or ``EFFECTIVE``: which of them the physical sum takes.
    shares
        What became of each plan.
    """

    record: PatientRecord
    onto: Dossier
    geometry: Geometry
    frame_uid: str
    exposures: tuple[Exposure, ...]
    shares: tuple[PlanShare, ...]
    dose_type: str

    def changed(self, change: Callable[[GroupPart], GroupPart]) -> "Gathered":
        """Return the same with each part changed once: a shifted transform, for instance."""
        known = {id(part): change(part) for part in self.parts}
        exposures = (replace(one, parts=tuple(known[id(part)] for part in one.parts)) for one in self.exposures)
        return replace(self, exposures=tuple(exposures))

    @property
    def has_close_sessions(self) -> bool:
        """Whether sessions were so close that repair may be incomplete, or nobody knows how close on one day."""
        return any(one.close for one in self.exposures)

    @property
    def parts(self) -> tuple[GroupPart, ...]:
        """Every part once."""
        return tuple({id(part): part for one in self.exposures for part in one.parts}.values())
