"""A physicist approves a composite: it is no draft any more while the same facts give the same figures."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from archive.desk.accounts import Account
from archive.desk.naming import refuse_role
from archive.errors import Refused
from archive.facts.decisions import Decision
from archive.facts.dose_decisions import ApproveComposite
from archive.journal.journal import Event
from archive.model import PatientRecord
from courses.questions import Questions

Json = dict[str, Any]

_NOT_FIGURES: Final = frozenset({"status", "files", "digests"})
_NAMES_A_GAP: Final = ("incomplete", "不完整")


def asked_of(questions: Questions, *, onto: str, as_of: date | None, as_planned: bool) -> Json:
    """Return what was asked of a composite, as its answer repeats it."""
    candidate = questions.candidate
    return {
        "onto": onto or None,
        "as_of": as_of.isoformat() if as_of else None,
        "as_planned": as_planned,
        "alpha_beta_gy": dict(sorted(questions.alpha_beta_gy.items())),
        "recovery": list(questions.recovery),
        "fractions": questions.fractions,
        "limits": questions.limits or None,
        "candidate": None if candidate is None else {"uid": candidate.uid, "sha256": candidate.sha256},
        "ensemble": questions.has_ensemble,
    }


def figures_sha256(answer: Mapping[str, Any]) -> str:
    """Return the digest of all an answer says but its status, its files and the versions of the programs."""
    told = {name: value for name, value in answer.items() if name not in _NOT_FIGURES}
    sources = {name: value for name, value in (told.get("provenance") or {}).items() if name != "software"}
    return _digest({**told, "provenance": sources})


def with_status(answer: Json, record: PatientRecord) -> Json:
    """Return the answer with whether somebody approved exactly these figures.

    ``approved`` while the same facts give the same figures; ``outdated`` where other figures were approved for the same
    question; else ``draft``.
    """
    approvals = [one for one in record.about_dose if isinstance(one.what, ApproveComposite)]
    asked, figures = _digest(answer["asked"]), figures_sha256(answer)
    same = _newest(approvals, "figures_sha256", figures)
    other = _newest(approvals, "asked_sha256", asked)
    found, state = (same, "approved") if same else (other, "outdated") if other else (None, "draft")
    status: Json = {"state": state, "by": None, "at": None, "reason": None, "report_sha256": []}
    if found is not None and isinstance(found.what, ApproveComposite):
        status |= {"by": found.account, "at": found.made_at.isoformat(), "reason": found.what.reason}
        status["report_sha256"] = list(found.what.report_sha256)
    return {**answer, "status": status}


def refuse_approval(answer: Mapping[str, Any], account: Account, reason: str) -> None:
    """Return if this account may approve a composite as it stands.

    Raises
    ------
    Refused
        The role may not; nobody approved a registration it uses; it is incomplete and the reason does not say so; it is
        of plans, not of what was delivered; these figures are approved already.
    """
    refuse_role(account, frozenset({"physicist"}), "approve-composite")
    if not reason.strip():
        raise Refused("An approval needs a reason", hint="Say what was checked: --reason TEXT")
    if answer["asked"]["as_planned"]:
        raise Refused("A composite of plans is never approved", hint="Leave out --as-planned.")
    open_maps = sorted(_unapproved(answer))
    if open_maps:
        hint = "Look at them and judge them first: lastgate judge-registration."
        raise Refused(f"Nobody has approved the registration of {', '.join(open_maps)}", hint=hint)
    if not answer["complete"] and not any(word in reason.lower() for word in _NAMES_A_GAP):
        hint = "Add what is missing. If you approve it nevertheless, the reason says that it is incomplete, and why."
        raise Refused("The composite is incomplete, and the reason does not say so", hint=hint)
    if answer["status"]["state"] == "approved":
        raise Refused(f"{answer['status']['by']} has approved these figures already")


def approved_by(answer: Json, account: Account, reason: str, at: datetime) -> Json:
    """Return the answer as the report an approval keeps prints it."""
    status = {"state": "approved", "by": account.name, "at": at.isoformat(), "reason": reason.strip()}
    return {**answer, "status": {**status, "report_sha256": []}}


def approval_of(answer: Mapping[str, Any], reason: str, report_sha256: Sequence[str]) -> ApproveComposite:
    """Return the act that approves an answer."""
    return ApproveComposite(
        figures_sha256=figures_sha256(answer),
        onto=str(answer["onto"] or answer["onto_dossier"]),
        as_of=str(answer["as_of"] or ""),
        reason=reason.strip(),
        asked_sha256=_digest(answer["asked"]),
        report_sha256=tuple(report_sha256),
    )


def approval_event(answer: Mapping[str, Any], act: ApproveComposite, account: Account, patient: str) -> Event:
    """Return how the journal tells of an approval."""
    subject = {
        "patient": patient,
        "onto": answer["onto_dossier"],
        "complete": answer["complete"],
        "figures_sha256": act.figures_sha256,
        "reports": list(act.report_sha256),
    }
    return Event(act="approve-composite", account=account.name, subject=subject)


def _unapproved(answer: Mapping[str, Any]) -> set[str]:
    """Return the plans that came through a registration nobody approved; one frame for all needs none."""
    return {
        str(plan["label"] or plan["uid"])
        for course in answer["courses"]
        for plan in course["plans"]
        if plan["source"] and (told := plan["registration"]) and told["kind"] != "identity"
        if not told.get("approved")
    }


def _newest(approvals: Sequence[Decision], field: str, digest: str) -> Decision | None:
    fitting = [one for one in approvals if getattr(one.what, field) == digest]
    return max(fitting, key=lambda one: one.number, default=None)


def _digest(body: object) -> str:
    return hashlib.sha256(json.dumps(body, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
