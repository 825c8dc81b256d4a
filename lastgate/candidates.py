"""A new plan to look at on top of what was given: from a file, or from the archive."""

import hashlib
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from archive.errors import Ambiguous, NotFound
from archive.model import PatientRecord, Plan
from courses.errors import BadReference
from courses.questions import Candidate
from dose.objects.dicom import read_dose
from lastgate.wiring import House


def candidate_of(house: House, record: PatientRecord, name: str, *, fractions: int | None) -> Candidate:
    """Return a candidate by the path of its RTDOSE, or by label or UID of a plan of this patient.

    Parameters
    ----------
    fractions
        How many the plan intends; of a plan in the archive its own number goes before.

    Raises
    ------
    NotFound, Ambiguous
        Nothing, or several plans, are named so.
    BadReference
        The file is no dose, or nobody says in how many fractions it is given.
    DoseError
        The grid can't be used.
    """
    path = Path(name)
    return _from_file(path, fractions) if path.is_file() else _from_archive(house, _plan(record, name), fractions)


def _from_file(path: Path, fractions: int | None) -> Candidate:
    body = path.read_bytes()
    try:
        dataset = dcmread(path)
    except InvalidDicomError as error:
        raise BadReference(f"{path} is no DICOM file") from error
    if str(dataset.get("Modality", "")) != "RTDOSE":
        raise BadReference(f"{path} holds no dose; name the RTDOSE of the new plan")
    stored = read_dose(dataset)
    return Candidate(
        label=path.stem,
        uid=next(iter(stored.plan_uids), str(dataset.SOPInstanceUID)),
        grid=stored.grid,
        frame_uid=stored.frame_of_reference_uid,
        fractions=_told(fractions, str(path)),
        sha256=hashlib.sha256(body).hexdigest(),
    )


def _from_archive(house: House, plan: Plan, fractions: int | None) -> Candidate:
    doses = [held for held in plan.doses if held.uid in plan.chosen_dose_uids]
    label = plan.header.label or plan.uid
    if len(doses) != 1:
        raise BadReference(f"Plan {label} has {len(doses)} dose grids that count; a candidate needs one for the plan")
    stored = house.reader.dose(doses[0])
    return Candidate(
        label=label,
        uid=plan.uid,
        grid=stored.grid,
        frame_uid=stored.frame_of_reference_uid,
        fractions=_told(plan.fractions_planned or fractions, label),
        sha256=doses[0].receipt.file_sha256,
    )


def _told(fractions: int | None, name: str) -> int:
    if not fractions:
        raise BadReference(f"Nothing says in how many fractions {name} is given; say it with --fractions")
    return fractions


def _plan(record: PatientRecord, name: str) -> Plan:
    fitting = [plan for one in record.dossiers for plan in one.plans if name in (plan.uid, plan.header.label)]
    if not fitting:
        raise NotFound(f"There is no file and no plan of this patient {name!r}", hint="Name the RTDOSE, or a plan.")
    if len(fitting) > 1:
        raise Ambiguous(f"This patient has {len(fitting)} plans {name!r}", hint="Name it by its UID.")
    return fitting[0]
