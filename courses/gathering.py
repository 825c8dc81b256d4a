"""Reads the doses of a patient, brings them onto one image, and tells what can't be used and why.

Sources of dose, in this order and always named: the stored PLAN grid, the sum of stored BEAM or FRACTION grids
(`courses.delivered`), and none: a course of which only paper is left stays in the list with the reason.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from archive.facts.dose_decisions import StateDoseKind
from archive.model import Dossier
from courses.delivered import DeliveredDose, NotSummed, Weighted
from courses.errors import Unreadable
from courses.exposures import Exposure, GroupPart
from courses.kinds import IONS, converting, kind_of, of_other_models, share_of_physical
from courses.notices import Notice, notice
from courses.plausible import contradiction
from courses.reading import Reader
from courses.registration import Mapping as Joined
from courses.registration import NoMapping
from courses.sessions import Together, given_together
from courses.shares import PlanShare
from dose.biology.rbe import PROTON_MODEL, NotAddable
from dose.errors import DoseError, DoseNotAbsolute
from dose.objects.dicom import StoredDose

_KINDS = {"physical": "physical", "unconfirmed": "physical", "rbe_weighted": "RBE-weighted"}
_KINDS_ZH = {"physical": "物理剂量", "unconfirmed": "物理剂量", "rbe_weighted": "RBE 加权剂量"}
_HINT = "Judge it by physical dose. What it is, its RBE model or its BED are stated by a physicist."
_REASON_ZH = "无法按分次剂量换算"
_CLOSE_ENOUGH = 0.5
"""So many close sessions, in fractions, are told."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """Why a dose can't be used."""

    reason: str
    code: str = ""

    @classmethod
    def of(cls, told: Notice) -> "_Refused":
        return cls(told.words, told.code)


@dataclass(frozen=True, slots=True)
class _Usable:
    """A plan whose dose can be had: its parts by number of grid."""

    dossier: Dossier
    dose: DeliveredDose
    parts: tuple[GroupPart, ...]
    mapping: Joined


@dataclass(slots=True)
class Gathering:
    """What is being collected for one sum.

    Parameters
    ----------
    dose_type
        ``PHYSICAL`` or ``EFFECTIVE``: which kind the sum of dose takes.
    join
        How a frame of reference comes onto the image.
    stated
        What physicists stated of doses, by plan.
    """

    dose_type: str
    join: Callable[[str, Dossier], Joined | NoMapping]
    reader: Reader
    stated: Mapping[str, StateDoseKind]
    as_planned: bool
    usable: list[_Usable] = field(default_factory=list)
    shares: list[PlanShare] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def take(self, dossier: Dossier, dose: DeliveredDose | NotSummed) -> None:
        """Add one plan's dose, or the reason why it can't be added."""
        found = self._parts(dossier, dose) if isinstance(dose, DeliveredDose) else _Refused(dose.reason, dose.code)
        if isinstance(found, _Refused):
            refused = PlanShare(
                dossier=dossier,
                plan=dose.plan,
                reason_not_summed=found.reason,
                reason_not_converted=found.reason,
                code=found.code,
            )
            self.shares.append(refused)
            return
        assert isinstance(dose, DeliveredDose)
        parts, mapped = found
        self.usable.append(_Usable(dossier, dose, parts, mapped))
        self.notices.extend(dose.notes)
        self.shares.append(self._share(dossier, dose, parts, mapped))
        self._warn(dose, mapped)

    def _share(self, dossier: Dossier, dose: DeliveredDose, parts: Sequence[GroupPart], mapped: Joined) -> PlanShare:
        first = parts[0]
        is_summed = share_of_physical(first, self.dose_type) is not None
        told = notice("kinds-not-added", kind=_KINDS[first.kind], kind_zh=_KINDS_ZH[first.kind])
        return PlanShare(
            dossier=dossier,
            plan=dose.plan,
            source=dose.source if is_summed else "",
            is_certain=dose.is_certain,
            as_planned=self.as_planned,
            mapping=mapped,
            reason_not_summed="" if is_summed else told.words,
            code="" if is_summed else told.code,
            reason_not_converted=first.not_addable,
        )

    def _warn(self, dose: DeliveredDose, mapped: Joined) -> None:
        label = dose.plan.header.label or dose.plan.uid
        if mapped.kind != "identity" and not mapped.is_approved:
            self.notices.append(notice("registration-not-approved", label=label, source=mapped.source))
        self.notices.extend(mapped.cautions)
        if self.usable[-1].parts[0].kind == "unconfirmed":
            self.notices.append(notice("ions-unconfirmed", label=label))
        if any(one.concentration > 1 for one in dose.grids):
            self.notices.append(notice("groups-in-one-grid", label=label))

    def _parts(self, dossier: Dossier, dose: DeliveredDose) -> tuple[tuple[GroupPart, ...], Joined] | _Refused:
        parts: list[GroupPart] = []
        mapped: Joined | NoMapping = NoMapping(reason="no dose grid")
        for weighted in dose.grids:
            mapped = self.join(weighted.held.header.frame_uid, dossier)
            if isinstance(mapped, NoMapping):
                return _Refused(mapped.reason, mapped.code)
            stored = self._stored(dose, weighted)
            if isinstance(stored, _Refused):
                return stored
            parts.append(self._part(dossier, dose, weighted, stored, mapped))
        return _Refused(mapped.reason) if isinstance(mapped, NoMapping) else (tuple(parts), mapped)

    def _stored(self, dose: DeliveredDose, weighted: Weighted) -> StoredDose | _Refused:
        """Return a grid that may be added, or why it may not."""
        try:
            stored, is_cut_off = self.reader.dose_and_reach(weighted.held)
        except DoseNotAbsolute as error:
            return _Refused.of(notice("dose-relative", reason=error))
        except (DoseError, Unreadable) as error:
            return _Refused.of(notice("grid-unusable", reason=error))
        if stored.dose_type not in {"PHYSICAL", "EFFECTIVE"} or float(stored.grid.dose_gy.min()) < 0:
            return _Refused.of(notice("grid-unusable", reason="it is a difference of doses"))
        told = contradiction(dose.plan, weighted, stored)
        if told is not None:
            return _Refused.of(told)
        if is_cut_off:
            self.notices.append(notice("grid-saturated", label=dose.plan.header.label or dose.plan.uid))
        return stored

    def _part(
        self, dossier: Dossier, dose: DeliveredDose, weighted: Weighted, stored: StoredDose, mapped: Joined
    ) -> GroupPart:
        plan = dose.plan
        stated = self.stated.get(plan.uid)
        kind, model = kind_of(stored.dose_type, plan.modality, stated)
        found = converting(plan, kind, model)
        not_addable, code = (found.reason, found.code) if isinstance(found, NotAddable) else ("", "")
        if weighted.per_fraction is None:
            not_addable, code = notice("fractions-unknown").words, ""
        return GroupPart(
            grid=stored.grid,
            per_fraction=1.0 if weighted.per_fraction is None else weighted.per_fraction,
            transform=mapped.transform,
            label=plan.header.label or plan.uid,
            dossier_id=dossier.id,
            plan_uid=plan.uid,
            fraction_group=weighted.groups[0] if len(weighted.groups) == 1 else None,
            kind=kind,
            rbe_model=model,
            is_stated=stated is not None,
            modality=plan.modality,
            grid_uid=weighted.held.uid,
            rbe=(1.0, 1.0) if isinstance(found, NotAddable) else (found.lo, found.hi),
            not_addable=not_addable,
            not_addable_code=code,
        )

    def counting(self) -> list[GroupPart]:
        """Return the parts that are in the sum of dose or in EQD2."""
        parts = [part for one in self.usable for part in one.parts]
        return [one for one in parts if not one.not_addable or share_of_physical(one, self.dose_type) is not None]

    # What was given together

    def exposures(self) -> tuple[Exposure, ...]:
        """Return all exposures of the plans whose dose can be had; plans that may not be added in EQD2 are marked."""
        self._refuse_other_models()
        for one in self.usable:
            if one.parts[0].not_addable:
                self.notices.append(_not_addable(one.parts[0]))
        return tuple(self._exposure(one) for one in given_together([usable.dose for usable in self.usable]))

    def _refuse_other_models(self) -> None:
        """Where doses of several RBE models are there, none of them is converted: nobody says which one counts."""
        told = of_other_models([part for one in self.usable for part in one.parts if not part.not_addable])
        if told is None:
            return
        for number, one in enumerate(self.usable):
            if one.parts[0].modality in IONS and one.parts[0].rbe_model != PROTON_MODEL:
                parts = tuple(replace(part, not_addable=told.reason, not_addable_code=told.code) for part in one.parts)
                self.usable[number] = replace(one, parts=parts)
        refused = {one.dose.plan.uid for one in self.usable if one.parts[0].not_addable == told.reason}
        for number, share in enumerate(self.shares):
            if share.plan.uid in refused:
                self.shares[number] = replace(share, reason_not_converted=told.reason)

    def _exposure(self, given: Together) -> Exposure:
        plans = [self.usable[plan] for plan, _ in given.grids]
        weights = [self.usable[plan].dose.grids[grid] for plan, grid in given.grids]
        parts = [self.usable[plan].parts[grid] for plan, grid in given.grids]
        scaled = (
            part if scale == 1.0 else replace(part, per_fraction=part.per_fraction * scale)
            for part, scale in zip(parts, given.scales, strict=True)
        )
        newest = max(plans, key=lambda one: (one.dossier.last_fraction, one.dossier.id)).dossier
        return Exposure(
            parts=tuple(scaled),
            fractions=given.fractions,
            dossier_id=newest.id,
            is_certain=all(one.dose.is_certain for one in plans),
            last_date=given.last_date or newest.last_fraction,
            least=min(one.least for one in weights),
            most=max(one.most for one in weights),
            concentration=max(one.concentration for one in weights),
            close=given.close,
            is_told=bool(given.last_date),
        )


def _not_addable(part: GroupPart) -> Notice:
    if part.not_addable_code == "RBE-UNKNOWN":
        return notice("rbe-unknown", label=part.label, reason=part.not_addable)
    if part.not_addable_code == "RBE-MODELS-DIFFER":
        return notice("rbe-models-differ", label=part.label, reason=part.not_addable)
    return notice("not-convertible", label=part.label, reason=part.not_addable, reason_zh=_REASON_ZH, hint=_HINT)


def session_notices(exposures: Iterable[Exposure], dossiers: Iterable[Dossier]) -> list[Notice]:
    """Return what is to be told of sessions: close ones, and plans of which nobody knows whether they shared some."""
    given, found = list(exposures), list[Notice]()
    for dossier in dossiers:
        mine = [one for one in given if one.dossier_id == dossier.id]
        close = sum(count for one in mine for _, count in one.close)
        if close > _CLOSE_ENOUGH:
            found.append(notice("close-sessions", label=dossier.id, count=round(close)))
        untold = {one.parts[0].plan_uid for one in mine if not one.is_told}
        if untold and len({part.plan_uid for one in mine for part in one.parts}) > 1:
            found.append(notice("sessions-unknown", label=dossier.id))
    return found
