"""Performed procedure steps over the network: pynetdicom plays the modality."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.association import Association

from ingest.node import Node, NodeSettings
from ingest.procedures.service import PERFORMED_STEP, PerformedStepService
from ingest.procedures.steps import Step, Steps
from tests.ingest.conftest import House

UID = "1.2.3.40"


@pytest.fixture
def modality(house: House) -> Iterator[Association]:
    """An association of a modality with a node that keeps steps."""
    with _node(house) as port, _association(port) as association:
        yield association


@contextmanager
def _node(house: House) -> Iterator[int]:
    service = PerformedStepService(Steps(house.store), record=house.events.append, clock=house.clock)
    node = Node(NodeSettings(port=0), house.spool, [service])
    try:
        yield node.start()
    finally:
        node.stop()


@contextmanager
def _association(port: int) -> Iterator[Association]:
    entity = AE(ae_title="CT_SIM")
    entity.add_requested_context(PERFORMED_STEP)
    association = entity.associate("127.0.0.1", port, ae_title="LASTGATE")
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def begun(**changes: object) -> Dataset:
    """Return what a modality says when it begins."""
    step = Dataset()
    step.SpecificCharacterSet = "ISO_IR 192"
    step.PerformedProcedureStepID = "P1"
    step.PerformedProcedureStepStartDate = "20261123"
    step.PerformedProcedureStepStatus = "IN PROGRESS"
    step.Modality = "CT"
    step.PatientName = "王^小东"
    step.PatientID = "P7"
    item = Dataset()
    item.StudyInstanceUID = "1.2.3"
    step.ScheduledStepAttributesSequence = [item]
    for keyword, value in changes.items():
        setattr(step, keyword, value)
    return step


def change(**values: object) -> Dataset:
    told = Dataset()
    for keyword, value in values.items():
        setattr(told, keyword, value)
    return told


def create(association: Association, step: Dataset, uid: str | None = UID) -> int:
    status, _ = association.send_n_create(step, PERFORMED_STEP, uid)
    return int(status.Status)


def set_(association: Association, step: Dataset, uid: str = UID) -> Dataset:
    status, _ = association.send_n_set(step, PERFORMED_STEP, uid)
    return status


def kept(house: House) -> Step:
    (step,) = Steps(house.store).all()
    return step


def test_step_when_it_goes_its_way_then_it_is_kept_as_told(house: House, modality: Association) -> None:
    assert create(modality, begun()) == 0x0000
    series = Dataset()
    series.SeriesInstanceUID = "1.2.3.1"
    assert set_(modality, change(PerformedSeriesSequence=[series])).Status == 0x0000
    assert kept(house).status == "IN PROGRESS"
    end = change(PerformedProcedureStepStatus="COMPLETED", PerformedProcedureStepEndDate="20261123")
    assert set_(modality, end).Status == 0x0000
    step = kept(house)
    assert (step.status, step.modality, step.changes) == ("COMPLETED", "CT_SIM", 2)
    assert (step.patient_id, step.study_uids) == ("P7", ("1.2.3",))
    told = Dataset.from_json(step.attributes)
    assert (told.PatientName, told.PerformedSeriesSequence[0].SeriesInstanceUID) == ("王^小东", "1.2.3.1")
    assert [event.subject["status"] for event in house.events] == ["IN PROGRESS", "COMPLETED"]


@pytest.mark.parametrize("end", ["COMPLETED", "DISCONTINUED"])
def test_step_when_it_has_ended_then_it_can_not_be_changed(house: House, modality: Association, end: str) -> None:
    create(modality, begun())
    set_(modality, change(PerformedProcedureStepStatus=end))
    answer = set_(modality, change(PerformedProcedureStepStatus="IN PROGRESS"))
    assert (answer.Status, answer.ErrorID) == (0x0110, 0xA710)
    assert kept(house).status == end


def test_step_when_created_twice_then_the_first_stands(house: House, modality: Association) -> None:
    create(modality, begun())
    assert create(modality, begun(PatientID="P8")) == 0x0111
    assert kept(house).patient_id == "P7"


def test_step_when_unknown_then_it_can_not_be_changed(modality: Association) -> None:
    assert set_(modality, change(PerformedProcedureStepStatus="COMPLETED")).Status == 0x0112


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"PerformedProcedureStepStatus": "COMPLETED"}, 0x0106),
        ({"PerformedProcedureStepStatus": "MAYBE"}, 0x0106),
        ({"PerformedProcedureStepID": ""}, 0x0120),
        ({"Modality": ""}, 0x0120),
    ],
)
def test_step_when_it_begins_wrongly_then_it_is_refused_and_nothing_is_kept(
    house: House, modality: Association, changes: dict[str, object], status: int
) -> None:
    assert create(modality, begun(**changes)) == status
    assert list(Steps(house.store).all()) == []


def test_step_when_its_new_status_is_none_then_it_stays_as_it_was(house: House, modality: Association) -> None:
    create(modality, begun())
    assert set_(modality, change(PerformedProcedureStepStatus="MAYBE")).Status == 0x0106
    assert kept(house).changes == 0


def test_step_when_it_has_no_uid_then_the_node_gives_one_and_says_so(house: House, modality: Association) -> None:
    from pynetdicom.dimse_primitives import N_CREATE

    request = N_CREATE()
    request.MessageID = 7
    request.AffectedSOPClassUID = PERFORMED_STEP
    from io import BytesIO

    from pynetdicom.dsutils import encode

    encoded = encode(begun(), True, True, False)
    assert encoded is not None
    request.AttributeList = BytesIO(encoded)
    (context,) = modality.accepted_contexts
    assert context.context_id is not None
    if str(context.transfer_syntax[0]) != "1.2.840.10008.1.2":
        encoded = encode(begun(), False, True, False)
        assert encoded is not None
        request.AttributeList = BytesIO(encoded)
    modality._reactor_checkpoint.clear()
    modality.dimse.send_msg(request, context.context_id)
    _, answer = modality.dimse.get_msg(block=True)
    modality._reactor_checkpoint.set()
    assert isinstance(answer, N_CREATE)
    assert answer.Status == 0x0000
    assert kept(house).sop_instance_uid == answer.AffectedSOPInstanceUID
    assert str(answer.AffectedSOPInstanceUID).startswith("2.25.")
