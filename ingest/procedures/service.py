"""Modality Performed Procedure Step as provider (PS3.4 F.7): N-CREATE and N-SET, durable before they are answered."""

from collections.abc import Callable, Iterable
from datetime import datetime
from enum import IntEnum
from typing import Any, Final
from uuid import uuid4

import structlog
from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt

from archive.journal.journal import Event
from ingest.procedures.steps import FINAL, Step, Steps, StepStatus
from ingest.service import Context, Handler
from ingest.status import error_comment
from storage.errors import StorageError

PERFORMED_STEP: Final = "1.2.840.10008.3.1.2.3.3"

# What a step must say to be found, and to be told from others (PS3.4 table F.7.2-1, type 1).
_NEEDED: Final = ("PerformedProcedureStepID", "PerformedProcedureStepStartDate", "Modality")
_STATUSES: Final[dict[str, StepStatus]] = {
    "IN PROGRESS": "IN PROGRESS",
    "COMPLETED": "COMPLETED",
    "DISCONTINUED": "DISCONTINUED",
}
_MAY_NO_LONGER_BE_UPDATED: Final = 0xA710
_LONGEST_BYTES: Final = 4 * 1024 * 1024
_ATTEMPTS: Final = 5
_LOG = structlog.get_logger(__name__)


class StepAnswer(IntEnum):
    """DIMSE status codes of N-CREATE and N-SET (PS3.7 10.1.5 and 10.1.3)."""

    SUCCESS = 0x0000
    INVALID_ATTRIBUTE_VALUE = 0x0106
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_SOP_INSTANCE = 0x0111
    NO_SUCH_SOP_INSTANCE = 0x0112
    NO_SUCH_SOP_CLASS = 0x0118
    MISSING_ATTRIBUTE = 0x0120
    RESOURCE_LIMITATION = 0x0213


class _Refused(Exception):
    def __init__(self, status: StepAnswer, message: str, *, error_id: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error_id = error_id


class PerformedStepService:
    """Answers N-CREATE and N-SET of performed procedure steps.

    Parameters
    ----------
    record
        Takes events for the journal.
    """

    def __init__(self, steps: Steps, *, record: Callable[[Event], None], clock: Callable[[], datetime]) -> None:
        self._steps = steps
        self._record = record
        self._clock = clock

    def contexts(self) -> Iterable[Context]:
        """Return the one context of this service."""
        return (Context(abstract_syntax=PERFORMED_STEP),)

    def handlers(self) -> Iterable[Handler]:
        """Return what answers N-CREATE and N-SET."""
        return ((evt.EVT_N_CREATE, self.on_n_create), (evt.EVT_N_SET, self.on_n_set))

    def on_n_create(self, event: evt.Event) -> tuple[Dataset, Dataset | None]:
        """Take a new step."""
        return _answered(lambda: self._create(event))

    def on_n_set(self, event: evt.Event) -> tuple[Dataset, Dataset | None]:
        """Take a change of a step."""
        return _answered(lambda: self._change(event))

    def _create(self, event: evt.Event) -> Dataset:
        request: Any = event.request
        if str(request.AffectedSOPClassUID) != PERFORMED_STEP:
            raise _Refused(StepAnswer.NO_SUCH_SOP_CLASS, "No steps of this class are kept")
        attributes = _attributes(request.AttributeList, event)
        if _status(attributes) != "IN PROGRESS":
            raise _Refused(StepAnswer.INVALID_ATTRIBUTE_VALUE, "A step begins IN PROGRESS (PS3.4 F.7.2.1.1)")
        for keyword in _NEEDED:
            if not attributes.get(keyword):
                raise _Refused(StepAnswer.MISSING_ATTRIBUTE, f"The step says no {keyword}")
        uid = _checked_uid(request.AffectedSOPInstanceUID or f"2.25.{uuid4().int}")
        now, modality = self._clock(), event.assoc.requestor.ae_title.strip()
        step = Step(
            sop_instance_uid=uid,
            modality=modality,
            status="IN PROGRESS",
            created_at=now,
            changed_at=now,
            patient_id=str(attributes.get("PatientID") or ""),
            issuer=str(attributes.get("IssuerOfPatientID") or ""),
            study_uids=_studies(attributes),
            attributes=_as_json(attributes),
        )
        if not self._steps.save(step, expected=None):
            raise _Refused(StepAnswer.DUPLICATE_SOP_INSTANCE, "There is a step of this UID")
        self._journal(step)
        created = Dataset()
        created.AffectedSOPInstanceUID = uid  # told where the request named none (PS3.7 10.1.5.1.4)
        return created if request.AffectedSOPInstanceUID is None else Dataset()

    def _change(self, event: evt.Event) -> Dataset:
        request: Any = event.request
        if str(request.RequestedSOPClassUID) != PERFORMED_STEP:
            raise _Refused(StepAnswer.NO_SUCH_SOP_CLASS, "No steps of this class are kept")
        uid = _checked_uid(request.RequestedSOPInstanceUID)
        changes = _attributes(request.ModificationList, event)
        for _ in range(_ATTEMPTS):
            found = self._steps.find(uid)
            if found is None:
                raise _Refused(StepAnswer.NO_SUCH_SOP_INSTANCE, "There is no step of this UID")
            step, version = found
            if step.is_final:
                raise _Refused(
                    StepAnswer.PROCESSING_FAILURE,
                    "Performed Procedure Step Object may no longer be updated",
                    error_id=_MAY_NO_LONGER_BE_UPDATED,
                )
            status = _status(changes) if "PerformedProcedureStepStatus" in changes else step.status
            changed = step.changed(_as_json(changes), status=status, at=self._clock())
            if self._steps.save(changed, expected=version):
                if changed.status in FINAL:
                    self._journal(changed)
                return Dataset()
        raise _Refused(StepAnswer.PROCESSING_FAILURE, "The step is changed all the time")

    def _journal(self, step: Step) -> None:
        subject: dict[str, object] = {"step": step.sop_instance_uid, "status": step.status}
        self._record(Event(act="procedure-step", account=step.modality, subject=subject))


def _answered(work: Callable[[], Dataset]) -> tuple[Dataset, Dataset | None]:
    answer = Dataset()
    try:
        given = work()
    except _Refused as error:
        _LOG.warning("procedure_step.refused", status=f"{error.status:04X}")
        answer.Status = int(error.status)
        answer.ErrorComment = str(error)[:64]
        if error.error_id is not None:
            answer.ErrorID = error.error_id
        return answer, None
    except StorageError as error:
        _LOG.error("procedure_step.not_kept", code=error.code, error=str(error))
        answer.Status = int(StepAnswer.PROCESSING_FAILURE)
        answer.ErrorComment = error_comment(error.code, str(error))
        return answer, None
    answer.Status = int(StepAnswer.SUCCESS)
    return answer, given


def _attributes(stream: Any, event: evt.Event) -> Dataset:
    """Return what a request says; a list that can't be read is refused."""
    from pynetdicom.dsutils import decode

    if stream is None:
        return Dataset()
    if len(stream.getvalue()) > _LONGEST_BYTES:
        raise _Refused(StepAnswer.RESOURCE_LIMITATION, f"It is longer than {_LONGEST_BYTES} bytes")
    syntax = UID(event.context.transfer_syntax)
    stream.seek(0)
    try:
        read = decode(stream, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
        read.to_json_dict()  # every value is read now, or refused now
    except Exception as error:  # pydicom raises whatever it stumbles over
        raise _Refused(StepAnswer.INVALID_ATTRIBUTE_VALUE, f"It can't be read: {type(error).__name__}") from error
    return read


def _status(attributes: Dataset) -> StepStatus:
    told = str(attributes.get("PerformedProcedureStepStatus") or "")
    if told not in _STATUSES:
        raise _Refused(StepAnswer.INVALID_ATTRIBUTE_VALUE, f"A step is never {told[:20]!r}")
    return _STATUSES[told]


def _as_json(attributes: Dataset) -> dict[str, Any]:
    return dict(attributes.to_json_dict())


def _studies(attributes: Dataset) -> tuple[str, ...]:
    items = attributes.get("ScheduledStepAttributesSequence") or ()
    return tuple(dict.fromkeys(str(item.StudyInstanceUID) for item in items if item.get("StudyInstanceUID")))


def _checked_uid(uid: object) -> str:
    text = str(uid or "")
    if not UID(text).is_valid:
        raise _Refused(StepAnswer.INVALID_ATTRIBUTE_VALUE, "The step has no sound UID")
    return text
