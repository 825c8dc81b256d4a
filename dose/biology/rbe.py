"""Doses weighted with the relative biological effectiveness: what may be added to what, and by which factor.

RBE multiplies the dose per fraction before anything is converted, never an EQD2: 60 Gy of protons in 30 fractions is
69.3 Gy (alpha/beta 2), not 66. The factor 1.1 of protons is in a dose exactly once; whether it is in already, only
somebody who knows the planning system can say, so an unconfirmed dose counts both ways. Carbon ions have no factor: a
dose is that of its model, and no constant brings one model into another (1.37 to 3.09 from LEM-I to MKM between 3 and
0.24 Gy per fraction, as transcribed in PMC7731771).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

PROTON_RBE = 1.1
"""Generic RBE of protons (ICRU Report 78)."""

PROTON_MODEL = "constant-1.1"
PHOTON_MODEL = ""
CARBON_MODELS = ("LEM-I", "LEM-IV", "MKM")

Particle = Literal["photon", "proton", "carbon"]
Kind = Literal["physical", "rbe_weighted", "unconfirmed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighting:
    """How a stored dose becomes RBE-weighted dose.

    Parameters
    ----------
    lo, hi
        Factors of the dose per fraction; equal where it is known what the dose is.
    model
        What the weighted dose is told in; empty for photons and electrons.
    rule
        In words, to be printed.
    """

    lo: float
    hi: float
    model: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAddable:
    """Why a dose can't enter a biological sum, and what to do.

    Parameters
    ----------
    code
        ``RBE-UNKNOWN``, ``RBE-MODELS-DIFFER``, ``NOT-FRACTIONS``.
    """

    code: str
    reason: str
    hint: str


def weighting(particle: Particle, kind: Kind, model: str = "") -> Weighting | NotAddable:
    """Return the factor of a dose per fraction, before conversion.

    Parameters
    ----------
    particle
        Photons and electrons are ``photon``; ions other than protons are ``carbon``.
    kind
        What a physicist stated, else what the file says; ``unconfirmed`` where ions are labelled physical and nobody
        stated that they are.
    model
        Declared model of a weighted dose: `PROTON_MODEL` or one of `CARBON_MODELS`.
    """
    if particle == "photon":
        return Weighting(lo=1.0, hi=1.0, model=PHOTON_MODEL, rule="photons and electrons: no factor")
    if particle == "proton":
        return _proton(kind, model)
    if kind == "rbe_weighted" and model in CARBON_MODELS:
        return Weighting(lo=1.0, hi=1.0, model=model, rule=f"carbon as stored, weighted by {model}")
    if kind == "rbe_weighted":
        told = f"its model is called {model}, which is none that is known" if model else "nobody declared its model"
        return _unknown(f"Its dose of ions is RBE-weighted and {told}.")
    return _unknown(
        "It is a dose of ions and nobody stated by which model it is weighted; a physical one can't be used."
    )


def _proton(kind: Kind, model: str) -> Weighting | NotAddable:
    if kind == "rbe_weighted" and model in (PROTON_MODEL, ""):
        return Weighting(lo=1.0, hi=1.0, model=PROTON_MODEL, rule="protons as stored: 1.1 is in the dose")
    if kind == "rbe_weighted":
        return _unknown(f"Its dose of protons is weighted by {model}, not by the constant 1.1.")
    if kind == "physical":
        return Weighting(lo=PROTON_RBE, hi=PROTON_RBE, model=PROTON_MODEL, rule="physical dose of protons times 1.1")
    return Weighting(
        lo=1.0, hi=PROTON_RBE, model=PROTON_MODEL, rule="protons, unconfirmed: as stored at least, times 1.1 at most"
    )


def _unknown(reason: str) -> NotAddable:
    hint = "A physicist states what the dose is, with the model that the planning system was commissioned with."
    return NotAddable(code="RBE-UNKNOWN", reason=reason, hint=hint)


def one_model(models: Iterable[str]) -> str | NotAddable:
    """Return the one model that all weighted doses of a sum are told in, empty where there are photons alone.

    Photons, and protons weighted with 1.1, are added to one carbon model: its dose claims to be that of photons with
    the same effect. Two carbon models are never in one sum.
    """
    carbon = sorted(set(models) & set(CARBON_MODELS))
    if len(carbon) > 1:
        return NotAddable(
            code="RBE-MODELS-DIFFER",
            reason=f"Doses of carbon ions are weighted by {' and '.join(carbon)}: no constant brings one into another.",
            hint="Compute one of the plans anew in the other's model, and send that dose.",
        )
    return carbon[0] if carbon else PROTON_MODEL if PROTON_MODEL in models else PHOTON_MODEL
