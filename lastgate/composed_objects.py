"""What a planning system loads of a composite: dose grids, what is unknown, registrations, mapped structures.

Every object lies in study and frame of the image, bears UIDs made from its content, and names the plans whose dose is
in it: the same facts always give the same bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset
from pydicom.uid import RTPlanStorage

from archive.assembly.delivery import parse_date
from archive.facts.dose_decisions import Register
from archive.model import Held, PatientRecord
from archive.uids import own_uid
from courses.composite import Composite
from courses.questions import Questions
from dose.grids.accumulate import Sum
from dose.objects.write import INCOMPLETE, ObjectHeader, PlanReference, rtdose_dataset, unknown_structure_set
from lastgate import derived
from lastgate.own_objects import encoded, named
from lastgate.wiring import House

Json = dict[str, Any]

_MODEL: Final = "Lastgate"
_DOSE: Final = "composite-dose.dcm"
_UNKNOWN: Final = "dose-unknown.dcm"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Making:
    """What objects of one composite are made with.

    Parameters
    ----------
    answer
        Told of the composite so far; makers add to its ``files`` alone.
    questions
        What was asked.
    """

    house: House
    composite: Composite
    answer: Json
    folder: Path
    questions: Questions

    @property
    def made_on(self) -> datetime:
        """The day the sum stands for: files of the same facts are the same bytes whenever they are made."""
        return made_on(self.answer, self.composite)

    @property
    def state(self) -> str:
        """``draft`` or ``approved``, as objects say it of themselves."""
        return "approved" if self.answer["status"]["state"] == "approved" else "draft"

    @property
    def basis(self) -> str:
        """``as delivered`` or ``as planned``."""
        return "as planned" if any(share.as_planned for share in self.composite.shares) else "as delivered"

    def header(self, description: str) -> ObjectHeader:
        """Return what an object says of itself; its UIDs are given once its content is known."""
        return _header(self.composite, self.made_on, description)

    @property
    def plans(self) -> list[PlanReference]:
        """The plans whose dose is in the sum."""
        return [
            PlanReference(
                sop_instance_uid=share.plan.uid,
                sop_class_uid=share.plan.held.header.sop_class_uid if share.plan.held else RTPlanStorage,
            )
            for share in self.composite.shares
            if share.source
        ]

    def save(self, dataset: Dataset, name: str) -> str:
        """Name an object by its content, write it, keep it in the archive as ours, and return its SHA-256."""
        return self.save_bytes(encoded(named(dataset)), name)

    def save_bytes(self, body: bytes, name: str) -> str:
        """Write a file as it is, keep it in the archive as ours, and return its SHA-256."""
        (self.folder / name).write_bytes(body)
        return derived.keep(self.house, body)

    def path(self, name: str) -> str:
        """Return how the answer names a file."""
        return str(self.folder / name)


def write_objects(making: Making) -> None:
    """Write physical dose, what is unknown and the registrations used, and name them in the answer."""
    files = making.answer["files"]
    making.answer["digests"] = {
        "rtdose_physical": making.save(_dose_dataset(making), _DOSE),
        "unknown": making.save(_unknown_dataset(making), _UNKNOWN),
    }
    files |= {"rtdose_physical": making.path(_DOSE), "unknown": making.path(_UNKNOWN)}
    files["registrations"] = list(_registrations(making))


def made_on(answer: Json, composite: Composite) -> datetime:
    """Return the day a sum stands for; without any session that of the newest plan, as then the sum is of plans."""
    plans = [day for share in composite.shares if (day := parse_date(share.plan.header.date))]
    day = date.fromisoformat(answer["as_of"]) if answer["as_of"] else max(plans, default=date(1970, 1, 1))
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def dose_object(making: Making, total: Sum, *, description: str, dose_type: str, comment: str) -> Dataset:
    """Return a sum as RTDOSE of this composite; Dose Comment holds 64 characters."""
    return rtdose_dataset(
        total, header=making.header(description), plans=making.plans, dose_type=dose_type, comment=comment
    )


def _dose_dataset(making: Making) -> Dataset:
    composite, state, basis = making.composite, making.state, making.basis
    kind = "physical" if composite.dose_type == "PHYSICAL" else "RBE-weighted"
    comment = f"{state.capitalize()} {basis}; unknown voxels hold the upper estimate"
    if composite.has_gap:
        # composite.json names the plans whose dose is missing.
        comment = f"{state.capitalize()} {basis}; INCOMPLETE, a dose given is not in it"
    description = f"Composite {kind} dose {basis}, {state}"
    return dose_object(making, composite.total, description=description, dose_type=composite.dose_type, comment=comment)


def _unknown_dataset(making: Making) -> Dataset:
    return unknown_structure_set(making.composite.total, header=making.header("Where the composite dose is unknown"))


def _registrations(making: Making) -> Iterator[Json]:
    """Write the registrations the sum used: received ones as they are stored, ours as they were computed."""
    used = {uid: None for share in making.composite.shares if share.mapping for uid in _sources(share.mapping.source)}
    for place, uid in enumerate(used, start=1):
        body = _stored(making.house, making.composite.record, uid)
        if body is None:
            continue
        name = f"registration-{place}.dcm"
        making.save_bytes(body, name)
        yield {"uid": uid, "path": making.path(name)}


def _sources(source: str) -> list[str]:
    """Return the UIDs a map came from; an identity has none."""
    return [word for word in source.replace(",", " ").split() if word.replace(".", "").isdigit()]


def _stored(house: House, record: PatientRecord, uid: str) -> bytes | None:
    held = next((one for one in _everything(record) if one.uid == uid), None)
    if held is not None:
        return house.reader.bytes(held)
    ours = [one.what for one in record.about_dose if isinstance(one.what, Register) and one.what.uid == uid]
    return derived.read(house, ours[-1].sha256) if ours else None


def _everything(record: PatientRecord) -> Iterator[Held]:
    for dossier in record.dossiers:
        yield from (*dossier.instances, *dossier.late)
    yield from record.unattached


def _header(composite: Composite, made: datetime, description: str) -> ObjectHeader:
    person = composite.record.person
    identifier = person.identifiers[0] if person.identifiers else None
    study = next((held.header for held in (*composite.image, *composite.onto.instances)), None)
    is_silent = composite.total.is_complete and not composite.is_complete
    return ObjectHeader(
        sop_instance_uid=own_uid("not named yet"),
        series_instance_uid=own_uid("not named yet"),
        study_instance_uid=study.study_uid if study else own_uid("study", composite.record.key),
        frame_of_reference_uid=composite.frame_uid,
        patient_id=identifier.value if identifier else "",
        issuer_of_patient_id=identifier.issuer if identifier else "",
        patient_name=person.name,
        patient_birth_date=person.birth_date,
        patient_sex=person.sex,
        study_date=study.study_date if study else "",
        created=made,
        manufacturer=_MODEL,
        model=_MODEL,
        software_version=version("lastgate"),
        # The word is set where a voxel is unknown; a plan whose dose is missing makes every voxel so.
        series_description=f"{INCOMPLETE} {description}" if is_silent else description,
    )
