"""Builders of headers, receipts and facts: fictional people, plausible courses, one line per thing.

Every builder takes a short name and makes UIDs of it, so that a test reads
``plan("a")`` and refers to it as ``uid("a")``. What a test does not name has a
value that passes the gate.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from archive.assembly.courses import CourseRules
from archive.assembly.fold import fold
from archive.facts.decisions import Act, Decision
from archive.facts.receipts import PatientKey, Receipt, Source, patient_key
from archive.facts.store import PatientFacts
from archive.gate.binding import rulebook_from
from archive.gate.gate import Gate
from archive.gate.rulebook import StoredRules
from archive.headers import (
    BeamHeader,
    DoseHeader,
    DoseReference,
    FractionGroup,
    GroupBeam,
    Identifier,
    ImageHeader,
    InstanceHeader,
    InstanceKind,
    PatientHeader,
    PlanHeader,
    RecordedBeam,
    RecordHeader,
    RegistrationHeader,
    Roi,
    StructureSetHeader,
)
from archive.model import Dossier, PatientRecord

MONDAY = date(2024, 3, 4)
PATIENT = PatientHeader(
    identifier=Identifier(value="H-1001", issuer="HOSPITAL"), name="Sample^Ada", birth_date="19500101", sex="F"
)
NO_PAPERS = """
[packs.base]
off = ["CONSENT-MISSING", "PRESCRIPTION-MISSING", "REPORT-MISSING", "CHECK-MISSING", "SUMMARY-MISSING"]
[packs.imrt]
off = ["VERIFICATION-MISSING"]
[packs.particles]
off = ["VERIFICATION-MISSING"]
[packs.stereotactic]
off = ["SETUP-MISSING"]
"""
"""Rules of a department that keeps papers and setup images elsewhere: for tests that are about something else."""

UNRELEASED = '[packs.base]\noff = ["SUMMARY-MISSING"]\n'
"""Rules of a department that seals before a summary is released: for houses that are about something else."""

_SCANNED, _DRAWN = "19990104", "19990105"
_ARRIVED = datetime(2024, 6, 1, 8, tzinfo=UTC)


def uid(name: str) -> str:
    """Return a valid UID, always the same for the same name."""
    return f"2.25.{int(hashlib.sha256(name.encode()).hexdigest()[:30], 16)}"


def da(day: date) -> str:
    """Return a date as DA."""
    return day.strftime("%Y%m%d")


def weekdays(start: date, count: int) -> list[date]:
    """Return `count` days from `start` on, Saturdays and Sundays left out."""
    days: list[date] = []
    while len(days) < count:
        if start.weekday() < 5:
            days.append(start)
        start += timedelta(days=1)
    return days


def beam(number: int = 1, **values: object) -> BeamHeader:
    """Return a treating photon beam with still leaves."""
    usual = BeamHeader(
        number=number,
        name=f"B{number}",
        delivery_type="TREATMENT",
        radiation="PHOTON",
        beam_type="STATIC",
        energies=(6.0,),
        machine="LINAC1",
        meterset_unit="MU",
        control_points=2,
        has_leaves=True,
    )
    return replace(usual, **values)  # type: ignore[arg-type]


def target(number: int = 1, gy: float | None = 50.0, **values: object) -> DoseReference:
    """Return a target with a prescribed dose."""
    usual = DoseReference(
        number=number, structure_type="SITE", type="TARGET", description="PTV_L", target_prescription_gy=gy
    )
    return replace(usual, **values)  # type: ignore[arg-type]


def group(
    number: int = 1, fractions: int | None = 25, metersets: Sequence[float | None] = (100.0,), **values: object
) -> FractionGroup:
    """Return a fraction group whose beams, from 1 on, have these metersets."""
    beams = tuple(GroupBeam(beam_number=at, meterset=mu, dose_gy=2.0) for at, mu in enumerate(metersets, 1))
    return replace(FractionGroup(number=number, fractions_planned=fractions, beams=beams), **values)  # type: ignore[arg-type]


def plan_header(**values: object) -> PlanHeader:
    """Return an approved plan of 25 x 2 Gy with one beam of 100 MU."""
    usual = PlanHeader(
        label="Breast",
        date=da(MONDAY - timedelta(days=7)),
        intent="CURATIVE",
        approval="APPROVED",
        geometry="PATIENT",
        dose_references=(target(),),
        fraction_groups=(group(),),
        beams=(beam(),),
    )
    return replace(usual, **values)  # type: ignore[arg-type]


def _instance(name: str, kind: InstanceKind, modality: str, **values: object) -> InstanceHeader:
    usual = InstanceHeader(
        kind=kind,
        patient=PATIENT,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.481.0",
        sop_instance_uid=uid(name),
        study_uid=uid("study"),
        series_uid=uid(f"series {modality}"),
        modality=modality,
        study_date=da(MONDAY - timedelta(days=7)),
    )
    return replace(usual, **values)  # type: ignore[arg-type]


def plan(name: str = "plan", *, structures: str = "structures", header: PlanHeader | None = None) -> InstanceHeader:
    """Return an RT Plan that refers to the structure set of that name (none if empty)."""
    named = (uid(structures),) if structures else ()
    body = replace(header or plan_header(), structure_set_uids=named)
    return _instance(name, InstanceKind.PLAN, "RTPLAN", frame_uid=uid("frame"), plan=body)


def structures(
    name: str = "structures", *, series: str = "ct", images: Sequence[str] = (), frame: str = "frame"
) -> InstanceHeader:
    """Return a structure set on the image series of that name."""
    body = StructureSetHeader(
        label="Contours",
        date=_DRAWN,
        frame_uids=(uid(frame),),
        series_uids=(uid(series),) if series else (),
        image_uids=tuple(map(uid, images)),
        rois=(
            Roi(number=1, name="PTV_L", interpreted_type="PTV", contours=3),
            Roi(number=2, name="Heart"),
            Roi(number=3, name="External", interpreted_type="EXTERNAL", contours=3),
        ),
    )
    return _instance(name, InstanceKind.STRUCTURES, "RTSTRUCT", frame_uid=uid(frame), structure_set=body)


def image(
    name: str, *, series: str = "ct", frame: str = "frame", z_mm: float = 0.0, **values: object
) -> InstanceHeader:
    """Return one CT slice at `z_mm`."""
    body = ImageHeader(
        position_mm=(-250.0, -250.0, z_mm),
        orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        spacing_mm=(1.0, 1.0),
        rows=512,
        columns=512,
    )
    taken = {"AcquisitionDate": _SCANNED}  # before whatever is planned on it, in courses of any year
    usual = _instance(
        name, InstanceKind.IMAGE, "CT", series_uid=uid(series), frame_uid=uid(frame), image=body, shared=taken
    )
    return replace(usual, **values)  # type: ignore[arg-type]


def series(name: str = "ct", *, slices: int = 3, frame: str = "frame") -> list[InstanceHeader]:
    """Return a CT series of slices 3 mm apart."""
    return [image(f"{name} {at}", series=name, frame=frame, z_mm=3.0 * at) for at in range(slices)]


def dose(
    name: str = "dose",
    *,
    plans: Sequence[str] = ("plan",),
    summation: str = "PLAN",
    frame: str = "frame",
    **values: object,
) -> InstanceHeader:
    """Return a dose grid of these plans; `values` are those of `DoseHeader`."""
    body = DoseHeader(
        summation_type=summation,
        type="PHYSICAL",
        units="GY",
        plan_uids=tuple(map(uid, plans)),
        rows=10,
        columns=10,
        frames=10,
        has_pixels=True,
    )
    body = replace(body, **values)  # type: ignore[arg-type]
    return _instance(name, InstanceKind.DOSE, "RTDOSE", frame_uid=uid(frame), dose=body)


def recorded(
    number: int | None = 1, *, beam_number: int = 1, mu: float | None = 100.0, **values: object
) -> RecordedBeam:
    """Return one beam as delivered in fraction `number`."""
    usual = RecordedBeam(
        beam_number=beam_number,
        name=f"B{beam_number}",
        fraction_number=number,
        delivery_type="TREATMENT",
        termination="NORMAL",
        specified_meterset=mu,
        delivered_meterset=mu,
    )
    return replace(usual, **values)  # type: ignore[arg-type]


def record(
    name: str,
    *beams: RecordedBeam,
    plan: str = "plan",
    day: date = MONDAY,
    time: str = "0900",
    group_number: int | None = 1,
    machine: str = "LINAC1",
    **values: object,
) -> InstanceHeader:
    """Return a treatment record; `values` are those of `RecordHeader`."""
    body = RecordHeader(
        type="RTRECORD",
        date=da(day),
        time=time,
        plan_uids=(uid(plan),),
        fraction_group_number=group_number,
        machine=machine,
        beams=beams,
    )
    body = replace(body, **values)  # type: ignore[arg-type]
    return _instance(name, InstanceKind.RECORD, "RTRECORD", study_date=da(day), record=body)


def records(
    count: int = 25, *, plan: str = "plan", start: date = MONDAY, first: int = 1, mu: float = 100.0, beams: int = 1
) -> list[InstanceHeader]:
    """Return the records of `count` daily fractions, numbered from `first` on."""
    return [
        record(
            f"{plan} fraction {number}",
            *(recorded(number, beam_number=at, mu=mu) for at in range(1, beams + 1)),
            plan=plan,
            day=day,
        )
        for number, day in enumerate(weekdays(start, count), first)
    ]


def registration(name: str, *frames: str, series: Sequence[str] = ()) -> InstanceHeader:
    """Return a spatial registration of these frames of reference; the first is the fixed one."""
    body = RegistrationHeader(frame_uids=tuple(map(uid, frames)), series_uids=tuple(map(uid, series)))
    frame = uid(frames[0])
    return _instance(name, InstanceKind.REGISTRATION, "REG", frame_uid=frame, registration=body)


def other(name: str, *references: str, modality: str = "SR", frame: str = "") -> InstanceHeader:
    """Return an instance of another kind that refers to these."""
    frame_uid = uid(frame) if frame else ""
    return _instance(name, InstanceKind.OTHER, modality, references=tuple(map(uid, references)), frame_uid=frame_uid)


def document(title: str, *, day: date | None = None) -> InstanceHeader:
    """Return a file that is not DICOM."""
    return InstanceHeader(
        kind=InstanceKind.DOCUMENT, patient=PATIENT, document_title=title, study_date=da(day) if day else ""
    )


def course(
    name: str = "plan",
    *,
    start: date = MONDAY,
    fractions: int = 25,
    delivered: int | None = None,
    ct: str = "ct",
    frame: str = "frame",
    **header: object,
) -> list[InstanceHeader]:
    """Return a whole course that passes the gate once it is closed: images, structures, plan, dose, records."""
    values = {"date": da(start - timedelta(days=7)), "fraction_groups": (group(fractions=fractions),), **header}
    contours = f"structures {ct}"
    made = plan(name, structures=contours, header=plan_header(**values))
    return [
        *series(ct, frame=frame),
        structures(contours, series=ct, images=[f"{ct} {at}" for at in range(3)], frame=frame),
        replace(made, frame_uid=uid(frame)),
        dose(f"{name} dose", plans=(name,), frame=frame),
        *records(fractions if delivered is None else delivered, plan=name, start=start),
    ]


def receipt(
    header: InstanceHeader,
    *,
    minutes: int = 0,
    content: str = "",
    encoding: str = "",
    disposition: Literal["stored", "conflict"] = "stored",
    node: str = "n1",
    body: bytes | None = None,
) -> Receipt:
    """Return the receipt of an instance.

    Parameters
    ----------
    content, encoding
        Anything else than the empty string makes another content, or the same content in another encoding.
    body
        The file's real bytes, where a test stores them.
    """
    name = header.sop_instance_uid or header.document_title
    data = f"{name}|{content}|{encoding}".encode() if body is None else body
    sha256 = hashlib.sha256(data).hexdigest()
    shelf = "documents" if header.kind is InstanceKind.DOCUMENT and not header.sop_instance_uid else "dicom"
    return Receipt(
        received_at=_ARRIVED + timedelta(minutes=minutes),
        node=node,
        source=Source(kind="dicom", name="SENDER"),
        disposition=disposition,
        key=f"intake/{shelf}/{sha256[:2]}/{sha256}",
        file_sha256=sha256,
        file_sha512=hashlib.sha512(data).hexdigest(),
        dataset_sha256=hashlib.sha256(b"data set" + data).hexdigest(),
        content_sha256=hashlib.sha256(f"{name}|{content}".encode()).hexdigest(),
        size_bytes=len(data),
        header=header,
    )


def decision(
    number: int, act: Act, *, account: str = "ada", role: str = "physicist", made_at: datetime = _ARRIVED
) -> Decision:
    """Return an unsigned decision."""
    return Decision(number=number, made_at=made_at, account=account, role=role, what=act)


def key_of(patient: PatientHeader = PATIENT) -> PatientKey:
    """Return under which key the facts of a patient lie."""
    return patient_key(patient.identifier, "")


def facts(
    instances: Iterable[InstanceHeader | Receipt],
    decisions: Iterable[Act | Decision] = (),
    *,
    key: PatientKey | None = None,
) -> PatientFacts:
    """Return the facts of one patient; bare acts are numbered in order."""
    receipts = tuple(one if isinstance(one, Receipt) else receipt(one) for one in instances)
    numbered = (one if isinstance(one, Decision) else decision(number, one) for number, one in enumerate(decisions, 1))
    return PatientFacts(key=key or key_of(), receipts=receipts, decisions=tuple(numbered))


def rules_file(folder: Path, text: str = UNRELEASED) -> Path:
    """Write the rules of a department, for the setting ``gate.rules``."""
    path = folder / "gate.toml"
    path.write_text(text, "utf-8")
    return path


@cache
def gate(text: str = NO_PAPERS) -> Gate:
    """Return the gate of a department with these rules of its own; `Gate` itself is that of one without any."""
    return Gate(StoredRules(rulebook=rulebook_from(text)))


def folded(
    instances: Iterable[InstanceHeader | Receipt],
    decisions: Iterable[Act | Decision] = (),
    *,
    rules: CourseRules | None = None,
    judge: Gate | None = None,
) -> PatientRecord:
    """Fold instances and decisions of one patient; without another gate papers are not asked for."""
    return fold(facts(instances, decisions), gate=judge or gate(), rules=rules)


def only_dossier(instances: Iterable[InstanceHeader | Receipt], decisions: Iterable[Act | Decision] = ()) -> Dossier:
    """Fold what must make exactly one dossier."""
    (dossier,) = folded(instances, decisions).dossiers
    return dossier


def codes(dossier: Dossier) -> set[str]:
    """Return the codes of a dossier's findings."""
    return {finding.code for finding in dossier.findings}
