"""The sample department as the archive folds it, without a store: receipts are made from the files as they lie."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pydicom

from archive.assembly.fold import fold
from archive.facts.decisions import Close, Decision
from archive.facts.receipts import PatientKey, Receipt, Source
from archive.facts.store import PatientFacts
from archive.model import Dossier
from archive.reading.describe import describe
from lastgate.sample import Department, SampleCourse, SamplePatient
from tests.factories import gate

_WHEN = datetime(2026, 11, 1, tzinfo=UTC)


def folded_courses(department: Department) -> dict[str, tuple[SampleCourse, Dossier]]:
    """Return each course by its key with its dossier; courses that lack nothing are closed as completed."""
    return {course.key: (course, dossier) for one in department.patients for course, dossier in _folded(one)}


def _folded(patient: SamplePatient) -> Iterator[tuple[SampleCourse, Dossier]]:
    receipts = tuple(_receipt(path) for path in patient.paths)
    closed = [course for course in patient.courses if not course.missing]
    decisions = tuple(_close(number, course) for number, course in enumerate(closed, start=1))
    facts = PatientFacts(key=PatientKey("0" * 64), receipts=receipts, decisions=decisions)
    for dossier in fold(facts, gate=gate()).dossiers:
        uids = {plan.uid for plan in dossier.plans}
        yield next(one for one in patient.courses if {plan.uid for plan in one.plans} == uids), dossier


def _receipt(path: Path) -> Receipt:
    raw = path.read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    return Receipt(
        received_at=_WHEN,
        node="test",
        source=Source(kind="folder"),
        disposition="stored",
        key=f"intake/dicom/{digest[:2]}/{digest}",
        file_sha256=digest,
        file_sha512=hashlib.sha512(raw).hexdigest(),
        dataset_sha256=digest,
        size_bytes=len(raw),
        header=describe(pydicom.dcmread(path, stop_before_pixels=True)),
    )


def _close(number: int, course: SampleCourse) -> Decision:
    uids = tuple(plan.uid for plan in course.plans)
    what = Close(plan_uids=uids, outcome="completed", last_date=course.last_fraction)
    return Decision(number=number, made_at=_WHEN, account="doctor", role="doctor", what=what)
