"""The five sample patients. All are invented; any likeness to a person is chance.

Deliberate simplifications, so that a test can know the truth: the anatomy of a patient is the same in all courses but
for the lesions, and the two courses of the first patient share one frame of reference, as if the second had been
planned on the reference frame of the first. In life courses years apart never do; the second patient shows that case.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from lastgate.sample.fields import Cylinder, PhotonArcs, ProtonFields, sampled_arc
from lastgate.sample.head import skull_base_head
from lastgate.sample.identity import Person
from lastgate.sample.pelvis import PROSTATE, male_pelvis
from lastgate.sample.phantom import Anatomy, Layer, Organ
from lastgate.sample.schedule import Delivery, daily, delivered
from lastgate.sample.solids import Capsule, Ellipsoid, Inset, Placement, Solid, Triple, Without
from lastgate.sample.thorax import BREAST_L, CHEST_WALL, chest
from lastgate.sample.treatment import Arc, CourseSpec, Limit, Machine, PlanSpec, Prescription, ScanField, Site

LINAC = Machine(name="SAMPLE-L1", model="Sample Linac 6", serial="1001")
LINAC_FFF = Machine(name="SAMPLE-L2", model="Sample Linac FFF", serial="1002")
PROTON = Machine(name="SAMPLE-P1", model="Sample Proton PBS", serial="2001")

_CHEST_DEPTH = Cylinder(x=0, y=5, rx=174, ry=118)
_PELVIS_DEPTH = Cylinder(x=0, y=8, rx=187, ry=117)
_HEAD_DEPTH = Cylinder(x=0, y=2, rx=74, ry=97)
_COLOURS = {"GTV": (255, 0, 0), "CTV": (255, 140, 0), "PTV": (255, 0, 220)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientSpec:
    """A person and the courses of that person, oldest first.

    Parameters
    ----------
    registered
        Keys of courses whose frames of reference a Spatial Registration joins, in pairs: from, to.
    registration_date
        YYYYMMDD of these registrations.
    """

    person: Person
    courses: tuple[CourseSpec, ...]
    registered: tuple[tuple[str, str], ...] = ()
    registration_date: str = ""


def casebook() -> tuple[PatientSpec, ...]:
    """All sample patients."""
    return (_lung_twice(), _breast_after_lymphoma(), _prostate(), _skull_base(), _rectum_unfinished())


def _target(name: str, solid: Solid) -> Organ:
    return Organ(name=name, solid=solid, kind=name[:3], colour=_COLOURS[name[:3]])


def _tumour(centre: Triple, radius: float) -> tuple[Layer, ...]:
    """A lung tumour with spicules."""
    x, y, z = centre
    ways = ((1, 0.3, 0.2), (-0.9, 0.5, 0.3), (0.2, -1, -0.4), (0.5, 0.8, -0.5), (-0.3, -0.6, 0.8), (0.7, -0.5, 0.6))
    reach = radius * 1.7
    spicules = tuple(
        Layer(Capsule(start=centre, end=(x + reach * a, y + reach * b, z + reach * c), radius=3, end_radius=0.8), -120)
        for a, b, c in ways
    )
    return (*spicules, Layer(Ellipsoid(centre=centre, radii=(radius, radius * 0.88, radius * 0.95)), 34))


def _arcs(
    beams: tuple[Arc, ...], *, gy: float, target: Solid, envelope: Ellipsoid, anatomy: Anatomy, cylinder: Cylinder,
    peak: float = 0.05, bath: float = 0.8,
) -> PhotonArcs:  # fmt: skip
    """The dose model that belongs to these arcs."""
    angles = tuple(
        angle
        for beam in beams
        for angle in sampled_arc(beam.start_deg, beam.stop_deg, clockwise=beam.clockwise, step_deg=10.0)
    )
    return PhotonArcs(
        prescribed_gy=gy, target=target, envelope=envelope, body=anatomy.body, cylinder=cylinder,
        gantry_deg=tuple(sorted(set(angles))), peak=peak, bath=bath, fall_off_mm=7.0,
    )  # fmt: skip


def _pair(start: float, stop: float, meterset: tuple[float, float], *, flattened: bool = True) -> tuple[Arc, Arc]:
    """An arc there and an arc back."""
    return (
        Arc(number=1, name="Arc 1 CW", start_deg=start, stop_deg=stop, clockwise=True, collimator_deg=10,
            meterset=meterset[0], flattened=flattened),
        Arc(number=2, name="Arc 2 CCW", start_deg=stop, stop_deg=start, clockwise=False, collimator_deg=350,
            meterset=meterset[1], flattened=flattened),
    )  # fmt: skip


def _lung_twice() -> PatientSpec:
    """Left upper lobe in 2019, and stereotactic re-irradiation close by in 2026, in one frame of reference."""
    person = Person(
        patient_id="SAMPLE-0001", issuer="SAMPLE-HIS", name="Wang^XiaoDong=王^小东", birth_date="19610314", sex="M",
        character_set="GB18030",
    )  # fmt: skip
    return PatientSpec(person=person, courses=(_lung_2019(), _lung_2026()))


def _lung_2019() -> CourseSpec:
    centre = (64.0, 4.0, 44.0)
    ptv = Ellipsoid(centre=centre, radii=(35, 31, 35))
    anatomy = chest(female=False, lesions=_tumour(centre, 22))
    beams = _pair(300, 179, (268.4, 251.9))
    plan = PlanSpec(
        key="lung-60", label="LungL_60Gy", date="20191009", intent="CURATIVE",
        site=Site(text="Left lung", code="39607008", meaning="Lung"), description="60 Gy in 30 fractions to PTVp",
        prescriptions=(Prescription(target="PTVp", dose_gy=60.0),),
        limits=(Limit(organ="SpinalCord", max_gy=45.0), Limit(organ="Heart", max_gy=60.0)),
        fractions=30, machine=LINAC, beams=beams, envelope=ptv,
        dose=_arcs(beams, gy=60.0, target=ptv, envelope=ptv, anatomy=anatomy, cylinder=_CHEST_DEPTH),
        deliveries=daily("2019-10-14", 30, (1, 2), time="091000"),
    )  # fmt: skip
    return CourseSpec(
        key="2019-lung-left", title="Left lung 60 Gy", region="CHEST", ct_date="20191001", frame_key="2019",
        anatomy=anatomy, plans=(plan,),
        targets=(
            _target("GTVp", Ellipsoid(centre=centre, radii=(22, 19.4, 20.9))),
            _target("CTVp", Ellipsoid(centre=centre, radii=(28, 25, 28))),
            _target("PTVp", ptv),
        ),
    )  # fmt: skip


def _lung_2026() -> CourseSpec:
    centre = (78.0, 30.0, -4.0)
    ptv = Ellipsoid(centre=centre, radii=(19, 18, 20))
    scar = Layer(Ellipsoid(centre=(64, 4, 44), radii=(24, 13, 19)), -310)
    anatomy = chest(female=False, lesions=(scar, *_tumour(centre, 12)))
    beams = _pair(330, 179, (1104.6, 1081.2), flattened=False)
    plan = PlanSpec(
        key="sbrt-35", label="LungL_SBRT", date="20260903", intent="CURATIVE",
        site=Site(text="Left lung", code="39607008", meaning="Lung"), description="35 Gy in 5 fractions to PTVp",
        prescriptions=(Prescription(target="PTVp", dose_gy=35.0),), limits=(Limit(organ="SpinalCord", max_gy=12.0),),
        fractions=5, machine=LINAC_FFF, beams=beams, envelope=ptv,
        dose=_arcs(
            beams, gy=35.0, target=ptv, envelope=ptv, anatomy=anatomy, cylinder=_CHEST_DEPTH, peak=0.25, bath=0.75
        ),
        deliveries=daily("2026-09-07", 5, (1, 2), time="102000", every=2),
    )  # fmt: skip
    return CourseSpec(
        key="2026-lung-left-sbrt", title="Left lung SBRT 5 x 7 Gy", region="CHEST", ct_date="20260828",
        frame_key="2019", anatomy=anatomy, plans=(plan,), setup_images=True,
        targets=(_target("GTVp", Ellipsoid(centre=centre, radii=(12, 10.6, 11.4))), _target("PTVp", ptv)),
    )  # fmt: skip


def _breast_after_lymphoma() -> PatientSpec:
    """Mediastinum in 2015, left breast with boost in 2026; two frames of reference and a registration."""
    person = Person(
        patient_id="SAMPLE-0002", issuer="SAMPLE-HIS", name="Li^XiuYing=李^秀英", birth_date="19680722", sex="F",
        character_set="ISO_IR 192",
    )  # fmt: skip
    return PatientSpec(
        person=person, courses=(_mediastinum_2015(), _breast_2026()),
        registered=(("2015-mediastinum", "2026-breast-left"),), registration_date="20260506",
    )  # fmt: skip


def _mediastinum_2015() -> CourseSpec:
    centre = (4.0, -26.0, 42.0)
    ptv = Ellipsoid(centre=centre, radii=(42, 38, 64))
    mass = Layer(Ellipsoid(centre=(8, -44, 52), radii=(24, 18, 30)), 46)
    anatomy = chest(female=True, lesions=(mass,))
    beams = _pair(181, 179, (202.7, 196.3))
    plan = PlanSpec(
        key="mediastinum", label="Mediast_30.6", date="20150304", intent="CURATIVE",
        site=Site(text="Mediastinum", code="72410000", meaning="Mediastinum"),
        description="30.6 Gy in 17 fractions to PTVp",
        prescriptions=(Prescription(target="PTVp", dose_gy=30.6),), limits=(Limit(organ="Heart", max_gy=31.0),),
        fractions=17, machine=LINAC, beams=beams, envelope=ptv,
        dose=_arcs(beams, gy=30.6, target=ptv, envelope=ptv, anatomy=anatomy, cylinder=_CHEST_DEPTH),
        deliveries=daily("2015-03-09", 17, (1, 2), time="140500"),
    )  # fmt: skip
    return CourseSpec(
        key="2015-mediastinum", title="Mediastinum 30.6 Gy", region="CHEST", ct_date="20150226", frame_key="2015",
        anatomy=anatomy, plans=(plan,),
        placement=Placement.rigid(turn_deg=(0.0, 0.0, 3.0), shift_mm=(6.0, -9.0, 14.0)),
        targets=(
            _target("GTVp", Ellipsoid(centre=(8, -44, 52), radii=(24, 18, 30))),
            _target("CTVp", Ellipsoid(centre=centre, radii=(35, 31, 56))),
            _target("PTVp", ptv),
        ),
    )  # fmt: skip


def _breast_2026() -> CourseSpec:
    whole = Without(Inset(of=BREAST_L, margin_mm=5), CHEST_WALL)
    bed = Ellipsoid(centre=(92, -120, -20), radii=(25, 19, 24))
    cavity = Layer(Ellipsoid(centre=(92, -120, -20), radii=(10, 8, 9)), 18)
    anatomy = chest(female=True, lesions=(cavity,))
    return CourseSpec(
        key="2026-breast-left", title="Left breast 40.05 Gy and boost 10 Gy", region="CHEST", ct_date="20260429",
        frame_key="2026", anatomy=anatomy, plans=(_whole_breast(anatomy, whole), _boost(anatomy, bed)),
        targets=(
            _target("CTVp_4005", Without(Inset(of=BREAST_L, margin_mm=8), Inset(of=CHEST_WALL, margin_mm=-2))),
            _target("PTVp_4005", whole),
            _target("CTVp_5005", Ellipsoid(centre=(92, -120, -20), radii=(19, 14, 18))),
            _target("PTVp_5005", bed),
        ),
    )  # fmt: skip


_BREAST_SITE = Site(text="Left breast", code="80248007", meaning="Left breast")


def _tangents(meterset: tuple[float, float]) -> tuple[Arc, Arc]:
    """Two short arcs about the tangents of the left breast."""
    return (
        Arc(number=1, name="Medial", start_deg=290, stop_deg=345, clockwise=True, collimator_deg=10,
            meterset=meterset[0]),
        Arc(number=2, name="Lateral", start_deg=155, stop_deg=100, clockwise=False, collimator_deg=350,
            meterset=meterset[1]),
    )  # fmt: skip


def _whole_breast(anatomy: Anatomy, target: Solid) -> PlanSpec:
    envelope = Ellipsoid(centre=(86, -112, -30), radii=(62, 40, 68))
    beams = _tangents((318.2, 301.5))
    return PlanSpec(
        key="breast-40", label="BreastL_40.05", date="20260506", intent="CURATIVE", site=_BREAST_SITE,
        description="40.05 Gy in 15 fractions to PTVp_4005",
        prescriptions=(Prescription(target="PTVp_4005", dose_gy=40.05),), limits=(Limit(organ="Heart", max_gy=25.0),),
        fractions=15, machine=LINAC, beams=beams, envelope=envelope,
        dose=_arcs(
            beams, gy=40.05, target=target, envelope=envelope, anatomy=anatomy, cylinder=_CHEST_DEPTH, bath=0.65
        ),
        deliveries=_breast_deliveries(),
    )  # fmt: skip


def _boost(anatomy: Anatomy, target: Ellipsoid) -> PlanSpec:
    beams = _tangents((231.4, 224.8))
    return PlanSpec(
        key="boost-10", label="BreastL_Boost", date="20260506", intent="CURATIVE", site=_BREAST_SITE,
        description="10 Gy in 5 fractions to PTVp_5005",
        prescriptions=(Prescription(target="PTVp_5005", dose_gy=10.0),), limits=(Limit(organ="Heart", max_gy=5.0),),
        fractions=5, machine=LINAC, beams=beams, envelope=target, prior="breast-40",
        dose=_arcs(beams, gy=10.0, target=target, envelope=target, anatomy=anatomy, cylinder=_CHEST_DEPTH, bath=0.65),
        deliveries=daily("2026-06-04", 5, (1, 2), time="084000"),
    )  # fmt: skip


def _breast_deliveries() -> tuple[Delivery, ...]:
    """The machine fails in fraction 7 and stands still for three days; one lost day is made up by two fractions."""
    beams = (1, 2)
    found = list(daily("2026-05-11", 6, beams, time="083000"))
    found.append(
        Delivery(
            fraction=7, date="20260519", time="083400", parts=((1, 0.0, 1.0), (2, 0.0, 0.42)), termination="MACHINE"
        )
    )
    found.append(Delivery(fraction=7, date="20260525", time="081500", parts=((2, 0.42, 1.0),), kind="CONTINUATION"))
    for fraction, day, time in (
        (8, 26, "083000"), (9, 27, "074000"), (10, 27, "143000"), (11, 28, "083000"), (12, 29, "083000"),
    ):  # fmt: skip
        found.append(delivered(fraction, dt.date(2026, 5, day), time, beams))
    found += [delivered(12 + day, dt.date(2026, 6, day), "083000", beams) for day in (1, 2, 3)]
    return tuple(found)


def _prostate() -> PatientSpec:
    """Prostate, five fractions; the operator stops one beam and goes on half an hour later."""
    person = Person(
        patient_id="SAMPLE-0003", issuer=None, name="Example^Jörg", birth_date="19550530", sex="M",
        character_set="ISO_IR 100", implicit_vr=True,
    )  # fmt: skip
    ptv = Ellipsoid(centre=(0, -5, -54), radii=(30, 25, 28))
    anatomy = male_pelvis()
    beams = _pair(181, 179, (1242.8, 1209.1), flattened=False)
    plan = PlanSpec(
        key="prostate-40", label="Prost_5x8", date="20250901", intent="CURATIVE",
        site=Site(text="Prostate", code="41216001", meaning="Prostate"), description="40 Gy in 5 fractions to PTVp",
        prescriptions=(Prescription(target="PTVp", dose_gy=40.0),),
        limits=(Limit(organ="Rectum", max_gy=42.0), Limit(organ="Bladder", max_gy=42.0)),
        fractions=5, machine=LINAC_FFF, beams=beams, envelope=ptv,
        dose=_arcs(beams, gy=40.0, target=ptv, envelope=ptv, anatomy=anatomy, cylinder=_PELVIS_DEPTH, peak=0.08),
        deliveries=_prostate_deliveries(),
    )  # fmt: skip
    course = CourseSpec(
        key="2025-prostate-sbrt", title="Prostate SBRT 5 x 8 Gy", region="PELVIS", ct_date="20250825",
        frame_key="2025", anatomy=anatomy, plans=(plan,), setup_images=True,
        targets=(_target("CTVp", PROSTATE), _target("PTVp", ptv)),
    )  # fmt: skip
    return PatientSpec(person=person, courses=(course,))


def _prostate_deliveries() -> tuple[Delivery, ...]:
    first, second, third, *rest = daily("2025-09-08", 5, (1, 2), time="153000", every=2)
    stopped = Delivery(fraction=3, date=third.date, time="153100", parts=((1, 0.0, 0.63),), termination="OPERATOR")
    resumed = Delivery(
        fraction=3, date=third.date, time="160200", parts=((1, 0.63, 1.0), (2, 0.0, 1.0)), kind="CONTINUATION"
    )
    return (first, second, stopped, resumed, *rest)


def _skull_base() -> PatientSpec:
    """Skull base with scanned protons; the given name (U+4DAE) takes four bytes in GB18030 and is not in GBK."""
    person = Person(
        patient_id="SAMPLE-0004", issuer="SAMPLE-HIS", name="Zhao^Yan=赵^䶮", birth_date="19790108", sex="M",
        character_set="GB18030",
    )  # fmt: skip
    centre = (3.0, -2.0, -22.0)
    ptv = Ellipsoid(centre=centre, radii=(22, 19, 23))
    gtv = Ellipsoid(centre=centre, radii=(14, 11, 15))
    anatomy = skull_base_head(lesions=(Layer(gtv, 62),))
    fields = tuple(
        ScanField(number=number, name=f"G{angle}", gantry_deg=angle, meterset=meterset)
        for number, (angle, meterset) in enumerate(((80, 61.3), (115, 58.7), (245, 59.2), (280, 62.4)), start=1)
    )
    plan = PlanSpec(
        key="skull-base-54", label="SkullBase_54", date="20240603", intent="CURATIVE",
        site=Site(text="Base of skull", code="12738006", meaning="Brain"),
        description="54 Gy(RBE) in 30 fractions to PTVp, RBE 1.1",
        prescriptions=(Prescription(target="PTVp", dose_gy=54.0),),
        limits=(Limit(organ="Brainstem", max_gy=54.0), Limit(organ="OpticChiasm", max_gy=50.0)),
        fractions=30, machine=PROTON, beams=fields, envelope=ptv,
        dose=ProtonFields(
            prescribed_gy=54.0, target=ptv, body=anatomy.body, cylinder=_HEAD_DEPTH,
            gantry_deg=tuple(field.gantry_deg for field in fields), entrance=0.55,
        ),
        deliveries=daily("2024-06-11", 30, (1, 2, 3, 4), time="111000"),
    )  # fmt: skip
    course = CourseSpec(
        key="2024-skull-base-proton", title="Skull base protons 54 Gy(RBE)", region="HEAD", ct_date="20240524",
        frame_key="2024", anatomy=anatomy, plans=(plan,),
        targets=(
            _target("GTVp", gtv), _target("CTVp", Ellipsoid(centre=centre, radii=(19, 16, 20))), _target("PTVp", ptv),
        ),
    )  # fmt: skip
    return PatientSpec(person=person, courses=(course,))


def _rectum_unfinished() -> PatientSpec:
    """Rectum, stopped after 12 of 25 fractions, and the dose was never exported."""
    person = Person(
        patient_id="SAMPLE-0005", issuer=None, name="Muster^Max", birth_date="19490917", sex="M",
        character_set="ISO_IR 192",
    )  # fmt: skip
    centre = (3.0, 42.0, 6.0)
    ptv = Ellipsoid(centre=centre, radii=(54, 42, 68))
    gtv = Ellipsoid(centre=(14, 50, 12), radii=(12, 12, 18))
    anatomy = male_pelvis(lesions=(Layer(gtv, 52),))
    beams = _pair(181, 179, (291.6, 284.3))
    plan = PlanSpec(
        key="rectum-50", label="Rectum_50Gy", date="20261007", intent="CURATIVE",
        site=Site(text="Rectum", code="34402009", meaning="Rectum"), description="50 Gy in 25 fractions to PTVp",
        prescriptions=(Prescription(target="PTVp", dose_gy=50.0),), limits=(Limit(organ="Bowel", max_gy=52.0),),
        fractions=25, machine=LINAC, beams=beams, envelope=ptv,
        dose=_arcs(beams, gy=50.0, target=ptv, envelope=ptv, anatomy=anatomy, cylinder=_PELVIS_DEPTH),
        dose_exported=False, deliveries=daily("2026-10-12", 12, (1, 2), time="074000"),
    )  # fmt: skip
    course = CourseSpec(
        key="2026-rectum", title="Rectum 50 Gy", region="PELVIS", ct_date="20260928", frame_key="2026",
        anatomy=anatomy, plans=(plan,), lacking=("consent",),
        missing=("RTDOSE of Rectum_50Gy", "treatment records of fractions 13 to 25", "signed consent"),
        targets=(
            _target("GTVp", gtv), _target("CTVp", Ellipsoid(centre=centre, radii=(46, 34, 60))), _target("PTVp", ptv),
        ),
    )  # fmt: skip
    return PatientSpec(person=person, courses=(course,))
