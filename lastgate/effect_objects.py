"""Dose grids of effect: what all courses did, for one alpha/beta each, and what that is worth in new fractions.

A grid of EQD2 holds for one alpha/beta only, so there is one for each that structures of the answer were converted
with, and it names them. The background is the physical dose that, given in the fractions of the next course, has that
EQD2: a planning system adds what it computes.
"""

from collections.abc import Iterator
from typing import Any

from pydicom import Dataset

from courses.background import in_fractions
from courses.summing import eqd2_sum
from dose.biology.tissues import Tissue
from dose.grids.accumulate import Sum
from lastgate.composed_objects import Making, dose_object

Json = dict[str, Any]


def write_effects(making: Making) -> None:
    """Write all grids of effect, and name them in the answer."""
    files = making.answer["files"]
    files["rtdose_eqd2"], files["rtdose_background"] = [], []
    for ratio, structures in _ratios(making.answer):
        tissue = Tissue(alpha_beta_gy=ratio)
        total = eqd2_sum(making.composite.gathered, tissue)
        told = {"alpha_beta_gy": ratio, "structures": structures}
        name = f"eqd2-ab{ratio:g}.dcm"
        making.save(_eqd2(making, total, ratio), name)
        files["rtdose_eqd2"].append({**told, "path": making.path(name)})
        fractions = making.questions.fractions
        if fractions:
            name = f"background-ab{ratio:g}-{fractions}fx.dcm"
            making.save(_background(making, in_fractions(total, fractions, tissue), ratio, fractions), name)
            files["rtdose_background"].append({**told, "fractions": fractions, "path": making.path(name)})


def _ratios(answer: Json) -> Iterator[tuple[float, list[str]]]:
    """Yield each alpha/beta that structures were converted with, and their names."""
    found: dict[float, list[str]] = {}
    for one in answer["structures"]:
        if one["eqd2"] is not None and one["alpha_beta_gy"]:
            found.setdefault(float(one["alpha_beta_gy"]), []).append(one["name"])
    yield from sorted(found.items())


def _eqd2(making: Making, total: Sum, ratio: float) -> Dataset:
    return _effective(making, total, f"EQD2 a/b {ratio:g} Gy", f"EQD2, LQ, a/b {ratio:g} Gy, no recovery")


def _background(making: Making, total: Sum, ratio: float, fractions: int) -> Dataset:
    words = f"Background in {fractions} fx, LQ, a/b {ratio:g} Gy"
    return _effective(making, total, words, words)


def _effective(making: Making, total: Sum, description: str, comment: str) -> Dataset:
    """Return a grid of effect; Dose Comment (64 characters) ends with whether it is all of it."""
    gap = "; INCOMPLETE" if making.composite.has_gap else ""
    return dose_object(
        making,
        total,
        description=f"{description} {making.basis}, {making.state}",
        dose_type="EFFECTIVE",
        comment=f"{comment}, {making.state}{gap}",
    )
