"""What is uncertain of a composite, as settings that can be tried: shifts, registrations, alpha/beta, recovery.

A *member* changes one thing; its *source* says which kind of doubt it stands for. Members of one source and one course
exclude each other (a course can be shifted one way only), those of different sources or courses may all be true.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import sqrt

from courses.exposures import Gathered, GroupPart

SHIFTS_MM = (3.0, 5.0)
"""How far courses are shifted: what daily set-up and a good registration leave open, and what a poor one does."""

ALPHA_BETA = "alpha_beta"
RECOVERY = "recovery"
REGISTRATION = "registration"
MEASURED_SHIFT = "shift_measured"
GRID = "grid"

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One way things may be.

    Parameters
    ----------
    shifts
        By dossier id: how far its dose is moved on the image of the sum, mm.
    rigid
        Courses that come by the rigid map nearest to their deformable one.
    alpha_beta_gy
        None: that of the tissue.
    recovery
        Name of the model by which earlier courses are partly forgotten; empty: nothing is.
    """

    shifts: tuple[tuple[str, Vector], ...] = ()
    rigid: frozenset[str] = frozenset()
    alpha_beta_gy: float | None = None
    recovery: str = ""

    def with_also(self, other: "Setting") -> "Setting":
        """Return this setting and another at once; where both set one thing, the other counts."""
        return Setting(
            shifts=tuple(sorted({**dict(self.shifts), **dict(other.shifts)}.items())),
            rigid=self.rigid | other.rigid,
            alpha_beta_gy=self.alpha_beta_gy if other.alpha_beta_gy is None else other.alpha_beta_gy,
            recovery=other.recovery or self.recovery,
        )

    def shift_of(self, dossier_id: str) -> Vector:
        """Return how far a course is moved, mm."""
        return dict(self.shifts).get(dossier_id, (0.0, 0.0, 0.0))


NOMINAL = Setting()


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One change of the nominal setting.

    Parameters
    ----------
    source
        ``shift_3mm``, ``shift_5mm``, `MEASURED_SHIFT`, `REGISTRATION`, `ALPHA_BETA` or `RECOVERY`.
    course
        The dossier it changes; empty where it changes all.
    words
        What it changes, for a report.
    """

    source: str
    course: str
    words: str
    setting: Setting

    @property
    def is_biological(self) -> bool:
        """Whether physical dose does not depend on it."""
        return self.source in {ALPHA_BETA, RECOVERY}

    @property
    def excludes(self) -> tuple[str, str]:
        """Members that share this never hold at once: shifts of one course, whatever their length."""
        return ("shift" if self.source.startswith("shift") else self.source, self.course)


def directions() -> tuple[Vector, ...]:
    """Return 14 unit vectors: along the axes both ways, and the diagonals of the cube.

    No direction lies further than 36.2 degrees from one of them, so that in an even gradient the worst shift is met to
    81 %; the six axes alone would meet 58 %.
    """
    axes = [tuple(float(sign) * (n == axis) for n in range(3)) for axis in range(3) for sign in (1, -1)]
    part = 1 / sqrt(3)
    corners = [(a * part, b * part, c * part) for a, b, c in product((1, -1), repeat=3)]
    return tuple((one[0], one[1], one[2]) for one in (*axes, *corners))


def members_of(
    gathered: Gathered,
    *,
    alpha_beta_gy: tuple[float, float],
    models: Iterable[str] = (),
    measured_mm: Mapping[str, float] | None = None,
) -> tuple[Member, ...]:
    """Return everything that is varied, one thing at a time.

    Courses other than the one whose image the sum lies on are shifted, also those that share its frame of reference:
    they were planned on another day.

    Parameters
    ----------
    alpha_beta_gy
        Lowest and highest value to try.
    models
        Recovery models to try.
    measured_mm
        By dossier id: what was measured of its registration (TRE), where it was.
    """
    courses = list(dict.fromkeys(one.dossier_id for one in gathered.exposures if one.dossier_id != gathered.onto.id))
    found = [
        one for course in courses for length in SHIFTS_MM for one in _shifts(course, length, f"shift_{length:g}mm")
    ]
    for course, length in (measured_mm or {}).items():
        if course in courses and length > 0:
            found += _shifts(course, length, MEASURED_SHIFT)
    for course in courses:
        if any(part.dossier_id == course and is_deformable(part) for part in gathered.parts):
            setting = Setting(rigid=frozenset({course}))
            found.append(Member(source=REGISTRATION, course=course, words="rigid, not deformable", setting=setting))
    for value in dict.fromkeys(alpha_beta_gy):
        setting = replace(NOMINAL, alpha_beta_gy=value)
        found.append(Member(source=ALPHA_BETA, course="", words=f"alpha/beta {value:g} Gy", setting=setting))
    for name in models:
        setting = replace(NOMINAL, recovery=name)
        found.append(Member(source=RECOVERY, course="", words=f"recovery {name}", setting=setting))
    return tuple(found)


def is_deformable(part: GroupPart) -> bool:
    """Whether a part comes through a map that is no matrix."""
    return part.transform is not None and part.transform.matrix is None


def _shifts(course: str, length_mm: float, source: str) -> list[Member]:
    return [
        Member(
            source=source,
            course=course,
            words=f"shifted by ({x * length_mm:.1f}, {y * length_mm:.1f}, {z * length_mm:.1f}) mm",
            setting=Setting(shifts=((course, (x * length_mm, y * length_mm, z * length_mm)),)),
        )
        for x, y, z in directions()
    ]
