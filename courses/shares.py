"""What became of each plan in a sum."""

from dataclasses import dataclass

from archive.model import DeliveryState, Dossier, Plan
from courses.registration import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanShare:
    """One plan of one course, and how its dose entered the sum.

    Parameters
    ----------
    source
        ``stored``, ``summed`` (of beams or fraction groups) or ``recomputed``; empty where the dose can't be had.
    credential
        By what a recomputed dose may be trusted; empty for stored ones.
    mapping
        How its frame of reference came onto the image.
    as_planned
        Whether its planned dose entered the sum, records or not.
    reason_not_summed
        Empty where it was summed.
    code
        The notice (`courses.notices`) behind that reason.
    reason_not_converted
        Why it is not in EQD2; empty where it is.
    """

    dossier: Dossier
    plan: Plan
    source: str = ""
    credential: str = ""
    is_certain: bool = False
    as_planned: bool = False
    mapping: Mapping | None = None
    reason_not_summed: str = ""
    code: str = ""
    reason_not_converted: str = ""

    @property
    def leaves_a_gap(self) -> bool:
        """Whether its dose is missing in the sum although it was or may have been delivered."""
        return bool(self.reason_not_summed) and self.plan.delivery_state is not DeliveryState.NOT_DELIVERED

    @property
    def leaves_an_effect_gap(self) -> bool:
        """Whether its effect is missing in EQD2 although it was or may have been delivered."""
        return bool(self.reason_not_converted) and self.plan.delivery_state is not DeliveryState.NOT_DELIVERED
