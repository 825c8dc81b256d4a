"""The registrations of a patient, received or computed here, and what physicists said of them."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Protocol

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from archive.errors import ArchiveError
from archive.facts.decisions import Decision
from archive.facts.dose_decisions import JudgeRegistration, Register, RegistrationQuality
from archive.headers import InstanceKind
from archive.model import Held, PatientRecord
from courses.errors import Unreadable
from courses.reading import Reader
from dose.errors import BadRegistration, DoseError
from dose.grids.fields import HoleStep
from dose.grids.transforms import Transform
from dose.objects.registration import StoredRegistration, read_registration
from dose.shapes.inside import inside_of
from storage.errors import StorageError

IDENTITY = "identity:"
"""Before the UID of a frame of reference: what a verdict on courses that share it is given about."""


class Derived(Protocol):
    """Reads results of ours by their digest."""

    def read(self, sha256: str) -> bytes:
        """Return the bytes; `storage.errors.StorageError` where there are none of this digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The newest decision of a physicist about a registration.

    Parameters
    ----------
    account, made_at
        Who decided, and when.
    """

    is_approved: bool
    account: str
    made_at: datetime
    reason: str
    moving_series: str
    fixed_series: str
    quality: RegistrationQuality | None
    invalid: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """One registration of a patient.

    Parameters
    ----------
    frames
        Frames of reference it names.
    since
        When it arrived, or was computed.
    held
        As received; None where it was computed here.
    computed
        The act that stored it; None where it was received.
    """

    uid: str
    frames: tuple[str, ...]
    is_deformable: bool
    since: datetime
    held: Held | None = None
    computed: Register | None = None
    verdict: Verdict | None = None

    @property
    def is_approved(self) -> bool:
        """Whether a physicist approved it, and did not take that back."""
        return self.verdict is not None and self.verdict.is_approved

    @property
    def is_rejected(self) -> bool:
        """Whether a physicist rejected it."""
        return self.verdict is not None and not self.verdict.is_approved

    @property
    def invalid(self) -> tuple[tuple[str, str], ...]:
        """Structures within which no place has a partner."""
        return self.verdict.invalid if self.verdict else ()

    @property
    def quality(self) -> RegistrationQuality | None:
        """What was measured of it: by who judged it, else as it was computed."""
        if self.verdict and self.verdict.quality:
            return self.verdict.quality
        return self.computed.quality if self.computed else None


def joints_of(record: PatientRecord) -> tuple[Joint, ...]:
    """Return the registrations of a patient, the newest first; the same for any order of arrival."""
    verdicts = verdicts_of(record)
    found: dict[str, Joint] = {}
    for held in _received(record):
        header = held.header.registration
        found[held.uid] = Joint(
            uid=held.uid,
            frames=header.frame_uids if header else (),
            is_deformable=header.is_deformable if header else False,
            since=held.receipt.received_at,
            held=held,
            verdict=verdicts.get(held.uid),
        )
    for decision in record.about_dose:
        if isinstance(act := decision.what, Register):
            # What came back from another system under our own UID is not asked: ours are the bytes that were looked at.
            found[act.uid] = Joint(
                uid=act.uid,
                frames=(act.fixed_frame, act.moving_frame),
                is_deformable=act.kind == "deformable",
                since=decision.made_at,
                computed=act,
                verdict=verdicts.get(act.uid),
            )
    return tuple(sorted(found.values(), key=lambda one: (one.since, one.uid), reverse=True))


def verdicts_of(record: PatientRecord) -> dict[str, Verdict]:
    """Return the newest verdict on each registration, by its UID or `IDENTITY` and the frame."""
    return {
        one.what.uid: _verdict(one, one.what) for one in record.about_dose if isinstance(one.what, JudgeRegistration)
    }


def _verdict(decision: Decision, act: JudgeRegistration) -> Verdict:
    return Verdict(
        is_approved=act.verdict == "approved",
        account=decision.account,
        made_at=decision.made_at,
        reason=act.reason,
        moving_series=act.moving_series,
        fixed_series=act.fixed_series,
        quality=act.quality,
        invalid=act.invalid,
    )


def instances_of(record: PatientRecord) -> Iterator[Held]:
    """Yield all instances of a patient, of a dossier or not; one of several dossiers more than once."""
    for dossier in record.dossiers:
        yield from dossier.instances
        yield from dossier.late
    yield from record.unattached


def _received(record: PatientRecord) -> Iterable[Held]:
    return {held.uid: held for held in instances_of(record) if held.kind is InstanceKind.REGISTRATION}.values()


class Workshop:
    """Makes maps of the registrations of one patient; each is read once.

    Parameters
    ----------
    reader, derived
        Read what was received, and what was computed here.
    """

    def __init__(self, record: PatientRecord, reader: Reader, derived: Derived) -> None:
        self._record, self._reader, self._derived = record, reader, derived
        self._read: dict[str, StoredRegistration | BadRegistration] = {}
        self._holes: dict[tuple[str, str], tuple[str, HoleStep]] = {}

    def transform(self, joint: Joint, fixed: str, moving: str) -> Transform:
        """Return the map of one registration, with its invalid regions taken out.

        Raises
        ------
        BadRegistration
            It can't be used, or an invalid structure can't be found.
        """
        through = self.stored(joint).between(fixed, moving)
        before: list[HoleStep] = []
        after: list[HoleStep] = []
        for which in joint.invalid:
            frame, hole = self._hole(which)
            if frame not in (fixed, moving):
                raise BadRegistration(f"was approved without the inside of {which[1]}, which lies in another frame")
            (before if frame == fixed else after).append(hole)
        return Transform((*before, *through.steps, *after))

    def stored(self, joint: Joint) -> StoredRegistration:
        """Return a registration as read.

        Raises
        ------
        BadRegistration
            It can't be read.
        """
        if joint.uid not in self._read:
            try:
                self._read[joint.uid] = read_registration(self._dataset(joint))
            except BadRegistration as error:
                self._read[joint.uid] = error
            except (Unreadable, ArchiveError, StorageError, InvalidDicomError, OSError, ValueError) as error:
                self._read[joint.uid] = BadRegistration(f"can't be read: {error}")
        found = self._read[joint.uid]
        if isinstance(found, BadRegistration):
            raise found
        return found

    def _dataset(self, joint: Joint) -> Dataset:
        if joint.held is not None:
            return self._reader.dataset(joint.held)
        assert joint.computed is not None
        return dcmread(io.BytesIO(self._derived.read(joint.computed.sha256)))

    def _hole(self, which: tuple[str, str]) -> tuple[str, HoleStep]:
        if which not in self._holes:
            self._holes[which] = self._drawn(*which)
        return self._holes[which]

    def _drawn(self, set_uid: str, name: str) -> tuple[str, HoleStep]:
        held = self._structure_sets.get(set_uid)
        if held is None:
            raise BadRegistration(f"was approved without the inside of {name}, whose structure set is not here")
        try:
            structure = self._reader.structures(held).named(name)
            inside = inside_of(structure)
        except (Unreadable, ArchiveError, StorageError, DoseError) as error:
            raise BadRegistration(f"was approved without the inside of {name}, which can't be read: {error}") from error
        frame = structure.frame_of_reference_uid or held.header.frame_uid
        return frame, HoleStep(mask=inside.share >= _HALF, geometry=inside.geometry)

    @cached_property
    def _structure_sets(self) -> dict[str, Held]:
        sets = (held for held in instances_of(self._record) if held.kind is InstanceKind.STRUCTURES)
        return {held.uid: held for held in sets}


_HALF = 0.5
