"""What a receipt keeps of an instance: every value that assembly, the gate and the index read.

Values stand as written: dates as DA (``YYYYMMDD``), times as TM, both site
wall clock and never converted (PS3.5 6.2). A value that could not be read is
absent, and `InstanceHeader.flags` says so.
"""

from dataclasses import dataclass, field
from enum import StrEnum

Attribute = str | tuple[dict[str, str], ...]
"""The value of an attribute kept by keyword: text as written, or the items of a sequence."""


class InstanceKind(StrEnum):
    """What part an instance plays in a dossier."""

    PLAN = "plan"
    STRUCTURES = "structures"
    DOSE = "dose"
    RECORD = "record"
    REGISTRATION = "registration"
    IMAGE = "image"
    RT_IMAGE = "rt-image"
    DOCUMENT = "document"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """One identifier of a person: only value and issuer together name somebody."""

    value: str
    issuer: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientHeader:
    """The patient module as it stood in one instance (PS3.3 C.7.1.1)."""

    identifier: Identifier
    other_identifiers: tuple[Identifier, ...] = ()
    name: str = ""
    birth_date: str = ""
    sex: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoseReference:
    """An item of the Dose Reference Sequence: what dose, in Gy, is asked for where (PS3.3 C.8.8.10)."""

    number: int
    structure_type: str = ""
    type: str = ""
    description: str = ""
    roi_number: int | None = None
    target_prescription_gy: float | None = None
    delivery_maximum_gy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupBeam:
    """What one fraction group asks of one beam or application setup, per fraction."""

    beam_number: int
    meterset: float | None = None
    dose_gy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FractionGroup:
    """An item of the Fraction Group Sequence (PS3.3 C.8.8.13)."""

    number: int
    fractions_planned: int | None = None
    beams: tuple[GroupBeam, ...] = ()
    dose_reference_numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamHeader:
    """One beam of a plan (PS3.3 C.8.8.14, C.8.8.25); metersets stand in the fraction group.

    Parameters
    ----------
    energies
        Nominal beam energies of all control points, MV, MeV or MeV/u, each once, in order of appearance.
    leaves_move, jaws_move, gantry_moves
        Whether that changes from one control point to another.
    isocentre_mm
        Isocenter Position of the first control point, patient coordinates; empty in receipts of earlier versions.
    """

    number: int
    name: str = ""
    delivery_type: str = ""
    radiation: str = ""
    beam_type: str = ""
    ion_name: str = ""
    energies: tuple[float, ...] = ()
    fluence_mode: str = ""
    machine: str = ""
    meterset_unit: str = ""
    control_points: int = 0
    gantry_moves: bool = False
    leaves_move: bool = False
    jaws_move: bool = False
    has_leaves: bool = False
    scan_mode: str = ""
    gantry_start_deg: float | None = None
    gantry_stop_deg: float | None = None
    isocentre_mm: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanHeader:
    """An RT Plan or RT Ion Plan."""

    label: str = ""
    name: str = ""
    date: str = ""
    time: str = ""
    intent: str = ""
    approval: str = ""
    review_date: str = ""
    geometry: str = ""
    description: str = ""
    prescription: str = ""
    sites: tuple[str, ...] = ()
    patient_positions: tuple[str, ...] = ()
    brachy_treatment: str = ""
    structure_set_uids: tuple[str, ...] = ()
    dose_uids: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    related_plan_uids: tuple[str, ...] = ()
    dose_references: tuple[DoseReference, ...] = ()
    fraction_groups: tuple[FractionGroup, ...] = ()
    beams: tuple[BeamHeader, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Roi:
    """One region of interest of a structure set."""

    number: int
    name: str = ""
    interpreted_type: str = ""
    contours: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureSetHeader:
    """An RT Structure Set."""

    label: str = ""
    date: str = ""
    frame_uids: tuple[str, ...] = ()
    series_uids: tuple[str, ...] = ()
    image_uids: tuple[str, ...] = ()
    rois: tuple[Roi, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DoseHeader:
    """An RT Dose grid (PS3.3 C.8.8.3)."""

    summation_type: str = ""
    type: str = ""
    units: str = ""
    comment: str = ""
    plan_uids: tuple[str, ...] = ()
    structure_set_uids: tuple[str, ...] = ()
    fraction_group_number: int | None = None
    beam_numbers: tuple[int, ...] = ()
    rows: int = 0
    columns: int = 0
    frames: int = 0
    has_pixels: bool = False
    dvh_rois: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedBeam:
    """One beam as delivered in one session (PS3.3 C.8.8.21, C.8.8.26).

    Parameters
    ----------
    energy
        Nominal Beam Energy of its first control point, MV, MeV or MeV/u; None in receipts of earlier versions.
    """

    beam_number: int
    name: str = ""
    fraction_number: int | None = None
    delivery_type: str = ""
    termination: str = ""
    specified_meterset: float | None = None
    delivered_meterset: float | None = None
    energy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordHeader:
    """A treatment record (beams, ion beams, brachy) or treatment summary record."""

    type: str = ""
    date: str = ""
    time: str = ""
    plan_uids: tuple[str, ...] = ()
    fraction_group_number: int | None = None
    fractions_planned: int | None = None
    machine: str = ""
    beams: tuple[RecordedBeam, ...] = ()
    treatment_status: str = ""
    first_treatment_date: str = ""
    last_treatment_date: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationHeader:
    """A Spatial or Deformable Spatial Registration: which frames and series it joins."""

    is_deformable: bool = False
    frame_uids: tuple[str, ...] = ()
    series_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """One image plane (PS3.3 C.7.6.2): positions and spacings in mm."""

    position_mm: tuple[float, ...] = ()
    orientation: tuple[float, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    rows: int = 0
    columns: int = 0
    frames: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceHeader:
    """Everything a receipt keeps of one instance, and its part in the dossier.

    Parameters
    ----------
    references
        SOP Instance UIDs an instance of another kind points at, so that it can be attached all the same.
    flags
        What could not be read or had to be guessed, such as ``unreadable:RTPlanDate`` or ``charset-guessed:gb18030``.
    shared, own
        Further attributes that queries ask for (`archive.reading.attributes`), by keyword: those the instances of a
        series usually have in common, and those each has of its own. Values as written, parted by a backslash; the
        items of a sequence as mappings of the same kind. Never empty ones.
    """

    kind: InstanceKind
    patient: PatientHeader
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_uid: str = ""
    series_uid: str = ""
    frame_uid: str = ""
    modality: str = ""
    study_date: str = ""
    study_description: str = ""
    series_description: str = ""
    institution: str = ""
    department: str = ""
    manufacturer: str = ""
    physicians: tuple[str, ...] = ()
    instance_number: int | None = None
    character_sets: tuple[str, ...] = ()
    implementation_class_uid: str = ""
    references: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    plan: PlanHeader | None = None
    structure_set: StructureSetHeader | None = None
    dose: DoseHeader | None = None
    record: RecordHeader | None = None
    registration: RegistrationHeader | None = None
    image: ImageHeader | None = None
    document_title: str = ""
    shared: dict[str, Attribute] = field(default_factory=dict, hash=False)
    own: dict[str, Attribute] = field(default_factory=dict, hash=False)
