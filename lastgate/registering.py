"""Registers two image series of a patient, measures the result, and keeps it as a registration object: a draft.

A registration computed here joins nothing for good: it is marked as a draft in every composite until a physicist has
looked at it and judged it (`lastgate judge-registration`).
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from pydicom import Dataset

from archive.assembly.delivery import parse_date
from archive.desk.accounts import Account
from archive.desk.naming import pick, refuse_role
from archive.errors import NotFound, Refused
from archive.facts.dose_decisions import Register, RegistrationQuality
from archive.headers import InstanceKind
from archive.journal.journal import Event
from archive.model import Held, PatientRecord
from archive.uids import own_uid
from courses.reading import planning_series
from courses.registration_quality import Judged, measure, verdicts
from dose.grids.grid import Mask
from dose.objects.header import LO_LENGTH, ObjectHeader, PlaneImage
from dose.objects.write_registration import Side, deformable_registration, spatial_registration
from dose.registering.deformable import register_deformable
from dose.registering.images import grown, upright, working_spacing_mm
from dose.registering.quality import Landmarks
from dose.registering.rigid import Registered, Tell, register_rigid, silent
from dose.registering.solids import Solid, filled
from dose.shapes.structures import Structure
from lastgate import derived
from lastgate.own_objects import encoded, named
from lastgate.wiring import House

_MODEL = "Lastgate"
AROUND_MM = 15.0
"""How far around a structure images are compared: an organ tells its place by what lies around it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be registered.

    Parameters
    ----------
    moving, fixed
        Series UID, or a dossier whose planning image is meant.
    around
        Name of a structure of the fixed image; bone where empty.
    landmarks
        Pairs of places to measure the result by.
    """

    moving: str
    fixed: str
    is_deformable: bool = False
    around: str = ""
    landmarks: Landmarks | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Series:
    """An image series with its volume and what is drawn on it."""

    uid: str
    slices: tuple[Held, ...]
    judged: Judged

    @property
    def frame_uid(self) -> str:
        return self.slices[0].header.frame_uid


def register_series(
    house: House, record: PatientRecord, wish: Wish, *, account: Account, tell: Tell = silent
) -> dict[str, Any]:
    """Register two series, keep the object and the signed decision, and tell what was found.

    Raises
    ------
    NotFound
        A series, dossier or structure is not there.
    Refused
        The account is no physicist's, or the series are not CT of two frames of reference.
    NotRegistered
        The images can't be brought onto each other; says why.
    """
    refuse_role(account, frozenset({"physicist"}), "register")
    fixed, moving = (_series(house, record, name) for name in (wish.fixed, wish.moving))
    _refuse_pair(fixed, moving)
    found, backward = _both_ways(fixed, moving, wish, tell)
    tell("Measuring")
    quality = measure(
        found.transform, fixed.judged, moving.judged, backward=backward.transform, landmarks=wish.landmarks
    )
    dataset = named(_dataset(record, fixed, moving, found))
    uid, sha256 = str(dataset.SOPInstanceUID), derived.keep(house, encoded(dataset))
    act = _act(uid, sha256, fixed, moving, found, quality)
    event = Event(act="register", account=account.name, subject={"registration": uid, "kind": found.kind})
    house.desk.settle(record.key, act, account=account, event=event)
    return _answer(act, found, fixed)


def _both_ways(fixed: _Series, moving: _Series, wish: Wish, tell: Tell) -> tuple[Registered, Registered]:
    region = _region(fixed, wish.around)
    where = f"{wish.around} and {AROUND_MM:g} mm around it" if wish.around else ""
    search = register_deformable if wish.is_deformable else register_rigid
    one, other = fixed.judged.image, moving.judged.image
    found = search(one, other, region=region, where=where, tell=tell)
    tell("The same the other way, to see whether both agree")
    return found, search(other, one)


def _region(fixed: _Series, name: str) -> Mask | None:
    if not name:
        return None
    geometry = fixed.judged.image.geometry
    return grown(filled(Solid.of(_structure(fixed, name)), geometry), geometry, AROUND_MM)


def _structure(fixed: _Series, name: str) -> Structure:
    for one in fixed.judged.structures:
        if one.name.casefold() == name.casefold() and one.has_volume:
            return one
    there = ", ".join(sorted(one.name for one in fixed.judged.structures if one.has_volume)) or "none"
    raise NotFound(f"No structure {name!r} is drawn on the fixed image", hint=f"There are: {there}")


def _series(house: House, record: PatientRecord, name: str) -> _Series:
    slices = tuple(
        {
            held.uid: held
            for held in _everything(record)
            if held.kind is InstanceKind.IMAGE and held.header.series_uid == name
        }.values()
    )
    uid = name
    if not slices:
        series = planning_series(pick(record, name))
        if not series:
            raise NotFound(f"Dossier {name} has no image series", hint="Name a series by its UID.")
        uid, slices = series[0]
    image = house.reader.image(slices)
    if image is None:
        raise Refused(f"The slices of series {uid} make no volume", hint="Send the missing slices again.")
    return _Series(
        uid=uid,
        slices=slices,
        judged=Judged(image=image, structures=_structures(house, record, uid)),
    )


def _structures(house: House, record: PatientRecord, series_uid: str) -> tuple[Structure, ...]:
    """Return what the newest structure set of a series holds."""
    sets = {
        held.uid: held
        for held in _everything(record)
        if held.header.structure_set and series_uid in held.header.structure_set.series_uids
    }
    if not sets:
        return ()
    newest = max(sets.values(), key=lambda held: (held.header.study_date, held.receipt.received_at, held.uid))
    return house.reader.structures(newest).structures


def _everything(record: PatientRecord) -> Iterator[Held]:
    for dossier in record.dossiers:
        yield from dossier.instances
        yield from dossier.late
    yield from record.unattached


def _refuse_pair(fixed: _Series, moving: _Series) -> None:
    for one in (fixed, moving):
        if one.slices[0].header.modality not in ("", "CT"):
            raise Refused(
                f"Series {one.uid} is {one.slices[0].header.modality}: only CT is compared with CT",
                hint="Register it in the planning system and send the registration object.",
            )
        if not one.frame_uid:
            raise Refused(f"Series {one.uid} names no frame of reference", hint="Export it again with one.")
    if fixed.frame_uid == moving.frame_uid:
        raise Refused(
            "Both series share one frame of reference, so that a registration has nowhere to stand",
            hint=f"Look at them and judge the identity: lastgate judge-registration identity:{fixed.frame_uid}",
        )


def _dataset(record: PatientRecord, fixed: _Series, moving: _Series, found: Registered) -> Dataset:
    header = _header(record, fixed, moving, found.kind)
    sides = {"fixed": _side(fixed), "moving": _side(moving)}
    matrix = found.transform.matrix
    if matrix is not None:
        return spatial_registration(matrix, header=header, comment=_comment(found), **sides)
    geometry = upright(fixed.judged.image.geometry, working_spacing_mm(fixed.judged.image.geometry))
    return deformable_registration(found.transform, geometry, header=header, comment=_comment(found), **sides)


def _comment(found: Registered) -> str:
    """Return the method as far as an LO of 64 characters holds it; the decision tells it whole."""
    words = found.method.partition(":")[0]
    return f"{words}; then bent"[:LO_LENGTH] if found.kind == "deformable" else words[:LO_LENGTH]


def _side(series: _Series) -> Side:
    images = [
        PlaneImage(sop_class_uid=held.header.sop_class_uid, sop_instance_uid=held.uid, series_instance_uid=series.uid)
        for held in series.slices
    ]
    return Side(frame_uid=series.frame_uid, study_instance_uid=series.slices[0].header.study_uid, images=images)


def _header(record: PatientRecord, fixed: _Series, moving: _Series, kind: str) -> ObjectHeader:
    person, study = record.person, fixed.slices[0].header
    identifier = person.identifiers[0] if person.identifiers else None
    # The day of the newer image: the same images give the same bytes whenever they are registered.
    days = [day for one in (fixed, moving) if (day := parse_date(one.slices[0].header.study_date))]
    day = max(days, default=datetime(1970, 1, 1, tzinfo=UTC).date())
    return ObjectHeader(
        sop_instance_uid=own_uid("not named yet"),
        series_instance_uid=own_uid("not named yet"),
        study_instance_uid=study.study_uid,
        frame_of_reference_uid=fixed.frame_uid,
        patient_id=identifier.value if identifier else "",
        issuer_of_patient_id=identifier.issuer if identifier else "",
        patient_name=person.name,
        patient_birth_date=person.birth_date,
        patient_sex=person.sex,
        study_date=study.study_date,
        created=datetime(day.year, day.month, day.day, tzinfo=UTC),
        manufacturer=_MODEL,
        model=_MODEL,
        software_version=version("lastgate"),
        series_description=f"{kind.capitalize()} registration, draft until judged",
    )


def _act(
    uid: str, sha256: str, fixed: _Series, moving: _Series, found: Registered, quality: RegistrationQuality
) -> Register:
    return Register(
        uid=uid,
        sha256=sha256,
        moving_frame=moving.frame_uid,
        fixed_frame=fixed.frame_uid,
        moving_series=moving.uid,
        fixed_series=fixed.uid,
        kind="rigid" if found.kind == "rigid" else "deformable",
        method=found.method,
        quality=quality,
    )


def _answer(act: Register, found: Registered, fixed: _Series) -> dict[str, Any]:
    return {
        "format": "lastgate/registration/1",
        "uid": act.uid,
        "sha256": act.sha256,
        "kind": act.kind,
        "method": act.method,
        "moving": {"series": act.moving_series, "frame": act.moving_frame},
        "fixed": {"series": act.fixed_series, "frame": act.fixed_frame},
        "convergence": asdict(found.convergence),
        "quality": asdict(act.quality),
        "verdicts": verdicts(act.quality, act.kind, fixed.judged.image.geometry.spacing_mm),
        "status": "draft",
    }
