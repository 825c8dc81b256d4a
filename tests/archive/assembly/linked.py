"""Facts of several patient keys: receipts under each, decisions as the store keeps them, one rich person."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from archive.desk.countersigning import countersign_of
from archive.facts.decisions import (
    Act,
    Close,
    Decision,
    Merge,
    Move,
    OpenDossier,
    Sealed,
    SetOrigin,
    SheetFraction,
    Split,
    StateIdentity,
    Transcribe,
)
from archive.facts.linked import PatientFacts, joined, named_by
from archive.facts.receipts import PatientKey, Receipt
from archive.headers import Identifier, InstanceHeader, PatientHeader
from archive.uids import own_uid
from tests.factories import (
    MONDAY,
    PATIENT,
    course,
    da,
    decision,
    document,
    dose,
    folded,
    image,
    key_of,
    plan,
    plan_header,
    receipt,
    records,
    registration,
    series,
    uid,
    weekdays,
)

YEARS_LATER = date(2028, 3, 6)
TWIN = PatientHeader(
    identifier=Identifier(value="001001", issuer="HOSPITAL"), name="SAMPLE^ADA", birth_date="19500101", sex="F"
)
STRANGER = PatientHeader(
    identifier=Identifier(value="H-9", issuer="HOSPITAL"), name="Other^Bert", birth_date="19610203", sex="M"
)


def under(patient: PatientHeader, headers: Iterable[InstanceHeader]) -> list[InstanceHeader]:
    """Return instances as they came under another patient ID."""
    return [replace(header, patient=patient) for header in headers]


def members(
    arrived: Mapping[PatientKey, Sequence[Receipt]], decisions: Iterable[tuple[PatientKey, Decision]]
) -> list[PatientFacts]:
    """Return the facts under each key; a decision that names patients lies under each of them."""
    under_key: dict[PatientKey, list[Decision]] = {key: [] for key in arrived}
    for key, one in decisions:
        for place in {key, *named_by(one.what)}:
            under_key.setdefault(place, []).append(one)
    keys = sorted({*arrived, *under_key})
    return [
        PatientFacts(key=key, receipts=tuple(arrived.get(key, ())), decisions=tuple(under_key.get(key, ())))
        for key in keys
    ]


def linked(
    arrived: Mapping[PatientKey, Sequence[InstanceHeader]], acts: Sequence[Act], *, key: PatientKey | None = None
) -> PatientFacts:
    """Return the facts of linked patients; acts are numbered in order and lie under the smallest key."""
    lead = min(arrived)
    decisions = [(lead, decision(number, act)) for number, act in enumerate(acts, 1)]
    received = {place: [receipt(one) for one in headers] for place, headers in arrived.items()}
    return joined(key or lead, members(received, decisions))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rich:
    """A person of two joined keys, and a stranger under whom some of the instances came.

    Parameters
    ----------
    headers
        What may arrive in any order, with the key it arrives under.
    fixed
        Receipts whose time decides something: a conflict, in which the earliest counts.
    decisions
        With the key each was put under.
    """

    headers: tuple[tuple[PatientKey, InstanceHeader], ...]
    fixed: tuple[tuple[PatientKey, Receipt], ...]
    decisions: tuple[tuple[PatientKey, Decision], ...]


def rich() -> Rich:
    """Return what could depend on order: courses, replan, boost, shared CT, seals, moves, links and all the rest."""
    first = _first_course()
    stray = series("astray", slices=2, frame="frame")
    arrived = [(key_of(), one) for one in [*first, *_second_course(), *_loose()]]
    arrived += [(key_of(TWIN), one) for one in under(TWIN, _third_course())]
    arrived += [(key_of(STRANGER), one) for one in under(STRANGER, [*stray, *series("own", frame="theirs")])]
    twice = first[0]
    fixed = [
        (key_of(), receipt(first[1], minutes=-10)),
        (key_of(), receipt(first[1], minutes=900, content="other", disposition="conflict")),
        (key_of(), receipt(twice, minutes=5, encoding="implicit", node="n2")),
    ]
    kept = tuple(pair for pair in arrived if pair[1].sop_instance_uid != first[1].sop_instance_uid)
    return Rich(headers=kept, fixed=tuple(fixed), decisions=tuple(_decisions(first, stray)))


def _first_course() -> list[InstanceHeader]:
    replan = plan("a2", structures="structures ct", header=plan_header(label="Replan", replaces=(uid("a"),)))
    boost = plan("boost", structures="structures ct", header=plan_header(label="Boost"))
    after = weekdays(MONDAY, 8)
    return [
        *course("a", fractions=5, delivered=2),
        replan,
        *records(2, plan="a2", start=after[2], first=3),
        boost,
        dose("boost dose", plans=("boost",)),
        *records(2, plan="boost", start=after[5]),
    ]


def _second_course() -> list[InstanceHeader]:
    """Return a course years later on the same CT."""
    return course("b", start=YEARS_LATER, fractions=3)


def _third_course() -> list[InstanceHeader]:
    return course("c", start=YEARS_LATER + timedelta(days=30), fractions=3, ct="ct2", frame="frame2")


def _loose() -> list[InstanceHeader]:
    return [
        registration("reg", "frame", "frame2"),
        *series("pet", slices=2, frame="pet frame"),
        registration("pet reg", "frame", "pet frame"),
        document("letter", day=YEARS_LATER),
        document("undated"),
        image("follow-up", series="follow", frame="elsewhere"),
        image("misplaced", series="misplaced", frame="frame"),
        *records(1, plan="on paper only", start=date(2012, 5, 7)),
    ]


def _decisions(first: Sequence[InstanceHeader], stray: Sequence[InstanceHeader]) -> list[tuple[PatientKey, Decision]]:
    own, twin, stranger = key_of(), key_of(TWIN), key_of(STRANGER)
    lead = min(own, twin)
    opened = own_uid("course", "test")
    sealed = next(one for one in folded(first).dossiers if uid("a") in one.plan_uids)
    sheet = tuple(SheetFraction(number=n, date=da(day)) for n, day in enumerate(weekdays(date(2012, 5, 7), 3), 1))
    copy = decision(10, Transcribe(plan_uid=uid("on paper only"), fractions=sheet, source="archive", reason="x"))
    acts: list[tuple[PatientKey, Act]] = [
        (own, StateIdentity(patients=(own, twin), are_one=False, reason="x")),
        (own, StateIdentity(patients=(own, twin), are_one=True, reason="x")),
        (lead, Split(plan_uids=(uid("c"),), reason="x")),
        (lead, Merge(plan_uids=(opened, uid("on paper only")), reason="x")),
        (lead, Move(file_sha256s=_digests(document("undated")), to_plan_uid=uid("b"), reason="x")),
        (lead, Move(file_sha256s=_digests(image("misplaced", series="misplaced")), to_plan_uid="", reason="x")),
        (stranger, _moved(stray, stranger, own)),
        (lead, OpenDossier(course_uid=opened, origin="paper", label="Neck", reason="x", first_date="20090105")),
        (lead, SetOrigin(plan_uids=(uid("on paper only"),), origin="elsewhere", institution="Elsewhere", reason="x")),
        (lead, copy.what),
        (lead, countersign_of(copy)),
        (lead, Close(plan_uids=(uid("b"),), outcome="stopped", last_date=da(YEARS_LATER), reason="x")),
        (own, _seal(sealed.id, first)),
    ]
    made = [(key, decision(number, act)) for number, (key, act) in enumerate(acts, 1)]
    return [(key, replace(one, account="eve") if one.number == 11 else one) for key, one in made]


def _digests(*headers: InstanceHeader) -> tuple[str, ...]:
    return tuple(receipt(one).file_sha256 for one in headers)


def _moved(headers: Sequence[InstanceHeader], from_: PatientKey, to: PatientKey) -> Move:
    return Move(file_sha256s=_digests(*headers), to_plan_uid="", reason="x", to_patient=to, from_patient=from_)


def _seal(dossier: str, headers: Sequence[InstanceHeader]) -> Sealed:
    kept = [one for one in headers if one.sop_instance_uid not in (uid("boost"), uid("boost dose"))]
    return Sealed(
        dossier=dossier,
        version=1,
        plan_uids=(uid("a"), uid("a2")),
        file_sha256s=_digests(*kept),
        dossier_sha256="0" * 64,
    )


def patient_of(name: str) -> PatientHeader:
    """Return another person with this ID."""
    return replace(PATIENT, identifier=Identifier(value=name, issuer="HOSPITAL"))
