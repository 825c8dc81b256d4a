"""What a receipt keeps of real and of broken instances."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from archive.facts.receipts import RECEIPT
from archive.headers import InstanceHeader, InstanceKind
from archive.reading.describe import describe, describe_document
from tests.factories import PATIENT, receipt, uid

RT = "1.2.840.10008.5.1.4.1.1.481."


def item(**values: object) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def instance(sop_class: str, modality: str, **values: object) -> Dataset:
    return item(
        SOPClassUID=sop_class,
        SOPInstanceUID=uid("one"),
        StudyInstanceUID=uid("study"),
        SeriesInstanceUID=uid("series"),
        Modality=modality,
        PatientID="H-1",
        PatientName="Sample^Ada",
        **values,
    )


def plan_dataset() -> Dataset:
    """Return a plan in which every sequence that is read has an item."""
    position = item(RTBeamLimitingDeviceType="MLCX", LeafJawPositions=[-10, 10])
    point = item(NominalBeamEnergy="6", GantryAngle="180", BeamLimitingDevicePositionSequence=[position])
    beam = item(
        BeamNumber="1",
        BeamName="B1",
        BeamType="STATIC",
        RadiationType="PHOTON",
        TreatmentDeliveryType="TREATMENT",
        TreatmentMachineName="LINAC1",
        PrimaryFluenceModeSequence=[item(FluenceMode="STANDARD")],
        ControlPointSequence=[point, point],
    )
    group = item(
        FractionGroupNumber="1",
        NumberOfFractionsPlanned="25",
        ReferencedBeamSequence=[item(ReferencedBeamNumber="1", BeamMeterset="100", BeamDose="2")],
        ReferencedDoseReferenceSequence=[item(ReferencedDoseReferenceNumber="1")],
    )
    prescribed = item(
        DoseReferenceNumber="1",
        DoseReferenceType="TARGET",
        DoseReferenceStructureType="SITE",
        TargetPrescriptionDose="50",
    )
    return instance(
        f"{RT}5",
        "RTPLAN",
        RTPlanLabel="Breast",
        RTPlanDate="20240301",
        ApprovalStatus="APPROVED",
        PhysiciansOfRecord=["One^Doc", "Two^Doc"],
        ReferencedStructureSetSequence=[item(ReferencedSOPInstanceUID=uid("structures"))],
        ReferencedRTPlanSequence=[item(ReferencedSOPInstanceUID=uid("old"), RTPlanRelationship="PREDECESSOR")],
        DoseReferenceSequence=[prescribed],
        FractionGroupSequence=[group],
        BeamSequence=[beam],
        PatientSetupSequence=[item(PatientPosition="HFS")],
    )


def encoded(dataset: Dataset, *, implicit: bool = False) -> bytes:
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    written = io.BytesIO()
    dcmwrite(written, dataset, enforce_file_format=True)
    return written.getvalue()


def reread(dataset: Dataset, *, implicit: bool = False) -> Dataset:
    return dcmread(io.BytesIO(encoded(dataset, implicit=implicit)))


def survives_json(header: InstanceHeader) -> bool:
    before = receipt(header)
    return RECEIPT.validate_json(RECEIPT.dump_json(before)) == before


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_describe_plan_in_either_encoding_then_everything_is_read(implicit: bool) -> None:
    header = describe(reread(plan_dataset(), implicit=implicit))

    assert header.kind is InstanceKind.PLAN
    assert header.flags == ()
    assert header.physicians == ("One^Doc", "Two^Doc")
    plan = header.plan
    assert plan is not None
    assert (plan.label, plan.approval, plan.replaces) == ("Breast", "APPROVED", (uid("old"),))
    assert plan.dose_references[0].target_prescription_gy == 50
    assert plan.fraction_groups[0].fractions_planned == 25
    assert plan.fraction_groups[0].dose_reference_numbers == (1,)
    assert plan.fraction_groups[0].beams[0].meterset == 100
    assert (plan.beams[0].energies, plan.beams[0].has_leaves, plan.beams[0].leaves_move) == ((6.0,), True, False)
    assert plan.patient_positions == ("HFS",)
    assert survives_json(header)


def test_describe_plan_delivered_earlier_then_it_is_related_but_not_replaced() -> None:
    dataset = plan_dataset()
    dataset.ReferencedRTPlanSequence[0].RTPlanRelationship = "PRIOR"

    plan = describe(dataset).plan

    assert plan is not None
    assert plan.replaces == ()
    assert plan.related_plan_uids == (uid("old"),)


def test_describe_two_leaf_layers_when_one_moves_then_leaves_move() -> None:
    dataset = plan_dataset()
    still, moving = Dataset(), Dataset()
    for point, tip in ((still, 10), (moving, 20)):
        point.BeamLimitingDevicePositionSequence = [
            item(RTBeamLimitingDeviceType="MLCX1", LeafJawPositions=[-10, 10]),
            item(RTBeamLimitingDeviceType="MLCX2", LeafJawPositions=[-10, tip]),
            item(RTBeamLimitingDeviceType="ASYMX", LeafJawPositions=[-50, 50]),
        ]
    dataset.BeamSequence[0].ControlPointSequence = [still, moving]

    plan = describe(dataset).plan

    assert plan is not None
    assert (plan.beams[0].leaves_move, plan.beams[0].jaws_move) == (True, False)


@pytest.mark.parametrize(
    ("sop_class", "sequence"),
    [("4", "TreatmentSessionBeamSequence"), ("9", "TreatmentSessionIonBeamSequence")],
    ids=["beams", "ion beams"],
)
def test_describe_record_of_beams_then_what_was_delivered_is_read(sop_class: str, sequence: str) -> None:
    beam = item(
        ReferencedBeamNumber="2",
        CurrentFractionNumber="7",
        TreatmentDeliveryType="TREATMENT",
        TreatmentTerminationStatus="OPERATOR",
        SpecifiedPrimaryMeterset="100",
        DeliveredPrimaryMeterset="60.5",
    )
    dataset = instance(
        RT + sop_class,
        "RTRECORD",
        TreatmentDate="20240304",
        TreatmentTime="0915",
        ReferencedFractionGroupNumber="1",
        ReferencedRTPlanSequence=[item(ReferencedSOPInstanceUID=uid("plan"))],
        TreatmentMachineSequence=[item(TreatmentMachineName="LINAC1")],
        **{sequence: [beam]},
    )

    header = describe(reread(dataset))

    assert header.kind is InstanceKind.RECORD
    record = header.record
    assert record is not None
    assert (record.date, record.time, record.machine) == ("20240304", "0915", "LINAC1")
    assert record.plan_uids == (uid("plan"),)
    assert record.beams[0].fraction_number == 7
    assert record.beams[0].termination == "OPERATOR"
    assert record.beams[0].delivered_meterset == 60.5


def test_describe_record_without_meterset_of_the_beam_then_the_last_control_point_tells_it() -> None:
    points = [item(DeliveredMeterset="0"), item(DeliveredMeterset="99.5")]
    beam = item(ReferencedBeamNumber="1", ControlPointDeliverySequence=points)
    dataset = instance(f"{RT}4", "RTRECORD", TreatmentSessionBeamSequence=[beam])

    record = describe(reread(dataset)).record

    assert record is not None
    assert record.beams[0].delivered_meterset == 99.5


def test_describe_record_of_brachytherapy_then_its_setups_are_fractions() -> None:
    setup = item(
        ReferencedBrachyApplicationSetupNumber="1", CurrentFractionNumber="2", TreatmentTerminationStatus="NORMAL"
    )
    dataset = instance(f"{RT}6", "RTRECORD", TreatmentSessionApplicationSetupSequence=[setup])

    record = describe(reread(dataset)).record

    assert record is not None
    assert [(beam.beam_number, beam.fraction_number) for beam in record.beams] == [(1, 2)]


def test_describe_registration_then_both_frames_are_known() -> None:
    dataset = instance(
        "1.2.840.10008.5.1.4.1.1.66.1",
        "REG",
        FrameOfReferenceUID=uid("a"),
        RegistrationSequence=[item(FrameOfReferenceUID=uid("a")), item(FrameOfReferenceUID=uid("b"))],
    )

    registration = describe(reread(dataset)).registration

    assert registration is not None
    assert registration.frame_uids == (uid("a"), uid("b"))
    assert not registration.is_deformable


def test_describe_other_object_then_references_are_found_deep_inside() -> None:
    inner = item(ReferencedSOPInstanceUID=uid("ct"))
    dataset = instance(
        "1.2.840.10008.5.1.4.1.1.88.33",
        "SR",
        ContentSequence=[item(ContentSequence=[item(ReferencedSOPSequence=[inner])])],
    )

    assert describe(reread(dataset)).references == (uid("ct"),)


def test_describe_other_object_when_a_value_is_broken_then_nothing_is_raised() -> None:
    dataset = instance(
        "1.2.840.10008.5.1.4.1.1.88.33", "SR", ReferencedSOPSequence=[item(ReferencedSOPInstanceUID="1.2")]
    )
    spoil(dataset, "ContentSequence", "SQ", b"\xff\xfe\x00")

    header = describe(dataset)

    assert header.references == ("1.2",)
    assert "unreadable:ContentSequence" in header.flags


def test_describe_object_of_private_class_then_its_modality_tells_the_kind() -> None:
    assert describe(instance("1.2.246.352.70.1.70", "RTPLAN")).kind is InstanceKind.PLAN
    assert describe(instance("1.2.3", "CT", Rows=2, Columns=2)).kind is InstanceKind.IMAGE
    assert describe(instance("1.2.3", "XX")).kind is InstanceKind.OTHER


def test_describe_empty_data_set_then_it_is_of_another_kind_and_nameless() -> None:
    header = describe(Dataset())

    assert header.kind is InstanceKind.OTHER
    assert header.patient.identifier.value == ""
    assert header.flags == ()


def test_describe_document_then_it_belongs_to_the_patient() -> None:
    header = describe_document(patient=PATIENT, title="Consent.pdf")

    assert (header.kind, header.document_title, header.patient) == (InstanceKind.DOCUMENT, "Consent.pdf", PATIENT)


def spoil(dataset: Dataset, keyword: str, vr: str, value: bytes) -> None:
    """Put raw bytes under a keyword, as if they had just been read."""
    element = Dataset()
    element.add_new(keyword, vr, None)
    tag = BaseTag(next(iter(element.keys())))
    dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
@pytest.mark.parametrize("encoding", ["gb18030", "utf-8"])
def test_describe_undeclared_chinese_names_then_they_are_read_and_flagged(encoding: str, implicit: bool) -> None:
    dataset = plan_dataset()
    written = encoded(dataset, implicit=implicit)
    name = "王^小东=诚".encode(encoding)
    name += b" " * (len(name) % 2)
    written = swapped(written, b"Sample^Ada", name)

    header = describe(dcmread(io.BytesIO(written)))

    assert header.patient.name == "王^小东=诚"
    assert header.flags == (f"charset-guessed:{encoding}",)
    assert survives_json(header)


def swapped(written: bytes, old: bytes, new: bytes) -> bytes:
    """Put another value in place of `old`, and its length before it."""
    at = written.index(old)
    width = 4 if written[at - 4 : at] == len(old).to_bytes(4, "little") else 2
    return written[: at - width] + len(new).to_bytes(width, "little") + new + written[at + len(old) :]


def test_describe_undeclared_gbk_when_a_character_ends_in_a_backslash_then_values_are_split_after_decoding() -> None:
    names = "昞^一\\李^二".encode("gbk")
    assert names.count(b"\\") == 2, "the first character must hold the byte of a backslash"
    written = swapped(encoded(plan_dataset()), b"One^Doc\\Two^Doc ", names + b" " * (len(names) % 2))

    header = describe(dcmread(io.BytesIO(written)))

    assert header.physicians == ("昞^一", "李^二")


def test_describe_declared_chinese_names_then_nothing_is_flagged() -> None:
    dataset = plan_dataset()
    dataset.SpecificCharacterSet = "GB18030"
    dataset.PatientName = "王^小东"

    header = describe(reread(dataset))

    assert (header.patient.name, header.flags) == ("王^小东", ())


def test_describe_bytes_outside_the_declared_character_set_then_they_are_flagged() -> None:
    dataset = plan_dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    name = "王小东".encode("gb18030")
    written = swapped(encoded(dataset), b"Sample^Ada", name)

    header = describe(dcmread(io.BytesIO(written)))

    assert "unreadable:PatientName" in header.flags
    assert survives_json(header)


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("BeamMeterset", "DS", b"1e999999"),
        ("BeamMeterset", "DS", b"NaN "),
        ("BeamMeterset", "DS", b"1_000"),
        ("BeamMeterset", "DS", "１２".encode()),
        ("BeamMeterset", "FD", b"\x00\x00\x00\x00\x00\x00\xf8\x7f"),
        ("BeamMeterset", "FD", b"\x00\x00\x00"),
        ("BeamMeterset", "OB", b"\x01\x02"),
        ("ReferencedBeamNumber", "IS", b"1A"),
        ("ReferencedBeamNumber", "IS", b"1.5 "),
    ],
)
def test_describe_number_that_is_none_then_it_is_absent_and_flagged(keyword: str, vr: str, value: bytes) -> None:
    dataset = plan_dataset()
    spoil(dataset.FractionGroupSequence[0].ReferencedBeamSequence[0], keyword, vr, value)

    header = describe(dataset)

    assert header.flags == (f"unreadable:{keyword}",)
    assert header.plan is not None
    beam = header.plan.fraction_groups[0].beams[0]
    assert (beam.meterset, beam.beam_number) == ((100, 0) if keyword == "ReferencedBeamNumber" else (None, 1))


VRS = ["AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "OB", "OW", "PN", "SH", "SQ", "SS", "ST"]
VRS += ["TM", "UI", "UL", "UN", "US", "UT", "UR", "UC"]
BASES: dict[str, Callable[[], Dataset]] = {
    "plan": plan_dataset,
    "other": lambda: instance("1.2.3", "SR", ContentSequence=[item(ReferencedSOPInstanceUID=uid("ct"))]),
    "image": lambda: instance("1.2.3", "CT", Rows=2, Columns=2, ImagePositionPatient=[0, 0, 0], PixelSpacing=[1, 1]),
    "dose": lambda: instance(f"{RT}2", "RTDOSE", ReferencedRTPlanSequence=[item(ReferencedSOPInstanceUID=uid("plan"))]),
}


@settings(max_examples=300, deadline=None)
@given(
    base=st.sampled_from(sorted(BASES)),
    charset=st.sampled_from([b"", b"GB18030", b"ISO_IR 192", b"ISO 2022 IR 58", b"ISO_IR 100", b"rubbish", b"\xff\\"]),
    spoilt=st.lists(
        st.tuples(st.integers(0, 99), st.sampled_from(VRS), st.binary(max_size=24) | st.none(), st.booleans()),
        min_size=1,
        max_size=4,
    ),
)
def test_describe_any_value_in_any_place_then_nothing_is_raised(
    base: str, charset: bytes, spoilt: list[tuple[int, str, bytes | None, bool]]
) -> None:
    dataset = BASES[base]()
    places = places_of(dataset)
    spoil(dataset, "SpecificCharacterSet", "CS", charset)
    for at, vr, value, implicit in spoilt:
        holder, tag = places[at % len(places)]
        holder[tag] = RawDataElement(tag, vr, len(value or b""), value, 0, implicit, True)

    assert survives_json(describe(dataset))


def places_of(dataset: Dataset) -> list[tuple[Dataset, BaseTag]]:
    """List every element of a data set and of the items in it."""
    found: list[tuple[Dataset, BaseTag]] = []
    for element in dataset:
        found.append((dataset, element.tag))
        if element.VR == "SQ":
            for one in element.value:
                found += places_of(one)
    return found


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@pytest.mark.filterwarnings(
    "ignore::UserWarning"
)  # pydicom warns while it reads broken files, before describe is asked
@given(
    flips=st.lists(st.tuples(st.integers(132, 10_000), st.integers(0, 255)), min_size=1, max_size=8),
    implicit=st.booleans(),
)
def test_describe_file_with_flipped_bytes_when_it_can_be_read_then_nothing_is_raised(
    flips: list[tuple[int, int]], implicit: bool
) -> None:
    written = bytearray(encoded(plan_dataset(), implicit=implicit))
    for at, value in flips:
        written[132 + at % (len(written) - 132)] = value
    try:
        dataset = dcmread(io.BytesIO(bytes(written)), force=True)
    except Exception:  # noqa: BLE001 - the reader's refusals are not under test
        return

    assert survives_json(describe(dataset))


REAL = {
    "Monaco": ("pymedphys_plans/**/rtplan.dcm", "CMS", InstanceKind.PLAN),
    "Pinnacle": ("pps/**/RTPLAN_2.16*.dcm", "ADAC", InstanceKind.PLAN),
    "Halcyon": ("pps/**/halcyon_plan/*.dcm", "Varian", InstanceKind.PLAN),
    "Brainlab": ("pps/**/RTPL0235.dcm", "Brainlab", InstanceKind.PLAN),
    "Eclipse": ("pps/**/RP_FiF.dcm", "Varian", InstanceKind.PLAN),
    "Eclipse ion": ("dcpt_headphantom/**/RN.*.dcm", "Varian", InstanceKind.PLAN),
    "RayStation ion": ("dcpt_let/**/plan06*/RP*.dcm", "RaySearch", InstanceKind.PLAN),
    "RayStation dose": ("dcpt_let/**/plan06*/RD*.dcm", "RaySearch", InstanceKind.DOSE),
    "Eclipse structures": ("dcpt_headphantom/**/RS.*.dcm", "Varian", InstanceKind.STRUCTURES),
    "Eclipse images": ("dcpt_headphantom/**/CT.HeadPhantom.1.dcm", "", InstanceKind.IMAGE),
    "portal image": ("pynetdicom_rt/RTImageStorage.dcm", "", InstanceKind.RT_IMAGE),
}


@pytest.mark.real_data
@pytest.mark.parametrize("vendor", REAL)
def test_describe_real_file_of_each_vendor_then_nothing_is_unreadable(real_data: Path, vendor: str) -> None:
    pattern, manufacturer, kind = REAL[vendor]
    path = sorted(real_data.glob(pattern))[0]

    header = describe(dcmread(path, force=True, stop_before_pixels=True))

    assert header.kind is kind
    assert header.manufacturer.startswith(manufacturer)
    assert header.flags == ()
    assert header.sop_instance_uid
    assert survives_json(header)


@pytest.mark.real_data
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_describe_every_real_file_then_its_receipt_survives_json(real_data: Path) -> None:
    paths = [path for path in real_data.rglob("*.dcm") if not path.name.startswith(("CT.", "ct_slice"))]
    assert len(paths) > 100

    for path in paths:
        assert survives_json(describe(dcmread(path, force=True, stop_before_pixels=True))), path.name


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("pattern", "technique", "fractions"),
    [
        ("pps/**/halcyon_plan/*.dcm", "SBRT VMAT", (5,)),
        ("pps/**/RP_FiF.dcm", "segmented", (1,)),
        ("pps/**/PH 3 DOSES 1PLAN/2018CompLTCWC2_t2.dcm", "segmented", (13, 12, 25)),
        ("pps/**/RTPL0235.dcm", "SBRT VMAT", (5,)),
        ("dicompyler_core/rtplan.dcm", "IMRT", (7,)),
        ("dcpt_headphantom/**/RN.*.dcm", "PBS", (5,)),
        ("conehead/RP.3DCRT.dcm", "3D", (1,)),
    ],
)
def test_describe_real_plan_then_technique_and_fractions_are_those_of_the_planning_system(
    real_data: Path, pattern: str, technique: str, fractions: tuple[int, ...]
) -> None:
    from archive.assembly.prescription import technique_of

    plan = describe(dcmread(sorted(real_data.glob(pattern))[0], force=True)).plan

    assert plan is not None
    assert technique_of(plan) == technique
    assert tuple(group.fractions_planned for group in plan.fraction_groups) == fractions
