"""For each rule that only some packs ask for, or that looks beyond references: what raises it, and what does not."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta

from archive.assembly.courses import dossier_id
from archive.facts.decisions import Act, Close, Paper, Release, Sealed
from archive.headers import InstanceHeader, InstanceKind, PatientHeader, Roi
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
    plan,
    plan_header,
    receipt,
    record,
    recorded,
    records,
    registration,
    series,
    target,
    uid,
    weekdays,
)

Headers = Sequence[InstanceHeader]
Case = tuple[Headers, Sequence[Act]]
LAST = weekdays(MONDAY, 25)[-1]
DONE = Close(plan_uids=(uid("plan"),), outcome="completed", last_date=da(LAST))
PAPERS = ("Consent.pdf", "Prescription.pdf", "PlanReport.pdf", "SecondCheck.pdf", "Patient QA.pdf")


def good(**header: object) -> list[InstanceHeader]:
    """Return a whole course of 25 x 2 Gy with all its papers; `header` changes its plan."""
    return [*course(**header), *map(document, PAPERS)]  # type: ignore[arg-type]


def without_paper(name: str, **header: object) -> list[InstanceHeader]:
    return [one for one in good(**header) if one.document_title != name]


def changed(kind: InstanceKind, change: Callable[[InstanceHeader], InstanceHeader]) -> list[InstanceHeader]:
    """Return the good course with all instances of a kind changed."""
    return [change(one) if one.kind is kind else one for one in good()]


def with_rois(*rois: Roi) -> list[InstanceHeader]:
    def redrawn(header: InstanceHeader) -> InstanceHeader:
        assert header.structure_set
        return replace(header, structure_set=replace(header.structure_set, rois=rois))

    return changed(InstanceKind.STRUCTURES, redrawn)


def roi(number: int, name: str, kind: str = "", *, contours: int = 3) -> Roi:
    return Roi(number=number, name=name, interpreted_type=kind, contours=contours)


BODY, PTV = roi(3, "External", "EXTERNAL"), roi(1, "PTV_L", "PTV")


def whose(**values: object) -> list[InstanceHeader]:
    """Return the good course of a patient of whom something else is told."""
    person: PatientHeader = replace(PATIENT, **values)  # type: ignore[arg-type]
    return [replace(one, patient=person) for one in good()]


def lying(planned: str, imaged: str) -> list[InstanceHeader]:
    made = good(patient_positions=(planned,))
    return [
        replace(one, shared={**one.shared, "PatientPosition": imaged}) if one.kind is InstanceKind.IMAGE else one
        for one in made
    ]


def spaced(spacing_mm: float) -> list[InstanceHeader]:
    thick = {f"ct {at}": image(f"ct {at}", z_mm=spacing_mm * at) for at in range(3)}
    slices = {one.sop_instance_uid: one for one in thick.values()}
    return [slices.get(one.sop_instance_uid, one) for one in good()]


def drawn_on(day: str) -> list[InstanceHeader]:
    def redated(header: InstanceHeader) -> InstanceHeader:
        assert header.structure_set
        return replace(header, structure_set=replace(header.structure_set, date=day))

    return changed(InstanceKind.STRUCTURES, redated)


def energies(planned: float, given: float | None) -> list[InstanceHeader]:
    made = [one for one in good(beams=(beam(energies=(planned,)),)) if one.kind is not InstanceKind.RECORD]
    return [
        *made,
        *(record(f"r{n}", recorded(n, energy=given), day=day) for n, day in enumerate(weekdays(MONDAY, 25), 1)),
    ]


def stereotactic(*more: InstanceHeader, spacing_mm: float = 3.0) -> list[InstanceHeader]:
    """Return 5 x 10 Gy on every other weekday with all its papers, and `more`."""
    return [*good(fractions=5, delivered=0), *_every_other_day(5), *more, *series(slices=0), *_spaced_apart(spacing_mm)]


def _spaced_apart(spacing_mm: float) -> list[InstanceHeader]:
    return [] if spacing_mm == 3.0 else [image("ct 9", z_mm=spacing_mm)]


def _every_other_day(count: int) -> list[InstanceHeader]:
    days = weekdays(MONDAY, 2 * count)[::2]
    return [record(f"s{n}", recorded(n), day=day) for n, day in enumerate(days, 1)]


STEREO_DAYS = weekdays(MONDAY, 10)[::2]
STEREO_DONE = Close(plan_uids=(uid("plan"),), outcome="completed", last_date=da(STEREO_DAYS[-1]))


def setup(days: Sequence[date]) -> list[InstanceHeader]:
    """Return a setup image of each of these days: a cone-beam CT or a portal image, turn by turn."""
    shown = []
    for at, day in enumerate(days):
        one = image(f"cbct {day}", series=f"cbct {day}", shared={"AcquisitionDate": da(day)})
        portal = replace(one, kind=InstanceKind.RT_IMAGE, modality="RTIMAGE", references=(uid("plan"),))
        shown.append(portal if at % 2 else one)
    return shown


def registered(days: Sequence[date]) -> list[InstanceHeader]:
    joined = [registration(f"reg {day}", "frame", f"cbct {day}") for day in days]
    return [replace(one, shared={"ContentDate": da(day)}) for one, day in zip(joined, days, strict=True)]


def drr() -> list[InstanceHeader]:
    """Return pictures that were calculated, not taken."""
    return [
        replace(one, kind=InstanceKind.RT_IMAGE, shared={**one.shared, "ImageType": "DERIVED\\SECONDARY\\DRR"})
        for one in setup(STEREO_DAYS)
    ]


def protons(kind: str = "PHYSICAL") -> list[InstanceHeader]:
    made = good(beams=(beam(radiation="PROTON", scan_mode="MODULATED"),))
    return [dose("plan dose", type=kind) if one.kind is InstanceKind.DOSE else one for one in made]


def replanned(*old_days: date) -> list[InstanceHeader]:
    """Return a course that was replanned after ten fractions; the old plan was also given on `old_days`."""
    newer = plan(
        "new",
        structures="structures ct",
        header=plan_header(label="Breast r1", replaces=(uid("plan"),), fraction_groups=(group(fractions=15),)),
    )
    started = [one for one in good() if one.kind is not InstanceKind.RECORD]
    old = [record(f"late {day}", recorded(10 + at), day=day) for at, day in enumerate(old_days, 1)]
    later = records(15, plan="new", start=weekdays(MONDAY, 11)[-1], first=11)
    return [*started, *records(10), *old, newer, dose("new dose", plans=("new",)), *later]


def in_two_halves(gap: int) -> list[InstanceHeader]:
    """Return a course that stood still for `gap` weekdays after ten fractions."""
    days = weekdays(MONDAY, 25 + gap)
    given = [*days[:10], *days[10 + gap :]]
    made = [one for one in good() if one.kind is not InstanceKind.RECORD]
    return [*made, *(record(f"r{n}", recorded(n), day=day) for n, day in enumerate(given, 1))]


def twice_on_monday(hour: str) -> list[InstanceHeader]:
    made = [one for one in good() if one.kind is not InstanceKind.RECORD]
    second = record("again", recorded(2), day=MONDAY, time=f"{hour}00")
    return [*made, *records(1), second, *records(23, start=MONDAY + timedelta(days=1), first=3)]


def side_by_side(label: str) -> list[InstanceHeader]:
    other = plan("b", structures="structures ct", header=plan_header(label=label))
    return [*good(), other, dose("b dose", plans=("b",)), *records(25, plan="b")]


def released(figures_sha256: str = "0" * 64) -> Release:
    return Release(plan_uids=(uid("plan"),), figures_sha256=figures_sha256, papers=(PAPER,), number="N-1")


PAPER = Paper(
    language="en", audience="patient", sha256="1" * 64, sha512="1" * 128, size_bytes=9, key=f"papers/{'1' * 64}"
)


def sealed(headers: Headers) -> Sealed:
    return Sealed(
        dossier=dossier_id(uid("plan")),
        version=1,
        plan_uids=(uid("plan"),),
        file_sha256s=tuple(receipt(one).file_sha256 for one in headers),
        dossier_sha256="0" * 64,
    )


def broken_off() -> list[InstanceHeader]:
    made = [one for one in good() if one.kind is not InstanceKind.RECORD]
    stopped = record("stopped", recorded(25, termination="OPERATOR"), day=LAST)
    return [*made, *records(24), stopped]


def with_undated_record() -> list[InstanceHeader]:
    made = [one for one in good() if one.kind is not InstanceKind.RECORD]
    return [*made, *records(24), record("undated", recorded(25), date="", time="")]


def series_of(**values: object) -> list[InstanceHeader]:
    """Return the good course whose first slice tells something else of its series."""
    first, *rest = good()
    return [replace(first, **values), *rest]  # type: ignore[arg-type]


BAD: dict[str, Callable[[], Case]] = {
    "PATIENT-INCOMPLETE": lambda: (whose(birth_date=""), [DONE]),
    "BIRTH-DATE-IMPLAUSIBLE": lambda: (whose(birth_date="20250101"), [DONE]),
    "TARGET-VOLUME-MISSING": lambda: (with_rois(BODY, roi(2, "Heart", "ORGAN")), [DONE]),
    "TARGET-NOT-CONTOURED": lambda: (good(dose_references=(target(roi_number=7),)), [DONE]),
    "EXTERNAL-MISSING": lambda: (with_rois(PTV), [DONE]),
    "ROI-NUMBERS": lambda: (with_rois(BODY, PTV, roi(1, "Heart")), [DONE]),
    "NAMES-TG263": lambda: (with_rois(BODY, PTV, roi(2, "spinal cord")), [DONE]),
    "SLICES-COARSE": lambda: (spaced(6.0), [DONE]),
    "INTENT-MISSING": lambda: (good(intent=""), [DONE]),
    "CONSENT-MISSING": lambda: (without_paper("Consent.pdf"), [DONE]),
    "PRESCRIPTION-MISSING": lambda: (without_paper("Prescription.pdf"), [DONE]),
    "REPORT-MISSING": lambda: (without_paper("PlanReport.pdf"), [DONE]),
    "CHECK-MISSING": lambda: (without_paper("SecondCheck.pdf"), [DONE]),
    "VERIFICATION-MISSING": lambda: (
        without_paper("Patient QA.pdf", beams=(beam(beam_type="DYNAMIC", leaves_move=True),)),
        [DONE],
    ),
    "SETUP-MISSING": lambda: (stereotactic(*setup(STEREO_DAYS[:-1])), [STEREO_DONE]),
    "PLAN-FRAME-DIFFERS": lambda: (
        changed(InstanceKind.PLAN, lambda one: replace(one, frame_uid=uid("elsewhere"))),
        [DONE],
    ),
    "IMAGES-FRAME-DIFFERS": lambda: (
        changed(InstanceKind.IMAGE, lambda one: replace(one, frame_uid=uid("elsewhere"))),
        [DONE],
    ),
    "POSITION-DIFFERS": lambda: (lying("HFS", "FFS"), [DONE]),
    "STRUCTURES-DIFFER": lambda: (
        [
            dose("plan dose", structure_set_uids=(uid("others"),)) if one.kind is InstanceKind.DOSE else one
            for one in good()
        ],
        [DONE],
    ),
    "SERIES-DIFFERS": lambda: (series_of(study_uid=uid("another study")), [DONE]),
    "PRESCRIPTION-DIFFERS": lambda: (good(prescription="60 Gy in 30 fractions"), [DONE]),
    "ENERGY-DIFFERS": lambda: (energies(6.0, 10.0), [DONE]),
    "RBE-UNCONFIRMED": lambda: (protons(), [DONE]),
    "ISOCENTRES-SEVERAL": lambda: (
        good(beams=(beam(1, isocentre_mm=(0.0, 0.0, 0.0)), beam(2, isocentre_mm=(0.0, 0.0, 80.0)))),
        [DONE],
    ),
    "BEAM-NUMBERS": lambda: (good(beams=(beam(1), beam(1, name="again"))), [DONE]),
    "LABELS-EQUAL": lambda: (side_by_side("Breast"), [DONE]),
    "REJECTED-DELIVERED": lambda: (good(approval="REJECTED"), [DONE]),
    "SUPERSEDED-DELIVERED": lambda: (replanned(weekdays(MONDAY, 13)[-1]), []),
    "RECORDS-UNDATED": lambda: (with_undated_record(), []),
    "TERMINATION-ABNORMAL": lambda: (broken_off(), [DONE]),
    "FRACTIONS-CLOSE": lambda: (twice_on_monday("12"), []),
    "INTERRUPTION-LONG": lambda: (in_two_halves(3), []),
    "DATES-DISORDERED": lambda: (drawn_on(da(MONDAY)), [DONE]),
    "TREATED-BEFORE-PLAN": lambda: (good(date=da(MONDAY + timedelta(days=1))), [DONE]),
    "TREATED-BEFORE-APPROVAL": lambda: (good(review_date=da(MONDAY + timedelta(days=1))), [DONE]),
    "SUMMARY-MISSING": lambda: (good(), [DONE]),
    "SUMMARY-OUTDATED": lambda: (good(), [DONE, released()]),
    "SUMMARY-LATE": lambda: (good(), [DONE, sealed(good()), released()]),
}

GOOD: list[tuple[str, str, Callable[[], Case]]] = [
    ("PATIENT-INCOMPLETE", "told by most", lambda: ([*good(), *whose(sex="")[:1]], [DONE])),
    ("BIRTH-DATE-IMPLAUSIBLE", "very old", lambda: (whose(birth_date="19100101"), [DONE])),
    ("TARGET-VOLUME-MISSING", "by its name", lambda: (with_rois(BODY, roi(1, "ctv boost")), [DONE])),
    (
        "TARGET-NOT-CONTOURED",
        "contoured",
        lambda: (good(dose_references=(target(roi_number=1),)), [DONE]),
    ),
    ("EXTERNAL-MISSING", "by its name", lambda: (with_rois(PTV, roi(4, "BODY")), [DONE])),
    ("ROI-NUMBERS", "empty ones of one name", lambda: (with_rois(BODY, PTV, roi(4, "ptv_l", contours=0)), [DONE])),
    ("NAMES-TG263", "right ones", lambda: (with_rois(BODY, PTV, roi(2, "SpinalCord"), roi(4, "z_ring")), [DONE])),
    ("SLICES-COARSE", "thin", lambda: (spaced(5.0), [DONE])),
    (
        "CONSENT-MISSING",
        "in Chinese",
        lambda: ([*without_paper("Consent.pdf"), document("放疗知情同意书.pdf")], [DONE]),
    ),
    (
        "PRESCRIPTION-MISSING",
        "in a file of another case",
        lambda: ([*without_paper("Prescription.pdf"), document("RT-PRESCRIPTION_v2.PDF")], [DONE]),
    ),
    ("REPORT-MISSING", "in Chinese", lambda: ([*without_paper("PlanReport.pdf"), document("计划报告")], [DONE])),
    ("CHECK-MISSING", "in Chinese", lambda: ([*without_paper("SecondCheck.pdf"), document("剂量独立核对单")], [DONE])),
    ("VERIFICATION-MISSING", "not for still fields", lambda: (without_paper("Patient QA.pdf"), [DONE])),
    ("SETUP-MISSING", "images of each day", lambda: (stereotactic(*setup(STEREO_DAYS)), [STEREO_DONE])),
    ("SETUP-MISSING", "registered on each day", lambda: (stereotactic(*registered(STEREO_DAYS)), [STEREO_DONE])),
    ("SETUP-MISSING", "not for small fractions", lambda: (good(), [DONE])),
    ("POSITION-DIFFERS", "as imaged", lambda: (lying("HFS", "HFS"), [DONE])),
    ("POSITION-DIFFERS", "not told by the images", lambda: (good(patient_positions=("HFS",)), [DONE])),
    (
        "STRUCTURES-DIFFER",
        "the same",
        lambda: (
            [
                dose("plan dose", structure_set_uids=(uid("structures ct"),)) if one.kind is InstanceKind.DOSE else one
                for one in good()
            ],
            [DONE],
        ),
    ),
    ("PRESCRIPTION-DIFFERS", "the same in words", lambda: (good(prescription="25 x 2 Gy"), [DONE])),
    ("PRESCRIPTION-DIFFERS", "of this phase and the next", lambda: (good(label="50Gy/25f + 10Gy/5f"), [DONE])),
    ("PRESCRIPTION-DIFFERS", "words without figures", lambda: (good(prescription="whole breast"), [DONE])),
    ("ENERGY-DIFFERS", "the same", lambda: (energies(6.0, 6.0), [DONE])),
    ("ENERGY-DIFFERS", "not told", lambda: (energies(6.0, None), [DONE])),
    ("RBE-UNCONFIRMED", "weighted", lambda: (protons("EFFECTIVE"), [DONE])),
    (
        "ISOCENTRES-SEVERAL",
        "one",
        lambda: (good(beams=(beam(1, isocentre_mm=(0.0, 0.0, 0.0)), beam(2, isocentre_mm=(0.0, 0.0, 0.04)))), [DONE]),
    ),
    ("LABELS-EQUAL", "labels of their own", lambda: (side_by_side("Axilla"), [DONE])),
    ("LABELS-EQUAL", "a revision", lambda: (replanned(), [])),
    ("SUPERSEDED-DELIVERED", "never again", lambda: (replanned(), [])),
    ("FRACTIONS-CLOSE", "six hours later", lambda: (twice_on_monday("15"), [])),
    ("INTERRUPTION-LONG", "two days", lambda: (in_two_halves(2), [])),
    ("DATES-DISORDERED", "all on one day", lambda: (good(date="19990105", review_date="19990105"), [DONE])),
    ("TREATED-BEFORE-PLAN", "on the same day", lambda: (good(date=da(MONDAY), review_date=da(MONDAY)), [DONE])),
    ("SUMMARY-MISSING", "released", lambda: (good(), [DONE, released()])),
    ("SUMMARY-MISSING", "not closed yet", lambda: (good(), [])),
]

MORE_BAD: list[tuple[str, str, Callable[[], Case]]] = [
    ("PATIENT-INCOMPLETE", "name", lambda: (whose(name=""), [DONE])),
    ("PATIENT-INCOMPLETE", "sex", lambda: (whose(sex=""), [DONE])),
    ("BIRTH-DATE-IMPLAUSIBLE", "before the last century", lambda: (whose(birth_date="18500101"), [DONE])),
    ("TARGET-VOLUME-MISSING", "not contoured", lambda: (with_rois(BODY, replace(PTV, contours=0)), [DONE])),
    ("ROI-NUMBERS", "names but for case", lambda: (with_rois(BODY, PTV, roi(2, "ptv_l")), [DONE])),
    ("SLICES-COARSE", "for large fractions", lambda: (_thick_stereotactic(), [STEREO_DONE])),
    ("SETUP-MISSING", "only calculated pictures", lambda: (stereotactic(*drr()), [STEREO_DONE])),
    ("SERIES-DIFFERS", "frame", lambda: (series_of(frame_uid=uid("elsewhere")), [DONE])),
    ("SERIES-DIFFERS", "modality", lambda: (series_of(modality="MR"), [DONE])),
    ("PRESCRIPTION-DIFFERS", "other fractions", lambda: (good(label="50Gy/20f"), [DONE])),
    ("FRACTIONS-CLOSE", "on the next day, at large fractions", lambda: (_next_day_early(), [])),
    ("DATES-DISORDERED", "approved before planned", lambda: (good(review_date="20000101"), [DONE])),
]


def _thick_stereotactic() -> list[InstanceHeader]:
    slices = {uid(f"ct {at}"): image(f"ct {at}", z_mm=4.0 * at) for at in range(3)}
    return [slices.get(one.sop_instance_uid, one) for one in stereotactic(*setup(STEREO_DAYS))]


def _next_day_early() -> list[InstanceHeader]:
    made = [one for one in stereotactic() if one.kind is not InstanceKind.RECORD]
    evening, morning = (
        record("r1", recorded(1), day=MONDAY, time="2000"),
        record("r2", recorded(2), day=MONDAY + timedelta(days=1), time="0700"),
    )
    return [*made, evening, morning]
