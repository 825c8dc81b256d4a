"""Brachytherapy in biological sums: what counts as fractions, and what only a physicist can tell the effect of.

High dose rate: each insertion is a fraction, on the images it was planned on. Low and pulsed dose rate, permanent seeds
and radionuclides irradiate while damage is repaired: ``n d (1 + d / (a/b))`` is not theirs (145 Gy of I-125 as one
fraction would be 4,292 Gy EQD2 at alpha/beta 3). They stay physical unless a physicist enters their BED with the
formula.
"""

from dataclasses import dataclass
from typing import Final

from dose.biology.linear_quadratic import eqd2_from_bed
from dose.biology.rbe import NotAddable

ADDED_AS_FRACTIONS: Final = frozenset({"HDR"})
"""Values of Brachy Treatment Type (300A,0202) whose insertions are fractions."""

_NAMES: Final = {
    "LDR": "low dose rate",
    "PDR": "pulsed dose rate",
    "MDR": "medium dose rate",
    "MANUAL": "sources placed by hand",
    "PERMANENT": "permanent seeds",
    "": "a treatment type that the plan does not tell",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedBed:
    """BED of a dose that is no sum of fractions, entered by a physicist.

    Parameters
    ----------
    bed_gy
        For the alpha/beta below; it is converted for no other.
    formula
        By which it was computed, with dose rate, decay and half-time of repair.
    by
        Whose statement it is.
    """

    bed_gy: float
    alpha_beta_gy: float
    formula: str
    by: str

    def __post_init__(self) -> None:
        if not (self.formula.strip() and self.by.strip()):
            raise ValueError("A BED is entered with the formula it was computed by and the name of who entered it.")
        if self.bed_gy < 0:
            raise ValueError(f"A BED is not negative: {self.bed_gy}.")

    def eqd2_gy(self, alpha_beta_gy: float) -> float | NotAddable:
        """Return it as EQD2, for the alpha/beta it was computed for alone."""
        if abs(alpha_beta_gy - self.alpha_beta_gy) > 1e-9:
            return NotAddable(
                code="NOT-FRACTIONS",
                reason=f"Its BED was entered for alpha/beta {self.alpha_beta_gy:g} Gy, not {alpha_beta_gy:g} Gy.",
                hint="Compute the BED for this alpha/beta too, and enter it with its formula.",
            )
        return float(eqd2_from_bed(self.bed_gy, alpha_beta_gy))


def why_not_fractions(treatment_type: str, *, is_radionuclide: bool = False) -> NotAddable | None:
    """Return why a brachytherapy dose can't be converted by fractions; None where it can.

    Parameters
    ----------
    treatment_type
        Brachy Treatment Type (300A,0202); empty where the plan does not tell it.
    is_radionuclide
        Whether it is a dose of a radiopharmaceutical.
    """
    if treatment_type.upper() in ADDED_AS_FRACTIONS and not is_radionuclide:
        return None
    told = "a radionuclide" if is_radionuclide else _NAMES.get(treatment_type.upper(), treatment_type)
    return NotAddable(
        code="NOT-FRACTIONS",
        reason=f"Its dose is of {told}: the effect is not told by dose per fraction.",
        hint="Its physical dose is shown by itself. A physicist may enter the BED with the formula it was computed by.",
    )
