"""Phases and sites of a course: the dose each part of the body was to get and got."""

from collections.abc import Sequence
from dataclasses import replace

from archive.model import DeliveryState, Dossier, Phase, Target
from reports.entries import SummaryEntries, TargetEntry
from reports.facts import NOT_RECORDED, Bilingual, Fact, NotRecorded, Origin, Recorded, Source
from reports.summary import DoseType, PhaseFacts, Side, SiteTotal, TargetDose
from reports.wording import number

_DICOM = Source(origin=Origin.DICOM)
_ENTERED = Source(origin=Origin.ENTERED)
_RECORDS = Source(origin=Origin.RECORDS)
_CUT_SHORT = frozenset({"stopped", "died", "transferred", "never-started"})


def phases_of(dossier: Dossier, entries: SummaryEntries) -> tuple[PhaseFacts, ...]:
    """Return the phases of a dossier that were or may have been given, targets with the words a person gave them."""
    plans = {plan.uid: plan for plan in dossier.plans}
    rejected = {uid for uid, plan in plans.items() if plan.delivery_state is DeliveryState.NOT_DELIVERED}
    labels = {uid: plan.header.label for uid, plan in plans.items()}
    kept = [phase for phase in dossier.phases if not rejected.issuperset(phase.plan_uids)]
    is_cut_short = dossier.outcome in _CUT_SHORT
    return tuple(
        _phase(place, phase, labels, entries, is_cut_short=is_cut_short) for place, phase in enumerate(kept, start=1)
    )


def site_totals(phases: Sequence[PhaseFacts], entries: SummaryEntries) -> tuple[SiteTotal, ...]:
    """Return the total of each target over all phases.

    A target that lies in another one gets its dose too; only a person can say so (`TargetEntry.receives_also`). Where
    phases have different targets and nobody said, totals are not recorded: a boost of 10 Gy must not look like all of
    it. Physical and RBE-weighted doses of one target stay two lines.
    """
    targets = [target for phase in phases for target in phase.targets]
    keys = dict.fromkeys((target.name, target.dose_type) for target in targets)
    return tuple(_site(name, dose_type, phases, entries) for name, dose_type in keys)


def _phase(
    place: int, phase: Phase, labels: dict[str, str], entries: SummaryEntries, *, is_cut_short: bool
) -> PhaseFacts:
    has_records = phase.records_source != "none"
    # A phase without records counts as not given only where a person closed the course as cut short.
    is_known = has_records or is_cut_short
    source = _RECORDS if has_records else Source(origin=Origin.ENTERED, detail="close")
    planned, per_day = phase.fractions_planned, phase.fractions_per_day
    return PhaseFacts(
        number=place,
        targets=tuple(
            _target(target, phase, entries.target(target.name), is_not_given=is_cut_short and not has_records)
            for target in phase.targets
        ),
        fractions_planned=NOT_RECORDED if planned is None else Fact(value=planned, source=_DICOM),
        fractions_delivered=Fact(value=phase.fractions_delivered, source=source) if is_known else NOT_RECORDED,
        fraction_equivalents=Fact(value=phase.fraction_equivalents, source=source) if is_known else NOT_RECORDED,
        fractions_per_day=NOT_RECORDED if per_day is None else Fact(value=per_day, source=_RECORDS),
        plan_labels=tuple(labels.get(uid) or uid for uid in phase.plan_uids),
    )


def _target(target: Target, phase: Phase, entry: TargetEntry | None, *, is_not_given: bool) -> TargetDose:
    dose_type = DoseType(target.dose_type.value)
    per_fraction = target.dose_per_fraction_gy
    how = "" if per_fraction is None else f"{number(per_fraction)} Gy × {number(phase.fraction_equivalents)}"
    return TargetDose(
        name=target.name,
        words=NOT_RECORDED if entry is None or entry.words is None else Fact(value=entry.words, source=_ENTERED),
        side=_side(target, entry),
        prescribed_gy=_dose(target.prescribed_gy, _DICOM),
        delivered_gy=_dose(0.0 if is_not_given else target.delivered_gy, Source(origin=Origin.COMPUTED, detail=how)),
        per_fraction_gy=_dose(per_fraction, Source(origin=Origin.COMPUTED)),
        dose_type=entry.dose_type if entry is not None and entry.dose_type is not None else dose_type,
    )


def _side(target: Target, entry: TargetEntry | None) -> Recorded[Side]:
    if entry is not None and entry.side is not None:
        return Fact(value=entry.side, source=_ENTERED)
    known = target.laterality in {side.value for side in Side}
    return Fact(value=Side(target.laterality), source=Source(origin=Origin.INFERRED)) if known else NOT_RECORDED


def _dose(value: float | None, source: Source) -> Recorded[float]:
    return NOT_RECORDED if value is None else Fact(value=value, source=source)


def _site(name: str, dose_type: DoseType, phases: Sequence[PhaseFacts], entries: SummaryEntries) -> SiteTotal:
    own = [target for phase in phases for target in phase.targets if target.name == name]
    entry = entries.target(name)
    is_open = (entry is None or entry.receives_also is None) and _lies_beside_others(name, phases)
    around = entry.receives_also or () if entry is not None else ()
    parts = [target for phase in phases for target in _parts(name, around, dose_type, phase)]
    return SiteTotal(
        name=name,
        words=_first([target.words for target in own]),
        side=_first_side(own),
        planned_gy=NOT_RECORDED if is_open else _sum([part.prescribed_gy for part in parts]),
        delivered_gy=NOT_RECORDED if is_open else _sum([part.delivered_gy for part in parts]),
        dose_type=dose_type,
    )


def _parts(name: str, around: Sequence[str], dose_type: DoseType, phase: PhaseFacts) -> list[TargetDose]:
    """Return what of one phase counts for a target: its own dose there, else that of the targets around it.

    In a simultaneous boost the inner target's prescription already is its whole dose. A target listed twice (as a
    volume and as a site) counts once; with two different doses it is not known what counts.
    """
    own = [target for target in phase.targets if target.name == name and target.dose_type is dose_type]
    if own:
        is_clear = len({(target.prescribed_gy, target.delivered_gy) for target in own}) == 1
        return own[:1] if is_clear else [replace(own[0], prescribed_gy=NOT_RECORDED, delivered_gy=NOT_RECORDED)]
    return [target for target in phase.targets if target.name in around and target.dose_type is dose_type]


def _lies_beside_others(name: str, phases: Sequence[PhaseFacts]) -> bool:
    """Whether some phase treats other targets only: that dose may or may not have reached this one."""
    return any(phase.targets and all(target.name != name for target in phase.targets) for phase in phases)


def _first(found: Sequence[Recorded[Bilingual]]) -> Recorded[Bilingual]:
    return next((fact for fact in found if fact), NOT_RECORDED)


def _first_side(targets: Sequence[TargetDose]) -> Recorded[Side]:
    return next((target.side for target in targets if target.side), NOT_RECORDED)


def _sum(doses: Sequence[Recorded[float]]) -> Recorded[float]:
    total = 0.0
    details = []
    for dose in doses:
        if isinstance(dose, NotRecorded):
            return NOT_RECORDED
        total += dose.value
        details.append(dose.source.detail or f"{number(dose.value)} Gy")
    if len(doses) == 1:
        return doses[0]
    return Fact(value=round(total, 4), source=Source(origin=Origin.COMPUTED, detail=" + ".join(details)))
