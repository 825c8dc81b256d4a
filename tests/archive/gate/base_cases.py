"""Dossiers, good and bad, for the findings of the base packs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta

from archive.facts.decisions import (
    Act,
    Close,
    Move,
    Sealed,
    SetDeliveryState,
    SheetFraction,
    Transcribe,
)
from archive.facts.receipts import Receipt
from archive.headers import InstanceHeader, InstanceKind, PatientHeader
from archive.uids import own_uid
from tests.factories import (
    MONDAY,
    PATIENT,
    beam,
    course,
    da,
    document,
    dose,
    group,
    image,
    only_dossier,
    other,
    plan,
    plan_header,
    receipt,
    record,
    recorded,
    records,
    structures,
    target,
    uid,
    weekdays,
)

Case = tuple[Sequence[InstanceHeader | Receipt], Sequence[Act]]
"""What arrived, and what people settled."""
LAST = weekdays(MONDAY, 5)[-1]


def close(outcome: str = "completed", last: date = LAST) -> Close:
    return Close(plan_uids=(uid("plan"),), outcome=outcome, last_date=da(last), reason="r")  # type: ignore[arg-type]


def good(**header: object) -> list[InstanceHeader]:
    """Return a course of five fractions in which nothing is wrong; `header` changes its plan."""
    return course(fractions=5, **header)  # type: ignore[arg-type]


def without(kind: InstanceKind) -> list[InstanceHeader]:
    return [one for one in good() if one.kind is not kind]


def with_records(*given: InstanceHeader, **header: object) -> list[InstanceHeader]:
    return [*(one for one in good(**header) if one.kind is not InstanceKind.RECORD), *given]


def patient(**values: object) -> list[InstanceHeader]:
    """Return the good course with one slice of another patient."""
    first, *rest = good()
    return [replace(first, patient=replace(PATIENT, **values)), *rest]  # type: ignore[arg-type]


def nameless() -> list[InstanceHeader]:
    nobody = PatientHeader(identifier=replace(PATIENT.identifier, value=""), name="Sample^Ada")
    return [replace(one, patient=nobody) for one in good()]


def seal(headers: list[InstanceHeader]) -> Act:
    files = tuple(receipt(one).file_sha256 for one in headers)
    dossier = only_dossier(headers)
    return Sealed(
        dossier=dossier.id, version=1, plan_uids=dossier.plan_uids, file_sha256s=files, dossier_sha256="0" * 64
    )


def moved_away(header: InstanceHeader) -> Act:
    return Move(file_sha256s=(receipt(header).file_sha256,), to_plan_uid="", reason="x")


def copied() -> Act:
    fractions = (SheetFraction(number=1, date=da(MONDAY)),)
    return Transcribe(plan_uid=uid("plan"), fractions=fractions, source="sheet", reason="x")


def two_groups(*given: InstanceHeader) -> list[InstanceHeader]:
    groups = (
        group(1, 2, dose_reference_numbers=(1,)),
        group(2, 2, dose_reference_numbers=(2,)),
    )
    return with_records(*given, fraction_groups=groups, dose_references=(target(1), target(2)))


def numbered(*numbers: int | None) -> list[InstanceHeader]:
    days = weekdays(MONDAY, len(numbers))
    return [record(f"r{at}", recorded(number), day=days[at]) for at, number in enumerate(numbers)]


def grouped(*numbers: int) -> list[InstanceHeader]:
    """Return four records, the last two of the second group, bearing these fraction numbers."""
    days = weekdays(MONDAY, 4)
    return [record(f"r{at}", recorded(n), group_number=1 + at // 2, day=days[at]) for at, n in enumerate(numbers)]


def aside(name: str, **values: object) -> InstanceHeader:
    """Return another plan without structures."""
    return plan(name, structures="", header=plan_header(**values))


def replanned(first: int) -> list[InstanceHeader]:
    """Return a course that was replanned after two of five fractions; the new plan counts from `first`."""
    newer = plan(
        "new",
        structures="structures ct",
        header=plan_header(replaces=(uid("plan"),), fraction_groups=(group(fractions=3),)),
    )
    started = [one for one in good() if one.kind is not InstanceKind.RECORD]
    later = records(3, plan="new", start=MONDAY + timedelta(days=2), first=first)
    return [*started, *records(2), newer, dose("new dose", plans=("new",)), *later]


DONE = [close()]
WAS_DELIVERED = SetDeliveryState(plan_uid=uid("plan"), delivered=True, reason="paper")
UNEVEN = with_records(
    record("r", recorded(1, mu=50.0), recorded(1, beam_number=2, mu=150.0)),
    beams=(beam(1), beam(2)),
    fraction_groups=(group(fractions=1, metersets=(100.0, 100.0)),),
)
CONTINUED = (
    record("part", recorded(5, mu=30.0), day=LAST),
    record("rest", recorded(5, mu=70.0, delivery_type="CONTINUATION"), day=LAST, time="1100"),
)
BRACHY = with_records(
    record("r", recorded(1, mu=None, specified_meterset=None)),
    brachy_treatment="HDR",
    beams=(),
    fraction_groups=(group(fractions=1, metersets=(None,)),),
)

BAD: dict[str, Callable[[], Case]] = {
    "PATIENT-UNKNOWN": lambda: (nameless(), DONE),
    "PATIENT-DIFFERS": lambda: (patient(name="Other^Eve"), DONE),
    "PLAN-MISSING": lambda: (without(InstanceKind.PLAN), DONE),
    "PLAN-UNAPPROVED": lambda: (good(approval="UNAPPROVED"), DONE),
    "TARGET-MISSING": lambda: (good(dose_references=()), DONE),
    "SIDE-DIFFERS": lambda: (good(label="Breast R"), DONE),
    "STRUCTURES-MISSING": lambda: (without(InstanceKind.STRUCTURES), DONE),
    "IMAGES-MISSING": lambda: (without(InstanceKind.IMAGE), DONE),
    "IMAGES-INCOMPLETE": lambda: (good()[1:], DONE),
    "SLICES-MISSING": lambda: ([*good(), image("far", z_mm=30.0)], DONE),
    "DOSE-MISSING": lambda: (without(InstanceKind.DOSE), DONE),
    "DOSE-CANDIDATES": lambda: ([*good(), dose("second")], DONE),
    "DOSE-WITHOUT-PLAN": lambda: ([*good(), dose("lone", plans=())], DONE),
    "FRAME-DIFFERS": lambda: ([*without(InstanceKind.DOSE), dose("plan dose", frame="elsewhere")], DONE),
    "REFERENCE-BROKEN": lambda: ([plan(structures="gone", header=plan_header()), structures("there")], []),
    "RECORDS-MISSING": lambda: (without(InstanceKind.RECORD), []),
    "QA-DELIVERED": lambda: (good(intent="VERIFICATION"), DONE),
    "FRACTIONS-UNPLANNED": lambda: (good(fraction_groups=(group(fractions=None),)), DONE),
    "FRACTIONS-MISSING": lambda: (with_records(*records(4)), [close(last=weekdays(MONDAY, 4)[-1])]),
    "FRACTIONS-EXCESS": lambda: (with_records(*records(6)), []),
    "FRACTION-PARTIAL": lambda: (with_records(*records(4), record("cut", recorded(5, mu=90.0), day=LAST)), DONE),
    "FRACTION-NUMBERS": lambda: (with_records(*numbered(1, 2, 4, 5, 6)), DONE),
    "METERSET-DIFFERS": lambda: (with_records(*records(4), record("more", recorded(5, mu=110.0), day=LAST)), DONE),
    "METERSET-UNKNOWN": lambda: (with_records(*records(4), record("vague", recorded(5, mu=None), day=LAST)), DONE),
    "MACHINE-DIFFERS": lambda: (
        with_records(*records(4), record("away", recorded(5), day=LAST, machine="LINAC2")),
        DONE,
    ),
    "COURSE-BOUNDARY": lambda: (
        with_records(*records(4), record("late", recorded(5), day=LAST + timedelta(days=30))),
        [close(last=LAST + timedelta(days=30))],
    ),
    "NOT-CLOSED": lambda: (with_records(*records(3)), []),
    "CLOSE-PROPOSED": lambda: (good(), []),
    "CLOSE-DIFFERS": lambda: (good(), [close(last=LAST - timedelta(days=1))]),
    "CONFLICT": lambda: ([*good(), receipt(good()[0], content="other", disposition="conflict")], DONE),
    "UNREADABLE-VALUES": lambda: ([*good(), replace(other("sr", "ct 0"), flags=("unreadable:StudyDate",))], DONE),
    "CHARSET-GUESSED": lambda: ([*good(), replace(other("sr", "ct 0"), flags=("charset-guessed:gb18030",))], DONE),
    "LATE": lambda: ([*good(), other("sr", "ct 0")], [*DONE, seal(good())]),
    "SEALED-ASTRAY": lambda: (good(), [*DONE, seal(good()), moved_away(good()[0])]),
    "TRANSCRIPTION-UNSIGNED": lambda: (without(InstanceKind.RECORD), [copied()]),
    "UNATTACHED": lambda: ([image("follow-up", frame="elsewhere")], []),
}

MORE_BAD: list[tuple[str, str, Callable[[], Case]]] = [
    ("PATIENT-DIFFERS", "birth date", lambda: (patient(birth_date="19000101"), DONE)),
    ("PATIENT-DIFFERS", "sex", lambda: (patient(sex="M"), DONE)),
    ("PATIENT-UNKNOWN", "unattached", lambda: ([replace(image("x"), patient=nameless()[0].patient)], [])),
    ("PLAN-UNAPPROVED", "no status", lambda: (good(approval=""), DONE)),
    ("TARGET-MISSING", "only a point", lambda: (good(dose_references=(target(structure_type="POINT"),)), DONE)),
    ("TARGET-MISSING", "no dose", lambda: (good(dose_references=(target(gy=None),)), DONE)),
    ("SIDE-DIFFERS", "by site", lambda: (good(sites=("Right breast",)), DONE)),
    ("DOSE-CANDIDATES", "no type", lambda: ([*without(InstanceKind.DOSE), dose("d", summation="")], DONE)),
    (
        "IMAGES-MISSING",
        "of the second plan",
        lambda: ([*good(), replace(aside("b"), frame_uid=uid("other")), *records(5, plan="b")], DONE),
    ),
    ("RECORDS-MISSING", "of an unseen plan", lambda: ([dose()], [])),
    ("FRACTIONS-MISSING", "stated as delivered", lambda: (without(InstanceKind.RECORD), [WAS_DELIVERED])),
    (
        "FRACTIONS-EXCESS",
        "over two revisions",
        lambda: ([*replanned(3), record("x", recorded(6), plan="new", day=LAST + timedelta(days=3))], []),
    ),
    ("FRACTION-NUMBERS", "not told", lambda: (with_records(*numbered(1, 2, 3, 4, None)), DONE)),
    ("FRACTION-NUMBERS", "the first missing", lambda: (with_records(*numbered(2, 3, 4, 5)), DONE)),
    ("FRACTION-NUMBERS", "in the second group", lambda: (two_groups(*grouped(1, 2, 5, 6)), DONE)),
    ("FRACTION-PARTIAL", "one beam short, the other over", lambda: (UNEVEN, [])),
    ("METERSET-DIFFERS", "one beam short, the other over", lambda: (UNEVEN, [])),
    (
        "METERSET-DIFFERS",
        "a beam that was not planned",
        lambda: (
            with_records(*records(4), record("r", recorded(5), recorded(5, beam_number=7, mu=20.0), day=LAST)),
            DONE,
        ),
    ),
    (
        "METERSET-DIFFERS",
        "on an unknown day",
        lambda: (with_records(record("r", recorded(1, mu=300.0), date="", time="")), []),
    ),
    (
        "METERSET-UNKNOWN",
        "nothing planned",
        lambda: (
            with_records(
                record("r", recorded(1, specified_meterset=None)),
                fraction_groups=(group(fractions=1, metersets=()),),
            ),
            [],
        ),
    ),
    (
        "CLOSE-PROPOSED",
        "by a summary record",
        lambda: (with_records(*records(3), record("summary", treatment_status="STOPPED", date="")), []),
    ),
    ("CLOSE-DIFFERS", "never started, yet recorded", lambda: (good(), [close("never-started")])),
    ("CLOSE-DIFFERS", "a broken date", lambda: (good(), [replace(close(), last_date="soon")])),
    ("CONFLICT", "known only elsewhere", lambda: ([receipt(one, disposition="conflict") for one in good()], DONE)),
]

GOOD: list[tuple[str, Callable[[], Case]]] = [
    ("a whole course", lambda: (good(), DONE)),
    ("stopped early", lambda: (with_records(*records(3)), [close("stopped", weekdays(MONDAY, 3)[-1])])),
    ("never started", lambda: (without(InstanceKind.RECORD), [close("never-started")])),
    ("cut short and continued", lambda: (with_records(*records(4), *CONTINUED), DONE)),
    ("a meterset within tolerance", lambda: (with_records(*records(5, mu=100.5)), DONE)),
    ("replanned, counting on", lambda: (replanned(3), DONE)),
    ("replanned, counting anew", lambda: (replanned(1), DONE)),
    ("groups counting on", lambda: (two_groups(*grouped(1, 2, 3, 4)), [close(last=LAST - timedelta(days=1))])),
    ("groups counting anew", lambda: (two_groups(*grouped(1, 2, 1, 2)), [close(last=LAST - timedelta(days=1))])),
    (
        "a portal film beside",
        lambda: ([*good(), record("film", recorded(1, beam_number=9, delivery_type="TRMT_PORTFILM"))], DONE),
    ),
    ("a rejected plan beside", lambda: ([*good(), aside("no", approval="REJECTED")], DONE)),
    ("a plan for the phantom beside", lambda: ([*good(), aside("qa", intent="VERIFICATION")], DONE)),
    ("an uneven slice distance", lambda: ([*good(), image("ct 3", z_mm=10.4)], DONE)),
    ("both sides", lambda: (good(label="Breast L+R"), DONE)),
    ("brachytherapy without metersets", lambda: (BRACHY, [close(last=MONDAY)])),
    ("a document beside", lambda: ([*good(), document("letter")], DONE)),
    (
        "our own composite beside",
        lambda: ([*good(), replace(dose("x", plans=()), sop_instance_uid=own_uid("x"))], DONE),
    ),
    ("our own sum of the plan beside", lambda: ([*good(), replace(dose("x"), sop_instance_uid=own_uid("x"))], DONE)),
]
