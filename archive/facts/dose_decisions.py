"""Decisions about dose: registrations, what a stored dose is, and approved composites."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationQuality:
    """How good a registration is (AAPM TG-132, Brock et al., Med Phys 44:e43, 2017); None where it was not measured.

    Parameters
    ----------
    landmarks, tre_mean_mm, tre_max_mm
        Number of landmarks and their target registration error.
    dice, mean_distance_mm
        Overlap (0 to 1) and mean distance to agreement of structures drawn on both images, by name.
    jacobian_least, jacobian_most
        Range of the determinant of the Jacobian: 1 keeps volume, zero or less folds tissue.
    inverse_consistency_mm
        Largest distance of a place from itself after there and back.
    similarity
        Correlation of the images after registration, -1 to 1.
    """

    landmarks: int = 0
    tre_mean_mm: float | None = None
    tre_max_mm: float | None = None
    dice: tuple[tuple[str, float], ...] = ()
    mean_distance_mm: tuple[tuple[str, float], ...] = ()
    jacobian_least: float | None = None
    jacobian_most: float | None = None
    inverse_consistency_mm: float | None = None
    similarity: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """A registration was computed here: its object lies in ``derived/`` under its digest.

    Parameters
    ----------
    uid, sha256
        SOP Instance UID and digest of the (Deformable) Spatial Registration.
    moving_frame, fixed_frame
        Frames of Reference: places of the first come onto the second.
    moving_series, fixed_series
        The images compared.
    method
        In words with what was computed, and on which region.
    """

    uid: str
    sha256: str
    moving_frame: str
    fixed_frame: str
    moving_series: str
    fixed_series: str
    kind: Literal["rigid", "deformable"]
    method: str
    quality: RegistrationQuality
    act: Literal["register"] = "register"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRegistration:
    """A physicist looked at a registration, received or computed here, and lets it carry dose or not.

    Parameters
    ----------
    uid
        SOP Instance UID of the registration; ``identity`` with the frame where courses share one.
    moving_series, fixed_series
        The images it was looked at on; empty where there are none.
    quality
        What was measured for it.
    invalid
        Structures (Structure Set UID, ROI Name) within which no place has a partner: resected or regressed tissue. Dose
        from the other image is unknown there.
    """

    uid: str
    verdict: Literal["approved", "rejected"]
    reason: str
    moving_series: str = ""
    fixed_series: str = ""
    quality: RegistrationQuality | None = None
    invalid: tuple[tuple[str, str], ...] = ()
    act: Literal["judge-registration"] = "judge-registration"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDoseKind:
    """A physicist states what the stored dose of a plan is, whatever its Dose Type says.

    Parameters
    ----------
    kind
        ``physical``, or ``rbe_weighted`` with the model in it.
    rbe_model
        ``constant-1.1``, ``LEM-I``, ``LEM-IV``, ``MKM``; empty for physical dose.
    """

    plan_uid: str
    kind: Literal["physical", "rbe_weighted"]
    reason: str
    rbe_model: str = ""
    act: Literal["state-dose-kind"] = "state-dose-kind"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveComposite:
    """A physicist approves a composite: it is no draft any more while the same facts give the same figures.

    Parameters
    ----------
    figures_sha256
        Digest of the answer without its status.
    asked_sha256
        Digest of what was asked: another digest of figures for the same question means that the facts have changed.
    report_sha256
        Digests of the report's files, in ``derived/``.
    """

    figures_sha256: str
    onto: str
    as_of: str
    reason: str
    asked_sha256: str = ""
    report_sha256: tuple[str, ...] = ()
    act: Literal["approve-composite"] = "approve-composite"


ABOUT_DOSE = (Register, JudgeRegistration, StateDoseKind, ApproveComposite)
"""What `archive.model.PatientRecord.about_dose` holds."""
