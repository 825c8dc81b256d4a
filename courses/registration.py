"""How frames of reference are joined: by being one, by registrations received or computed here, or over several.

Where no registration joins two frames directly a chain of them may; its errors add up. What physicists said of a
registration counts: a rejected one joins nothing, the inside of structures marked invalid has no partner. Whatever
can't be used without doubt is passed over, and where nothing is left the reason says why: a dose in the wrong place
looks as good as one in the right place. The answer is the same for any order in which facts arrived.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from archive.assembly.delivery import parse_date
from archive.facts.dose_decisions import RegistrationQuality
from archive.headers import InstanceKind
from archive.model import PatientRecord
from courses.joints import IDENTITY, Derived, Joint, Workshop, instances_of, joints_of, verdicts_of
from courses.notices import Notice, notice
from courses.reading import Reader
from dose.errors import BadRegistration
from dose.grids.fields import HoleStep
from dose.grids.transforms import Transform
from dose.objects.registration import Form, form_of

__all__ = ["Derived", "Frames", "Mapping", "NoMapping", "find_mapping"]

_DIRECT = "the registration that joins its frame of reference to the one of the image"
_INDIRECT = "a registration on the way from its frame of reference to the one of the image"
_TYPES = {Form.RIGID: "RIGID", Form.RIGID_SCALE: "RIGID_SCALE", Form.AFFINE: "AFFINE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """How a place of the fixed frame is found in the moving one.

    Parameters
    ----------
    kind
        ``identity`` (same frame of reference), ``rigid``, ``affine`` (approved although it scales), ``deformable``, or
        ``chain`` over several registrations.
    sources
        UIDs of the registrations, from the fixed frame to the moving one; none for the identity.
    transform
        Fixed to moving; None for the identity.
    quality
        What was measured of it; None where nothing was, and of a chain.
    is_approved, approved_by
        Whether a physicist approved each registration, and by whose accounts. Where one frame holds images of one day
        alone there is nothing to approve.
    invalid
        Structures (Structure Set UID, ROI Name) within which no place has a partner.
    error
        How far it may be off, in words.
    cautions
        What to know of it.
    """

    kind: str
    sources: tuple[str, ...] = ()
    transform: Transform | None = None
    quality: RegistrationQuality | None = None
    is_approved: bool = False
    approved_by: str = ""
    invalid: tuple[tuple[str, str], ...] = ()
    error: str = ""
    cautions: tuple[Notice, ...] = ()

    @property
    def source(self) -> str:
        """Where it comes from, in words: ``frame of reference``, or the UIDs of registrations."""
        return " + ".join(self.sources) or "frame of reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoMapping:
    """Nothing joins two frames, or nothing that may be used: why, under which code, and what to do."""

    reason: str
    code: str = "LG-REG-001"
    hint: str = "Register the two images: `lastgate register`; or send the registration from the planning system."


@dataclass(frozen=True, slots=True)
class _Hop:
    """One registration of a chain, from a frame nearer to the fixed one to the next."""

    joint: Joint
    fixed: str
    moving: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from others: the registration and the way through it."""
        return self.joint.uid, self.fixed, self.moving


def find_mapping(
    moving_frame: str,
    fixed_frame: str,
    record: PatientRecord,
    reader: Reader,
    derived: Derived,
    *,
    moving_series: str = "",
    fixed_series: str = "",
) -> Mapping | NoMapping:
    """Return how places of the fixed frame of reference are found in the moving one; see `Frames.between`."""
    frames = Frames(record, reader, derived)
    return frames.between(moving_frame, fixed_frame, moving_series=moving_series, fixed_series=fixed_series)


_Closed = dict[tuple[str, str, str], BadRegistration]
"""Ways through registrations that can't be used, and why."""


class Frames:
    """The frames of reference of one patient and what joins them; each registration is read once.

    Parameters
    ----------
    reader, derived
        Read what was received, and what was computed here.
    """

    def __init__(self, record: PatientRecord, reader: Reader, derived: Derived) -> None:
        self._record = record
        self._workshop = Workshop(record, reader, derived)

    @cached_property
    def joints(self) -> tuple[Joint, ...]:
        """The registrations of the patient, the newest first, those rejected too."""
        return joints_of(self._record)

    def between(
        self, moving: str, fixed: str, *, moving_series: str = "", fixed_series: str = ""
    ) -> Mapping | NoMapping:
        """Return how places of the frame `fixed` are found in the frame `moving`.

        The fewest registrations win, then those approved, then the newest (tie by UID). A map that scales or shears
        counts only once it was approved, one that mirrors never.

        Parameters
        ----------
        moving_series, fixed_series
            The images compared, where they are known: two series of one frame of reference may have been told apart.
        """
        if not moving or not fixed:
            return NoMapping(
                reason="its dose grid or the image names no frame of reference",
                code="LG-REG-002",
                hint="Export dose and image again from the planning system, with their Frame of Reference UID.",
            )
        if moving == fixed:
            return self._identity(fixed, (moving_series, fixed_series))
        closed: _Closed = {}
        while path := self._shortest(fixed, moving, closed):
            steps: list[Transform] = []
            for hop in path:
                try:
                    steps.append(self._transform(hop))
                except BadRegistration as error:
                    closed[hop.key] = error
                    break
            else:
                return self._mapping(path, steps)
        return self._nothing(fixed, moving, closed)

    def _transform(self, hop: _Hop) -> Transform:
        transform = self._workshop.transform(hop.joint, hop.fixed, hop.moving)
        if form_of(_plain(transform)) in (Form.RIGID_SCALE, Form.AFFINE) and not hop.joint.is_approved:
            raise BadRegistration("is not rigid, and nobody has approved it")
        return transform

    def _shortest(self, fixed: str, moving: str, closed: _Closed) -> tuple[_Hop, ...]:
        """Return the best chain that is not closed, empty where there is none (Dijkstra, costs in lexical order)."""
        waiting: list[tuple[int, int, tuple[int, ...], tuple[str, ...], tuple[_Hop, ...]]]
        waiting = [(0, 0, (), (fixed,), ())]
        done: set[str] = set()
        while waiting:
            hops, doubts, ranks, way, path = heapq.heappop(waiting)
            frame = way[-1]
            if frame == moving:
                return path
            if frame in done:
                continue
            done.add(frame)
            for rank, joint in enumerate(self.joints):
                if joint.is_rejected or frame not in joint.frames:
                    continue
                for other in joint.frames:
                    hop = _Hop(joint, frame, other)
                    if other in done or hop.key in closed:
                        continue
                    ahead = (hops + 1, doubts + (not joint.is_approved), (*ranks, rank), (*way, other), (*path, hop))
                    heapq.heappush(waiting, ahead)
        return ()

    def _mapping(self, path: Sequence[_Hop], steps: Sequence[Transform]) -> Mapping:
        joints = [hop.joint for hop in path]
        error, error_zh = _error(joints)
        cautions = [one for hop, step in zip(path, steps, strict=True) for one in self._cautions(hop, step)]
        if len(path) > 1:
            cautions.append(notice("registration-chain", count=len(path), error=error, error_zh=error_zh))
        is_approved = all(joint.is_approved for joint in joints)
        approving = (joint.verdict.account for joint in joints if joint.verdict and joint.is_approved)
        return Mapping(
            kind="chain" if len(path) > 1 else _kind(steps[0]),
            sources=tuple(joint.uid for joint in joints),
            transform=Transform(tuple(step for one in steps for step in one.steps)),
            quality=joints[0].quality if len(joints) == 1 else None,
            is_approved=is_approved,
            approved_by=", ".join(dict.fromkeys(approving)) if is_approved else "",
            invalid=tuple(which for joint in joints for which in joint.invalid),
            error=error,
            cautions=tuple(cautions),
        )

    def _cautions(self, hop: _Hop, transform: Transform) -> Iterator[Notice]:
        joint, form = hop.joint, form_of(_plain(transform))
        if not joint.is_approved:
            yield notice("registration-unapproved", source=joint.uid)
        if joint.held is not None and joint.held.others:
            yield notice("registration-twice", source=joint.uid)
        declared = self._workshop.stored(joint).declared
        named = {one for frame in (hop.fixed, hop.moving) for one in declared.get(frame, ())} - {""}
        if form in _TYPES and named == {"RIGID"} and form is not Form.RIGID:
            yield notice("registration-declared", source=joint.uid, declared="RIGID", form=_TYPES[form])
        if form in (Form.RIGID_SCALE, Form.AFFINE):
            yield notice("registration-scales", source=joint.uid, form=_TYPES[form])
        if joint.invalid:
            yield notice("registration-holes", source=joint.uid, names=", ".join(name for _, name in joint.invalid))

    def _nothing(self, fixed: str, moving: str, closed: _Closed) -> NoMapping:
        direct = [error for (_, *way), error in closed.items() if set(way) == {fixed, moving}]
        if direct or closed:
            error = next(iter(direct or closed.values()))
            return NoMapping(
                reason=f"{_DIRECT if direct else _INDIRECT} {error}", code="LG-REG-003", hint=BadRegistration.hint
            )
        if any(joint.is_rejected and {fixed, moving} <= set(joint.frames) for joint in self.joints):
            return NoMapping(reason=f"{_DIRECT} was rejected by a physicist", code="LG-REG-004")
        return NoMapping(reason="no registration joins its frame of reference to the one of the image")

    def _identity(self, frame: str, series: tuple[str, str]) -> Mapping | NoMapping:
        """Return the identity; images of one frame that were taken on different days are told of."""
        name = f"{IDENTITY}{frame}"
        verdict = verdicts_of(self._record).get(name)
        judged = {verdict.moving_series, verdict.fixed_series} - {""} if verdict else set()
        is_meant = verdict is not None and (not judged or not all(series) or judged == set(series))
        is_one = bool(series[0]) and series[0] == series[1]
        if verdict and is_meant and not verdict.is_approved and not is_one:
            return NoMapping(
                reason="it shares the frame of reference of the image, but a physicist rejected that they lie alike",
                code="LG-REG-004",
            )
        days = () if is_one else self._days(frame, {*series} - {""})
        is_apart = len(days) > 1
        is_approved = bool(verdict and is_meant and verdict.is_approved)
        cautions: tuple[Notice, ...] = ()
        if is_apart and not is_approved:
            first, last = days[0], days[-1]
            apart = _days_between(first, last)
            cautions = (notice("frame-shared", days=apart, first=first, last=last, verdict_on=name),)
        return Mapping(
            kind="identity",
            is_approved=is_approved or not is_apart,
            approved_by=verdict.account if verdict and is_approved else "",
            quality=verdict.quality if verdict and is_approved else None,
            error="none by definition" if not is_apart else "not measured",
            cautions=cautions,
        )

    def _days(self, frame: str, series: set[str]) -> tuple[str, ...]:
        """Return on which days the planning images of a frame were taken, DA; `series` where two are named."""
        wanted = series
        if len(series) < 2:
            sets = (held.header.structure_set for held in instances_of(self._record) if held.header.structure_set)
            wanted = {uid for one in sets for uid in one.series_uids}
        return tuple(
            sorted(
                {
                    held.header.study_date
                    for held in instances_of(self._record)
                    if held.kind is InstanceKind.IMAGE
                    and held.header.frame_uid == frame
                    and held.header.series_uid in wanted
                }
                - {""}
            )
        )


def _plain(transform: Transform) -> Transform:
    """Return a map without the places it leaves out, which change no shape."""
    return Transform(tuple(step for step in transform.steps if not isinstance(step, HoleStep)))


def _kind(transform: Transform) -> str:
    form = form_of(_plain(transform))
    return "affine" if form in (Form.RIGID_SCALE, Form.AFFINE) else form.value


def _error(joints: Sequence[Joint]) -> tuple[str, str]:
    """Return in both languages how far registrations one after the other may be off.

    Errors of registrations made apart from each other add in quadrature.
    """
    known = [joint.quality.tre_mean_mm for joint in joints if joint.quality and joint.quality.tre_mean_mm is not None]
    total = sum(value * value for value in known) ** 0.5
    if len(known) < len(joints):
        at_least = f", at least {total:.1f} mm" if known else ""
        at_least_zh = f"，至少 {total:.1f} mm" if known else ""
        missing = f"{len(joints) - len(known)} of {len(joints)} not measured" if len(joints) > 1 else "not measured"
        missing_zh = f"{len(joints)} 个中有 {len(joints) - len(known)} 个未测量" if len(joints) > 1 else "未测量"
        return f"{missing}{at_least}", f"{missing_zh}{at_least_zh}"
    each = " and ".join(f"{value:.1f}" for value in known)
    if len(known) > 1:
        each_zh = "、".join(f"{value:.1f}" for value in known)
        return f"{each} mm, together {total:.1f} mm (TRE)", f"{each_zh} mm，合计 {total:.1f} mm（TRE）"
    return f"{each} mm (TRE, mean)", f"{each} mm（平均 TRE）"


def _days_between(first: str, last: str) -> int:
    one, other = parse_date(first), parse_date(last)
    return (other - one).days if one and other else 0
