"""Papers and setup images of the sample patients: what no plan tells, and what a good department keeps beside it.

The papers are PDF files of one page each, encapsulated in DICOM (PS3.3 2026c A.45.1), made by hand so that they are the
same byte for byte on every run. What they say is invented as everything else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, RTImageStorage

from lastgate.sample.dicomfile import Series, Study, new_object, reference, save
from lastgate.sample.planparts import plan_uid
from lastgate.sample.treatment import Arc, CourseSpec, PlanSpec

_PIXELS = 64
_SID_MM = 1500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """One kind of paper: its name in both scripts, and what stands on it."""

    key: str
    chinese: str
    latin: str
    text: str


_KINDS = (
    _Kind(key="consent", chinese="放射治疗知情同意书", latin="Consent to radiotherapy", text="I agree. Signed: sample"),
    _Kind(key="prescription", chinese="放射治疗处方", latin="Prescription", text="Signed by the sample physician"),
    _Kind(key="report", chinese="计划报告", latin="Plan report", text="Printed by the sample planning system"),
    _Kind(key="check", chinese="剂量独立核对", latin="Independent dose check", text="Monitor units agree within 1 %"),
    _Kind(key="verification", chinese="患者剂量验证", latin="Patient QA", text="Gamma passing rate 99.1 % (3 %/2 mm)"),
)


def write_papers(folder: Path, study: Study, course: CourseSpec) -> tuple[Path, ...]:
    """Write the papers of a course, those left out that it lacks on purpose; returns their paths."""
    kinds = [kind for kind in _KINDS if kind.key not in course.lacking]
    paths = []
    for number, kind in enumerate(kinds, start=1):
        paths.append(folder / "papers" / f"DOC.{kind.key}.dcm")
        save(_paper(study, course, kind, number), paths[-1], study.person)
    return tuple(paths)


def _paper(study: Study, course: CourseSpec, kind: _Kind, number: int) -> Dataset:
    first = course.plans[0]
    series = Series(
        key="papers", number=7, modality="DOC", description="Papers", date=first.date, time="120000",
        model="Sample Scanner",
    )  # fmt: skip
    ds = new_object(study, series, EncapsulatedPDFStorage, key=kind.key)
    ds.ConversionType, ds.InstanceNumber, ds.BurnedInAnnotation = "SD", number, "YES"
    ds.ContentDate, ds.ContentTime = first.date, "120000"
    ds.AcquisitionDateTime = f"{first.date}120000"
    ds.DocumentTitle, ds.ConceptNameCodeSequence = study.person.in_own_script(kind.chinese, kind.latin), []
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    ds.SourceInstanceSequence = [reference(plan.sop_class, plan_uid(study, plan.key)) for plan in course.plans]
    lines = (kind.latin, course.title, f"Patient {study.person.patient_id}", kind.text, "FICTIONAL SAMPLE")
    body = _pdf(lines)
    ds.EncapsulatedDocument, ds.EncapsulatedDocumentLength = body + b"\0" * (len(body) % 2), len(body)
    return ds


def _pdf(lines: Iterable[str]) -> bytes:
    """Return a PDF of one page with these lines, which must be ASCII (ISO 32000-1, 7.5)."""
    shown = "".join(f"({line}) Tj T*\n".replace("%", "percent") for line in lines)
    content = f"BT /F1 14 Tf 72 760 Td 22 TL\n{shown}ET"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R\n"
        "/Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    text, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(text))
        text += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    count = len(objects) + 1
    end = f"xref\n0 {count}\n0000000000 65535 f \n{table}trailer\n<< /Size {count} /Root 1 0 R >>\n"
    return f"{text}{end}startxref\n{len(text)}\n%%EOF\n".encode("ascii")


def write_setup_images(folder: Path, study: Study, plan: PlanSpec) -> tuple[Path, ...]:
    """Write a portal image of each session of a plan; returns their paths in order of time."""
    paths = []
    for number, delivery in enumerate(plan.deliveries, start=1):
        series = Series(
            key=f"setup-{plan.key}", number=8, modality="RTIMAGE", description="Setup images",
            date=plan.deliveries[0].date, time=plan.deliveries[0].time, model=plan.machine.model,
        )  # fmt: skip
        ds = new_object(study, series, RTImageStorage, key=f"{delivery.date}{delivery.time}")
        ds.InstanceNumber, ds.AcquisitionDate, ds.AcquisitionTime = number, delivery.date, delivery.time
        ds.ContentDate, ds.ContentTime = delivery.date, delivery.time
        _describe(ds, study, plan)
        ds.FractionNumber = delivery.fraction
        _draw(ds)
        paths.append(folder / "setup" / f"RI.{plan.key}.{delivery.date}-{delivery.time}.dcm")
        save(ds, paths[-1], study.person)
    return tuple(paths)


def _describe(ds: Dataset, study: Study, plan: PlanSpec) -> None:
    """How the image was taken (PS3.3 2026c C.8.8.2)."""
    beam = plan.beams[0]
    ds.ImageType, ds.ConversionType = ["ORIGINAL", "PRIMARY", "PORTAL"], "DI"
    ds.PatientOrientation, ds.PositionReferenceIndicator = "", ""
    ds.FrameOfReferenceUID = study.frame_uid
    ds.RTImageLabel, ds.RTImagePlane, ds.ReportedValuesOrigin = "Setup", "NORMAL", "ACTUAL"
    ds.XRayImageReceptorAngle = "0"
    ds.ImagePlanePixelSpacing, ds.RTImagePosition = ["6.0", "6.0"], ["-189.0", "189.0"]
    ds.RadiationMachineName, ds.RadiationMachineSAD = plan.machine.name, "1000"
    ds.RTImageSID, ds.PrimaryDosimeterUnit = f"{_SID_MM:g}", "MU"
    ds.GantryAngle = f"{beam.start_deg if isinstance(beam, Arc) else beam.gantry_deg:g}"
    ds.ReferencedRTPlanSequence = [reference(plan.sop_class, plan_uid(study, plan.key))]


def _draw(ds: Dataset) -> None:
    """A bright oval on dark ground: enough to see that there is a picture."""
    across = np.linspace(-1.0, 1.0, _PIXELS)
    depth = np.clip(1.0 - across[None, :] ** 2 / 0.7 - across[:, None] ** 2 / 0.9, 0.0, 1.0)
    ds.Rows = ds.Columns = _PIXELS
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    grey = np.rint(20 + 220 * np.sqrt(depth)).astype(np.uint8)
    ds.add_new(0x7FE00010, "OW", grey.tobytes())
