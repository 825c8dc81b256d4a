"""What a plan says of its prescription in free text: ``60 Gy in 30 fractions``, ``5 x 7 Gy``, ``200cGy*25``."""

import re

from archive.headers import PlanHeader

_DOSE = r"(?P<gy>\d+(?:\.\d+)?)\s*(?P<unit>c?Gy)\b(?:\s*\(?RBE\)?)?"
_COUNT = r"(?P<count>\d{1,2})"
_WHOLE = re.compile(rf"{_DOSE}\s*(?:in|/|,|,)?\s*{_COUNT}\s*(?:fractions?|fx|frs?|f\b|x\b|分?次)", re.IGNORECASE)
"""A total dose and its fractions."""
_EACH = (
    re.compile(rf"(?<![\d.]){_COUNT}\s*(?:f|fx|次)?\s*[x×*]\s*{_DOSE}", re.IGNORECASE),
    re.compile(rf"{_DOSE}\s*(?:/\s*(?:f|fx|次))?\s*[x×*]\s*{_COUNT}(?![\d.])", re.IGNORECASE),
)
"""Fractions times the dose of one."""


def told_prescriptions(plan: PlanHeader) -> tuple[tuple[float, int], ...]:
    """Return each prescription the texts of a plan tell: total dose in Gy and number of fractions, in order."""
    found: list[tuple[float, int]] = []
    for text in (plan.prescription, plan.description, plan.label, plan.name):
        found += [(_gy(match), int(match["count"])) for match in _WHOLE.finditer(text)]
        for pattern in _EACH:
            found += [_times(match) for match in pattern.finditer(text)]
    return tuple(dict.fromkeys(found))


def _times(match: re.Match[str]) -> tuple[float, int]:
    count = int(match["count"])
    return (round(count * _gy(match), 4), count)


def _gy(match: re.Match[str]) -> float:
    return float(match["gy"]) / (100 if match["unit"].lower() == "cgy" else 1)
