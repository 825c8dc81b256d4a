"""What is demanded of one dossier: of each plan by the pack of its kind, of the course as a whole by all of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from archive.gate.choice import BASE, pack_of
from archive.gate.rulebook import Demand, Rulebook
from archive.model import DeliveryState, Plan, Severity

_GRAVITY = tuple(Severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """Looks up how a code is judged.

    Parameters
    ----------
    packs
        Name of the pack of each plan, by its UID.
    whole
        Names of the packs that judge the course as a whole, those of the oldest plans first.
    """

    rulebook: Rulebook
    packs: Mapping[str, str]
    whole: tuple[str, ...] = (BASE,)

    @classmethod
    def on(cls, plans: Iterable[Plan], rulebook: Rulebook) -> "Demands":
        """Return what is demanded of a course of these plans.

        What was certainly not delivered has no say in how the course as a whole is judged.
        """
        everything = tuple(plans)
        packs = {plan.uid: pack_of(plan, rulebook.choices) for plan in everything}
        given = [plan for plan in everything if plan.delivery_state is not DeliveryState.NOT_DELIVERED] or everything
        whole = tuple(dict.fromkeys(packs[plan.uid] for plan in given))
        return cls(rulebook=rulebook, packs=packs, whole=whole or (BASE,))

    def of(self, code: str, plan_uid: str = "") -> Demand | None:
        """Return how `code` is judged for a plan, or for the course as a whole; None where it is not asked for.

        Where several packs ask for it of the whole course, the gravest word counts.
        """
        names = (self.packs[plan_uid],) if plan_uid in self.packs else self.whole
        found = [demand for name in names if (demand := self.rulebook.packs[name].demands.get(code))]
        return min(found, key=lambda demand: _GRAVITY.index(demand.severity), default=None)

    def number(self, code: str, name: str, plan_uid: str = "") -> float:
        """Return a threshold by which `code` is judged; not a number where it is not asked for: nothing exceeds it."""
        demand = self.of(code, plan_uid)
        found = demand.figures[name] if demand else float("nan")
        if isinstance(found, tuple):
            raise TypeError(f"{name} of {code} is a list of words, no number")
        return found

    def words(self, code: str, name: str = "words", plan_uid: str = "") -> tuple[str, ...]:
        """Return the words by which `code` is judged; none where it is not asked for."""
        demand = self.of(code, plan_uid)
        found = demand.figures[name] if demand else ()
        if not isinstance(found, tuple):
            raise TypeError(f"{name} of {code} is a number, no list of words")
        return found
