"""Which pack judges a plan: a pure function of what the plan says."""

import re
from collections.abc import Iterable, Sequence

from archive.assembly.prescription import highest_fraction_gy, prescribed_targets
from archive.gate.rulebook import Choice
from archive.model import Plan

BASE = "base"
"""The pack of plans that fit no choice, such as one that was never seen."""

_STEREOTACTIC = "SBRT "


def pack_of(plan: Plan, choices: Iterable[Choice]) -> str:
    """Return the name of the pack that judges `plan`: of the first choice that fits."""
    return next((choice.pack for choice in choices if _fits(plan, choice)), BASE)


def _fits(plan: Plan, choice: Choice) -> bool:
    return (
        (not choice.modalities or plan.modality in choice.modalities)
        and (not choice.techniques or plan.technique.removeprefix(_STEREOTACTIC) in choice.techniques)
        and (not choice.intents or plan.header.intent in choice.intents)
        and (not choice.words or any(holds_word(text, choice.words) for text in _texts(plan)))
        and _is_at_least(highest_fraction_gy(plan.header), choice.least_fraction_gy)
        and _is_at_most(plan.fractions_planned, choice.most_fractions)
        and _is_at_most(_largest_total_gy(plan), choice.most_total_gy)
    )


def holds_word(text: str, words: Iterable[str]) -> bool:
    """Return whether one of `words` stands in `text`, case aside.

    A word in letters does not count inside a longer one (``SRS`` in ``USRSX``); Chinese is written without gaps, so
    its words count wherever they stand.
    """
    return any(_pattern(word).search(text) for word in words)


def _pattern(word: str) -> re.Pattern[str]:
    escaped = re.escape(word)
    whole = rf"(?<![A-Za-z]){escaped}(?![A-Za-z])" if word.isascii() else escaped
    return re.compile(whole, re.IGNORECASE)  # the module keeps what it compiled


def _texts(plan: Plan) -> Sequence[str]:
    header = plan.header
    return (header.label, header.name, header.description, header.prescription, *header.sites)


def _largest_total_gy(plan: Plan) -> float | None:
    return max((target.target_prescription_gy or 0.0 for target in prescribed_targets(plan.header)), default=None)


def _is_at_least(told: float | None, least: float | None) -> bool:
    return least is None or (told is not None and told >= least)


def _is_at_most(told: float | None, most: float | None) -> bool:
    return most is None or (told is not None and told <= most)
