"""The DICOM attributes by which others may ask for what the archive holds (PS3.4 C.6), and the level of each.

What assembly and gate need has a place of its own in `archive.headers`. The
rest is kept by keyword, as written, only so that queries (C-FIND, QIDO) can
match and return it. The conformance statement is printed from these tables.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Level(StrEnum):
    """The levels of the query information models, upper ones first (PS3.4 C.6.1.1)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


_PATIENT: Final = """
    PatientName PatientID IssuerOfPatientID TypeOfPatientID OtherPatientIDsSequence OtherPatientIDs OtherPatientNames
    PatientBirthDate PatientBirthTime PatientSex PatientBirthName EthnicGroup PatientComments
    PatientSpeciesDescription QualityControlSubject
"""
_STUDY: Final = """
    StudyInstanceUID StudyDate StudyTime AccessionNumber IssuerOfAccessionNumberSequence StudyID StudyDescription
    ReferringPhysicianName PhysiciansOfRecord NameOfPhysiciansReadingStudy RequestingPhysician RequestingService
    ProcedureCodeSequence AdmittingDiagnosesDescription PatientAge PatientSize PatientWeight Occupation
    AdditionalPatientHistory MedicalAlerts Allergies PregnancyStatus SmokingStatus AdmissionID ServiceEpisodeID
    TimezoneOffsetFromUTC
"""
_SERIES: Final = """
    SeriesInstanceUID Modality SeriesNumber SeriesDate SeriesTime SeriesDescription BodyPartExamined Laterality
    AnatomicRegionSequence ProtocolName StationName OperatorsName PerformingPhysicianName InstitutionName
    InstitutionalDepartmentName Manufacturer ManufacturerModelName DeviceSerialNumber SoftwareVersions
    PatientPosition FrameOfReferenceUID PositionReferenceIndicator PerformedProcedureStepStartDate
    PerformedProcedureStepStartTime PerformedProcedureStepID PerformedProcedureStepDescription
    RequestAttributesSequence
"""
_RT: Final = """
    RTPlanLabel RTPlanName RTPlanDescription RTPlanDate RTPlanTime RTPlanGeometry PlanIntent TreatmentSites
    ApprovalStatus ReviewDate ReviewTime ReviewerName StructureSetLabel StructureSetName StructureSetDescription
    StructureSetDate StructureSetTime DoseUnits DoseType DoseSummationType DoseComment RTImageLabel
    RTImageDescription TreatmentDate TreatmentTime TreatmentMachineName CurrentFractionNumber
    NumberOfFractionsPlanned CurrentTreatmentStatus ReferencedRTPlanSequence ReferencedStructureSetSequence
"""
_IMAGE: Final = """
    SOPInstanceUID SOPClassUID InstanceNumber AcquisitionNumber AcquisitionDate AcquisitionTime AcquisitionDateTime
    ContentDate ContentTime InstanceCreationDate InstanceCreationTime ImageType ImageComments Rows Columns
    BitsAllocated BitsStored SamplesPerPixel PhotometricInterpretation NumberOfFrames PixelSpacing SliceThickness
    SliceLocation ImagePositionPatient ImageOrientationPatient KVP LossyImageCompression ContentLabel
    ContentDescription ContentCreatorName ConceptNameCodeSequence CompletionFlag VerificationFlag DocumentTitle
    AvailableTransferSyntaxUID
"""
RT_ATTRIBUTES: Final = tuple(_RT.split())
"""What RT objects say of themselves; of the IMAGE level, told at the SERIES level too."""

ATTRIBUTES: Final[Mapping[Level, tuple[str, ...]]] = MappingProxyType(
    {
        Level.PATIENT: tuple(_PATIENT.split()),
        Level.STUDY: tuple(_STUDY.split()),
        Level.SERIES: tuple(_SERIES.split()),
        Level.IMAGE: (*_IMAGE.split(), *RT_ATTRIBUTES),
    }
)
"""Every attribute read from instances that can be asked for, by keyword, under the level it belongs to."""

_CODE: Final = ("CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning")
_REFERENCE: Final = ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")
SEQUENCES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "OtherPatientIDsSequence": ("PatientID", "IssuerOfPatientID", "TypeOfPatientID"),
        "IssuerOfAccessionNumberSequence": ("LocalNamespaceEntityID", "UniversalEntityID", "UniversalEntityIDType"),
        "ProcedureCodeSequence": _CODE,
        "AnatomicRegionSequence": _CODE,
        "ConceptNameCodeSequence": _CODE,
        "RequestAttributesSequence": (
            "RequestedProcedureID",
            "RequestedProcedureDescription",
            "ScheduledProcedureStepID",
            "ScheduledProcedureStepDescription",
            "AccessionNumber",
        ),
        "ReferencedRTPlanSequence": _REFERENCE,
        "ReferencedStructureSetSequence": _REFERENCE,
    }
)
"""The attributes of the items of each sequence that can be asked for."""

_HELD_ELSEWHERE: Final = frozenset(
    """
    PatientName PatientID IssuerOfPatientID OtherPatientIDsSequence PatientBirthDate PatientSex StudyInstanceUID
    StudyDate StudyDescription SeriesInstanceUID Modality SeriesDescription InstitutionName
    InstitutionalDepartmentName Manufacturer FrameOfReferenceUID SOPInstanceUID SOPClassUID InstanceNumber
    AvailableTransferSyntaxUID DocumentTitle RTPlanLabel RTPlanName RTPlanDescription RTPlanDate RTPlanTime
    RTPlanGeometry PlanIntent TreatmentSites StructureSetLabel StructureSetDate DoseUnits
    DoseType DoseSummationType DoseComment TreatmentDate TreatmentTime CurrentTreatmentStatus
    ReferencedRTPlanSequence ReferencedStructureSetSequence ImagePositionPatient ImageOrientationPatient
    """.split()  # noqa: SIM905 - a list of quoted words is no easier to read
)
"""Attributes that `archive.headers` has a place for, or that are no elements of a data set."""

_ALIKE_IN_A_SERIES: Final = frozenset(
    """
    ImageType AcquisitionDate ContentDate InstanceCreationDate Rows Columns BitsAllocated BitsStored SamplesPerPixel
    PhotometricInterpretation PixelSpacing SliceThickness KVP LossyImageCompression
    """.split()  # noqa: SIM905
)


def _of(*levels: Level) -> tuple[str, ...]:
    return tuple(keyword for level in levels for keyword in ATTRIBUTES[level] if keyword not in _HELD_ELSEWHERE)


SHARED: Final = (
    *_of(Level.PATIENT, Level.STUDY, Level.SERIES),
    *(keyword for keyword in _of(Level.IMAGE) if keyword in _ALIKE_IN_A_SERIES),
)
"""Read into `archive.headers.InstanceHeader.shared`: the instances of a series usually have them in common."""

OWN: Final = tuple(keyword for keyword in _of(Level.IMAGE) if keyword not in _ALIKE_IN_A_SERIES)
"""Read into `archive.headers.InstanceHeader.own`: each instance has its own."""
