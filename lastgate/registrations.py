"""The registrations of a patient as answers: what joins what, how good it is, and what was said of it."""

from typing import Any

from archive.desk.accounts import Account
from archive.errors import NotFound, Refused
from archive.facts.dose_decisions import JudgeRegistration
from archive.headers import InstanceKind
from archive.journal.journal import Event
from archive.model import Held, PatientRecord
from courses.joints import IDENTITY, Joint, Verdict, Workshop, instances_of, joints_of, verdicts_of
from courses.registration_answers import quality_answer
from dose.errors import BadRegistration
from dose.objects.registration import Form, form_of
from lastgate.wiring import House

_SHORTEST = 8
"""So many characters at least of a UID's beginning are taken for it."""


def registrations_answer(house: House, record: PatientRecord) -> dict[str, Any]:
    """Return what joins frames of reference of a patient, as `lastgate registrations --json` prints it."""
    workshop = Workshop(record, house.reader, house.derived)
    verdicts = verdicts_of(record)
    return {
        "format": "lastgate/registrations/1",
        "patient": record.key,
        "registrations": [_joint(joint, workshop) for joint in joints_of(record)],
        "frames": [
            {"uid": frame, "series": series, "verdict": _verdict(verdicts.get(f"{IDENTITY}{frame}"))}
            for frame, series in _frames(record).items()
        ],
    }


def _joint(joint: Joint, workshop: Workshop) -> dict[str, Any]:
    kind, problem = "deformable" if joint.is_deformable else "rigid", ""
    try:
        kind = _kind(joint, workshop)
    except BadRegistration as error:
        problem = str(error)
    act = joint.computed
    return {
        "uid": joint.uid,
        "kind": kind,
        "frames": list(joint.frames),
        "series": [act.fixed_series, act.moving_series] if act else _series(joint),
        "source": "computed" if act else "received",
        "method": act.method if act else "",
        "since": joint.since.isoformat(),
        "quality": quality_answer(joint.quality),
        "verdict": _verdict(joint.verdict),
        "invalid": [{"structure_set": uid, "name": name} for uid, name in joint.invalid],
        "problem": problem,
    }


def _kind(joint: Joint, workshop: Workshop) -> str:
    """Return what the maps of a registration do to shapes: the worst of those it gives."""
    own = workshop.stored(joint).own_frame
    others = [frame for frame in joint.frames if frame != own]
    if not others:
        raise BadRegistration("names no other frame of reference")
    forms = {form_of(workshop.stored(joint).between(own, frame)) for frame in others}
    return max(forms, key=list(Form).index).value


def _series(joint: Joint) -> list[str]:
    header = joint.held.header.registration if joint.held else None
    return list(header.series_uids) if header else []


def _verdict(verdict: Verdict | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    return {
        "verdict": "approved" if verdict.is_approved else "rejected",
        "account": verdict.account,
        "at": verdict.made_at.isoformat(),
        "reason": verdict.reason,
    }


def _frames(record: PatientRecord) -> dict[str, list[dict[str, str]]]:
    """Return the frames of reference that hold several image series, with the days these were taken."""
    found: dict[str, dict[str, str]] = {}
    for held in instances_of(record):
        if held.kind is InstanceKind.IMAGE and held.header.frame_uid:
            found.setdefault(held.header.frame_uid, {})[held.header.series_uid] = held.header.study_date
    return {
        frame: [{"uid": uid, "date": day} for uid, day in sorted(series.items(), key=lambda one: (one[1], one[0]))]
        for frame, series in sorted(found.items())
        if len(series) > 1
    }


def judge_registration(
    house: House,
    record: PatientRecord,
    name: str,
    *,
    verdict: str,
    reason: str,
    invalid: list[str],
    account: Account,
) -> JudgeRegistration:
    """Settle what a physicist thinks of a registration, and return it.

    Parameters
    ----------
    name
        SOP Instance UID or its beginning; ``identity:`` and a Frame of Reference UID for images that share one.
    invalid
        Names of structures within which it holds nowhere, as ``NAME`` or ``STRUCTURE_SET_UID/NAME``.

    Raises
    ------
    NotFound
        The patient has no such registration or structure.
    Refused
        The name fits several, a reason is missing, or an approved registration can't be used.
    """
    if not reason.strip():
        raise Refused("A verdict on a registration needs a reason")
    joint, uid = _named(record, name)
    act = JudgeRegistration(
        uid=uid,
        verdict="approved" if verdict == "approved" else "rejected",
        reason=reason.strip(),
        quality=joint.quality if joint else None,
        moving_series=joint.computed.moving_series if joint and joint.computed else "",
        fixed_series=joint.computed.fixed_series if joint and joint.computed else "",
        invalid=tuple(_structure(record, joint, one) for one in invalid),
    )
    if act.verdict == "approved" and joint is not None:
        try:
            Workshop(record, house.reader, house.derived).stored(joint)
        except BadRegistration as error:
            raise Refused(f"This registration can't be approved: it {error}") from error
    subject = {"patient": record.key, "registration": uid, "verdict": act.verdict, "reason": act.reason}
    event = Event(act="judge-registration", account=account.name, subject=subject)
    house.desk.settle(record.key, act, account=account, event=event)
    return act


def _named(record: PatientRecord, name: str) -> tuple[Joint | None, str]:
    if name.startswith(IDENTITY):
        frame = name.removeprefix(IDENTITY)
        if frame not in {held.header.frame_uid for held in instances_of(record)} - {""}:
            raise NotFound(f"This patient has no frame of reference {frame}")
        return None, name
    fitting = [one for one in joints_of(record) if one.uid == name]
    if not fitting and len(name) >= _SHORTEST:
        fitting = [one for one in joints_of(record) if one.uid.startswith(name)]
    if not fitting:
        raise NotFound(f"This patient has no registration {name!r}", hint="`lastgate registrations` lists them.")
    if len(fitting) > 1:
        raise Refused(f"{name!r} fits {len(fitting)} registrations; write the whole UID")
    return fitting[0], fitting[0].uid


def _structure(record: PatientRecord, joint: Joint | None, name: str) -> tuple[str, str]:
    """Return the structure set and the name of a structure in a frame the registration joins."""
    if joint is None:
        raise Refused("Structures can be marked invalid on a registration, not on a shared frame of reference")
    set_uid, _, roi = name.rpartition("/")
    fitting = sorted({held.uid for held in _sets(record, joint) if set_uid in ("", held.uid) and _holds(held, roi)})
    if not fitting:
        raise NotFound(f"No structure set in the frames of this registration has a structure {roi!r}")
    if len(fitting) > 1:
        raise Refused(f"{len(fitting)} structure sets have a structure {roi!r}: write STRUCTURE_SET_UID/{roi}")
    return fitting[0], roi


def _sets(record: PatientRecord, joint: Joint) -> list[Held]:
    sets = [held for held in instances_of(record) if held.header.structure_set]
    return [
        held
        for held in sets
        if held.header.structure_set
        and {held.header.frame_uid, *held.header.structure_set.frame_uids} & set(joint.frames)
    ]


def _holds(held: Held, roi: str) -> bool:
    return any(one.name == roi for one in (held.header.structure_set.rois if held.header.structure_set else ()))
