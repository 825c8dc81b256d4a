"""Decisions: what people settled, each act signed.

A decision names plans and instances by UID and digest, never a dossier's id:
dossiers are folded anew, and a decision must find its course again.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Waive:
    """A person lets a finding stand, with the reason.

    Parameters
    ----------
    code, subject, plan_uids
        Name the finding and the course it was raised in.
    message
        The finding as it read when it was signed: once its figures change, it must be signed again.
    """

    code: str
    subject: str
    plan_uids: tuple[str, ...]
    message: str
    reason: str
    act: Literal["waive"] = "waive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """A person states that a course has ended; the plans name the course.

    Parameters
    ----------
    last_date
        Day of the last treatment, as DA.
    """

    plan_uids: tuple[str, ...]
    outcome: Literal["completed", "stopped", "died", "transferred", "never-started"]
    last_date: str
    reason: str = ""
    act: Literal["close"] = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDeliveryState:
    """A person states whether a plan was delivered."""

    plan_uid: str
    delivered: bool
    reason: str
    act: Literal["delivery-state"] = "delivery-state"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseDose:
    """A physicist names the dose grid that counts for a plan."""

    plan_uid: str
    dose_uid: str
    reason: str
    act: Literal["choose-dose"] = "choose-dose"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnterSummary:
    """What a person entered for the printed summary of the course with these plans (the form's own JSON)."""

    plan_uids: tuple[str, ...]
    entries: dict[str, object]
    act: Literal["enter-summary"] = "enter-summary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A dossier version was sealed: from now on its id and membership are frozen.

    Parameters
    ----------
    file_sha256s
        All instances of this version, those of earlier versions included.
    version_ids
        The object store's version id of each file this version added, by its path in the OCFL object.
    """

    dossier: str
    version: int
    plan_uids: tuple[str, ...]
    file_sha256s: tuple[str, ...]
    dossier_sha256: str
    version_ids: dict[str, str] = field(default_factory=dict)
    act: Literal["seal"] = "seal"


Act = Annotated[Waive | Close | SetDeliveryState | ChooseDose | EnterSummary | Sealed, Field(discriminator="act")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person settled, signed: the signature covers act, account, role, time and number.

    Parameters
    ----------
    signature, public_key
        Ed25519 over `archive.signing.signing.signed_bytes`, both hex.
    """

    format: Literal["lastgate/decision/1"] = "lastgate/decision/1"
    number: int
    made_at: datetime
    account: str
    role: str
    what: Act
    signature: str = ""
    public_key: str = ""


DECISION = TypeAdapter(Decision)
