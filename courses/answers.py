"""The composite and the dose-volume histograms as JSON (DESIGN section 6): each figure with its bounds."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date

from archive.answers import iso_date, person_answer
from archive.assembly.delivery import parse_date
from archive.model import Dossier
from courses.composite import Composite, PlanShare
from courses.drawn import Drawn as Drawn
from courses.drawn import structures_of as structures_of
from courses.effects import Effects, effect_rows, effects_on
from courses.figures import Json, curve_of, figures_of
from courses.notices import Notice, notice
from courses.questions import Questions
from courses.reading import Reader, slice_distance_mm
from courses.registration_answers import mapping_answer
from dose.biology.effect import LARGE_FRACTION_GY
from dose.biology.tissues import Tissues
from dose.compiled import processors
from dose.errors import DoseError
from dose.shapes.dvh import Dvh, dvhs
from dose.shapes.structures import Structure


@dataclass(frozen=True, slots=True, kw_only=True)
class Histograms:
    """The histograms of all structures of a course, the structures themselves, and which have none and why."""

    found: tuple[Dvh, ...]
    structures: tuple[Structure, ...]
    notices: tuple[Notice, ...]

    @property
    def left_out(self) -> tuple[str, ...]:
        """The notices in words."""
        return tuple(dict.fromkeys(one.words for one in self.notices))


@dataclass(frozen=True, slots=True, kw_only=True)
class Organs:
    """The structures of the course a sum lies on: histograms of physical dose, and what the doses mean for each."""

    histograms: Histograms
    effects: tuple[Effects | None, ...]
    slice_mm: float | None


def read_organs(composite: Composite, reader: Reader, tissues: Tissues, questions: Questions | None = None) -> Organs:
    """Read all structures once, on all processors."""
    drawn, slice_mm = histograms(composite, reader), slice_distance_mm(composite.image)
    asked = questions.alpha_beta_gy if questions else None

    def of(structure: Structure) -> Effects | None:
        return effects_on(structure, composite, tissues, asked=asked, slice_mm=slice_mm)

    with ThreadPoolExecutor(processors()) as pool:
        return Organs(histograms=drawn, effects=tuple(pool.map(of, drawn.structures)), slice_mm=slice_mm)


def composite_answer(composite: Composite, organs: Organs, *, as_of: date | None) -> Json:
    """Return a composite as `composite --json` prints it.

    Parameters
    ----------
    organs
        Its structures, as they were read (`read_organs`).
    as_of
        The day intervals are counted to; the last session of all if None, so that the answer never depends on today.
    """
    day, drawn, effects = as_of or _last_day(composite), organs.histograms, organs.effects
    told = [*_notices(composite), *drawn.notices, *_about_effects(drawn.structures, effects)]
    return {
        "format": "lastgate/composite/1",
        "patient": person_answer(composite.record.person),
        "as_of": day.isoformat() if day else None,
        "status": {"state": "draft", "by": None, "at": None},
        "complete": composite.is_complete,
        "onto": composite.series_uid or None,
        "onto_dossier": composite.onto.id,
        "frame_of_reference_uid": composite.frame_uid,
        "dose_type": _dose_type(composite),
        "courses": [_course(dossier, composite, day) for dossier in composite.dossiers],
        "structures": [
            {
                **_structure(one, is_open=composite.has_gap),
                "curve": curve_of(one, is_open=composite.has_gap),
                **effect_rows(effect, composite),
            }
            for one, effect in zip(drawn.found, effects, strict=True)
        ],
        "remaining": [],
        "warnings": list(dict.fromkeys(one.words for one in told)),
        "codes": [one.as_json() for one in dict.fromkeys(told)],
        "files": {"rtdose_physical": None, "rtdose_eqd2": [], "report_pdf": None},
    }


def histograms(composite: Composite, reader: Reader, *, leave_out: frozenset[str] = frozenset()) -> Histograms:
    """Return the histograms of all structures of the course the sum lies on.

    While a dose is missing that nothing bounds, all of a structure counts as unknown.

    Parameters
    ----------
    leave_out
        RT ROI Interpreted Types (PS3.3 C.8.8.8) that are not asked for.
    """
    drawn, total = structures_of(composite, reader), composite.total
    asked = [one for one in drawn.structures if one.interpreted_type not in leave_out]
    made = dvhs(
        asked,
        total.grid,
        upper_gy=total.upper_gy,
        estimate_gy=total.estimate_gy,
        outside_gy=total.outside_gy,
        slice_mm=slice_distance_mm(composite.image),
    )
    found: list[tuple[Structure, Dvh]] = []
    told = [*drawn.notices]
    for structure, one in zip(asked, made, strict=True):
        if isinstance(one, DoseError):
            told.append(notice("no-histogram", name=structure.name, reason=one))
            continue
        found.append((structure, replace(one, unknown_cc=one.volume_cc) if composite.has_gap else one))
    return Histograms(
        found=tuple(one for _, one in found), structures=tuple(one for one, _ in found), notices=tuple(told)
    )


def dvh_answer(composite: Composite, reader: Reader, *, basis: str) -> Json:
    """Return the histograms of one course as `dvh --json` prints them."""
    drawn, is_open = histograms(composite, reader), composite.has_gap
    return {
        "format": "lastgate/dvh/1",
        "dossier": composite.onto.id,
        "basis": basis,
        "complete": composite.is_complete,
        "dose_type": _dose_type(composite),
        "plans": [_plan(share) for share in composite.shares],
        "structures": [
            {**_structure(one, is_open=is_open), "curve": curve_of(one, is_open=is_open)} for one in drawn.found
        ],
        "warnings": list(dict.fromkeys(one.words for one in (*_notices(composite), *drawn.notices))),
    }


def _dose_type(composite: Composite) -> str:
    return "physical" if composite.dose_type == "PHYSICAL" else "rbe_weighted"


def _structure(one: Dvh, *, is_open: bool) -> Json:
    """Return the figures of a structure; effect is told of composites alone, by `courses.effects`."""
    return {
        "name": one.name,
        "volume_cc": round(one.volume_cc, 4),
        "alpha_beta_gy": None,
        "physical": figures_of(one, is_open=is_open),
        "eqd2": None,
    }


def _course(dossier: Dossier, composite: Composite, as_of: date | None) -> Json:
    shares = [share for share in composite.shares if share.dossier.id == dossier.id]
    return {
        "dossier": dossier.id,
        "state": dossier.state.value,
        "first_fraction": iso_date(dossier.first_fraction),
        "last_fraction": iso_date(dossier.last_fraction),
        "interval_days": _interval_days(dossier, as_of),
        "overlap_class": None,
        "recovery": None,
        "reason_not_summed": _reason(shares),
        "plans": [_plan(share) for share in shares],
    }


def _interval_days(dossier: Dossier, as_of: date | None) -> int | None:
    """Return the days since the last fraction; none have passed where the course goes on beyond `as_of`."""
    last = parse_date(dossier.last_fraction)
    return (as_of - last).days if as_of and last and last <= as_of else None


def _reason(shares: list[PlanShare]) -> str | None:
    """Return why a course is not in the sum, or not wholly; None where nothing is missing."""
    if not shares:
        return "it has no plan"
    gaps = sorted({share.reason_not_summed for share in shares if share.leaves_a_gap})
    if not gaps and not any(share.source for share in shares):
        return "none of its plans was delivered"
    return "; ".join(gaps) or None


def _plan(share: PlanShare) -> Json:
    return {
        "uid": share.plan.uid,
        "label": share.plan.header.label,
        "delivery_state": share.plan.delivery_state.value,
        "basis": "planned" if share.as_planned else "delivered",
        "fractions": {
            "planned": share.plan.fractions_planned,
            "delivered": round(share.plan.fraction_equivalents, 4),
        },
        "source": share.source or None,
        "credential": None,
        "registration": mapping_answer(share.mapping) if share.mapping else None,
        "reason_not_summed": share.reason_not_summed or None,
    }


def _notices(composite: Composite) -> Iterable[Notice]:
    """Yield what is to be warned of, what is missing first."""
    if composite.has_gap:
        yield notice("dose-missing")
    elif composite.has_doubt:
        yield notice("delivery-unknown")
    for other in composite.open_links:
        yield notice("other-patient", other=other)
    frames = {share.dossier.id for share in composite.shares if share.mapping and share.mapping.kind == "identity"}
    if len(frames) > 1:
        yield notice("one-frame")
    yield from composite.notices


def _about_effects(structures: Iterable[Structure], effects: Iterable[Effects | None]) -> Iterable[Notice]:
    """Yield what was assumed of tissues, and where fractions were so large that the model is in doubt."""
    found = [(structure.name, effect) for structure, effect in zip(structures, effects, strict=True) if effect]
    for name, effect in found:
        if effect.is_assumed:
            yield notice("tissue-assumed", name=name, alpha_beta=f"{effect.tissue.alpha_beta_gy:g}")
    largest = max((effect.largest_fraction_gy for _, effect in found), default=0.0)
    if largest > LARGE_FRACTION_GY:
        yield notice("large-fractions", most=f"{largest:.3g}")


def _last_day(composite: Composite) -> date | None:
    days = [day for one in composite.record.dossiers if (day := parse_date(one.last_fraction))]
    return max(days, default=None)
