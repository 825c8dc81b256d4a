"""Sums what was delivered: physical dose, and dose in fractions of 2 Gy for one tissue.

Physical dose is interpolated first, then added within a session, then converted (`dose.biology`): no other order gives
the effect. Every sum has three volumes: what certainly was given (`lower_gy`), the worst it can be (`upper_gy`), and
the best estimate between them: fall-off beyond the edge of a grid, and plans in doubt taken as delivered.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from courses.exposures import Exposure, Gathered, GroupPart
from courses.kinds import share_of_physical
from dose.biology.effect import effect, effect_lql
from dose.biology.repair import left_unrepaired
from dose.biology.tissues import Tissue
from dose.grids.accumulate import Coverage, Part, Sum, accumulate
from dose.grids.grid import Geometry, Mask, Volume
from dose.grids.readings import Line
from dose.grids.sampling import Sampled, sample

SLAB_VOXELS = 2_000_000
"""Voxels converted at a time: all parts and three doses of each stay below 100 MB."""

_Shares = Callable[[GroupPart], tuple[float, float, float] | None]
"""What a part is multiplied with, at least, probably and at most; None: it is not in this sum."""

_Curve = Callable[[Volume, float, Exposure, Volume], None]
"""Adds what a dose per fraction, given so many times, is worth to an array."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """All parts at the places of one grid, read once and summed in many ways."""

    geometry: Geometry
    found: Mapping[tuple[int, int], Sampled]
    parts: tuple[GroupPart, ...]

    def of(self, part: GroupPart) -> Sampled:
        """Return what was read of a part."""
        return self.found[_place(part)]


def sample_parts(gathered: Gathered, geometry: Geometry | None = None) -> Samples:
    """Read all parts at the places of a grid: the one of the sum, or a small one around a structure."""
    onto, parts = geometry or gathered.geometry, gathered.parts
    places = {_place(part): part for part in parts}
    found = {place: sample(part.grid, onto, part.transform) for place, part in places.items()}
    return Samples(geometry=onto, found=found, parts=parts)


def _place(part: GroupPart) -> tuple[int, int]:
    """Return what makes two parts one reading: the same grid through the same map."""
    return id(part.grid), id(part.transform)


def physical_sum(
    gathered: Gathered, geometry: Geometry | None = None, *, only: str = "", samples: Samples | None = None
) -> Sum:
    """Sum the dose of the kind `Gathered.dose_type`, as stored.

    Parameters
    ----------
    geometry
        Where to sum; None: on the grid of the composite.
    only
        Id of the one course to sum.
    samples
        What was read already (`sample_parts`); its grid is summed on.
    """
    exposures = of_course(gathered.exposures, only)
    if samples is None:
        return _accumulated(exposures, gathered.dose_type, geometry or gathered.geometry)

    def shares(part: GroupPart) -> tuple[float, float, float] | None:
        share = share_of_physical(part, gathered.dose_type)
        return None if share is None else (share, share, share)

    plain = [replace(one, concentration=1.0) for one in exposures]
    return _summed(plain, samples, shares, _plain)


def eqd2_sum(
    gathered: Gathered,
    tissue: Tissue,
    *,
    forgotten: Mapping[str, float] | None = None,
    geometry: Geometry | None = None,
    lql: bool = False,
    only: str = "",
    samples: Samples | None = None,
    repair_half_time_h: float | None = None,
) -> Sum:
    """Sum the effect of all exposures as dose in fractions of 2 Gy, for one tissue.

    Parameters
    ----------
    forgotten
        Part of the effect taken as recovered, 0 to 1, by dossier id; None: nothing is.
    lql
        With the linear extension above `Tissue.transition_gy`; for information beside the plain model.
    repair_half_time_h
        Where given, exposures in close sessions count with incomplete repair, ``d (1 + h)``; not with `lql`.

    Raises
    ------
    ValueError
        `lql` is asked for and the tissue has no transition dose.
    """
    exposures = of_course(gathered.exposures, only)
    curve = _effect_of(tissue, forgotten or {}, lql=lql, repair_half_time_h=repair_half_time_h)
    if samples is not None:
        return _summed(exposures, samples, _effect_shares, curve)
    return _in_slabs(gathered, exposures, geometry or gathered.geometry, curve)


def probable(
    gathered: Gathered,
    read: Callable[[GroupPart], Line],
    tissue: Tissue | None = None,
    *,
    forgotten: Mapping[str, float] | None = None,
) -> Line:
    """Sum at single places what is probable, as `Sum.estimate_gy` has it, without the bounds.

    Parameters
    ----------
    read
        Gives the dose of a part at these places, with the estimate where it is unknown, ``[n]``.
    tissue
        For EQD2; None for physical dose.
    forgotten
        As for `eqd2_sum`.
    """

    def physical(part: GroupPart) -> tuple[float, float, float] | None:
        share = share_of_physical(part, gathered.dose_type)
        return None if share is None else (share, share, share)

    shares = physical if tissue is None else _effect_shares
    curve = _plain if tissue is None else _effect_of(tissue, forgotten or {})
    total: Line | None = None
    for one in gathered.exposures:
        taken = [(part, share[1]) for part in one.parts if (share := shares(part)) is not None]
        doses = [read(part) * np.float32(part.per_fraction * share) for part, share in taken]
        if doses:
            total = np.zeros_like(doses[0]) if total is None else total
            curve(np.sum(doses, axis=0, dtype=np.float32) if doses[1:] else doses[0], one.fractions, one, total)
    return np.zeros_like(read(gathered.parts[0])) if total is None else total


def _plain(dose: Volume, fractions: float, _: Exposure, onto: Volume) -> None:
    onto += dose * np.float32(fractions)


def _effect_of(
    tissue: Tissue, forgotten: Mapping[str, float], *, lql: bool = False, repair_half_time_h: float | None = None
) -> _Curve:
    def curve(dose: Volume, fractions: float, one: Exposure, onto: Volume) -> None:
        count = fractions * (1 - _forgotten(one, forgotten))
        if lql:
            effect_lql(dose, count, tissue, onto=onto)
        else:
            effect(dose, count, tissue, onto=onto, left_unrepaired=_unrepaired(one, repair_half_time_h))

    return curve


def of_course(exposures: Sequence[Exposure], dossier_id: str) -> list[Exposure]:
    """Return the exposures of one course, the parts of others left out of shared sessions; all where none is named."""
    if not dossier_id:
        return list(exposures)
    mine = [replace(one, parts=tuple(p for p in one.parts if p.dossier_id == dossier_id)) for one in exposures]
    return [one for one in mine if one.parts]


def _unrepaired(exposure: Exposure, half_time_h: float | None) -> float:
    """Return the part h of damage left by other sessions, on average over its fractions: ``sum 2^(-dt/T)``."""
    if half_time_h is None or exposure.fractions <= 0:
        return 0.0
    left = sum(count * left_unrepaired(hours, half_time_h) for hours, count in exposure.close)
    return left / exposure.fractions


def largest_fraction_gy(gathered: Gathered, samples: Samples) -> float:
    """Return the largest dose of one session within what was read, Gy, fall-off beyond grids included."""
    doses = (_doses(one, samples, _effect_shares) for one in gathered.exposures)
    return max((float(found.estimate.max()) for found in doses if found), default=0.0)


def _effect_shares(part: GroupPart) -> tuple[float, float, float] | None:
    # Of both readings of an unconfirmed dose the probable one takes the label at its word: RBE is still to come.
    least, most = part.rbe
    return None if part.not_addable else (least, most, most)


def _forgotten(exposure: Exposure, forgotten: Mapping[str, float]) -> float:
    """Return what is recovered of a session: of several courses the least."""
    return min(forgotten.get(part.dossier_id, 0.0) for part in exposure.parts)


# On what was read already


@dataclass(frozen=True, slots=True, eq=False)
class _Doses:
    """Dose per fraction of an exposure, Gy: at least, probably, at most, and where nothing about it is in doubt."""

    lower: Volume
    estimate: Volume
    upper: Volume
    known: Mask
    worst_gy: float
    is_exact: bool


def _doses(exposure: Exposure, samples: Samples, shares: _Shares) -> _Doses | None:
    """Add the parts of an exposure; None where none of them is in this sum."""
    taken = [(part, share) for part in exposure.parts if (share := shares(part)) is not None]
    if not taken:
        return None
    shape = samples.geometry.shape
    lower, known, worst = np.zeros(shape, dtype=np.float32), np.ones(shape, dtype=np.bool_), 0.0
    is_exact = all(least == most for _, (least, _, most) in taken)
    covers = is_exact and all(bool(samples.of(part).known.all()) for part, _ in taken)
    estimate, upper = (lower, lower) if covers else (np.zeros_like(lower), np.zeros_like(lower))
    for part, (least, probably, most) in taken:
        read, each = samples.of(part), part.per_fraction
        lower += read.values * np.float32(each * least)
        worst += read.worst_gy * each * most
        if not covers:
            estimate += read.fall_off * np.float32(each * probably)
            upper += np.where(read.known, read.values, np.float32(read.worst_gy)) * np.float32(each * most)
            known &= read.known
    return _Doses(lower, estimate, upper, known, worst, is_exact)


def _summed(exposures: Sequence[Exposure], samples: Samples, shares: _Shares, curve: _Curve) -> Sum:
    """Sum exposures on the grid they were read on."""
    shape = samples.geometry.shape
    lower, estimate, upper = (np.zeros(shape, dtype=np.float32) for _ in range(3))
    known, outside = np.ones(shape, dtype=np.bool_), 0.0
    for one in exposures:
        found = _doses(one, samples, shares)
        if found is None:
            continue
        most, larger = one.at_most / one.concentration, np.float32(one.concentration)
        curve(found.lower, one.at_least, one, lower)
        curve(found.estimate, one.fractions, one, estimate)
        curve(found.upper * larger, most, one, upper)
        is_plain = found.is_exact and one.at_least == one.at_most and one.concentration == 1.0
        known &= found.known if is_plain else found.upper * np.float32(most) == 0
        beyond = np.zeros((1, 1, 1), dtype=np.float32)
        curve(np.full((1, 1, 1), found.worst_gy, dtype=np.float32) * larger, most, one, beyond)
        outside += float(beyond[0, 0, 0])
    return _ordered(samples.geometry, lower, estimate, upper, known, outside, _coverage(samples, shares))


def _ordered(
    geometry: Geometry,
    lower: Volume,
    estimate: Volume,
    upper: Volume,
    known: Mask,
    outside_gy: float,
    coverage: tuple[Coverage, ...],
) -> Sum:
    """Return a sum whose volumes are in order also where float32 rounds."""
    np.maximum(upper, lower, out=upper)
    np.clip(estimate, lower, upper, out=estimate)
    return Sum(
        geometry=geometry,
        lower_gy=lower,
        estimate_gy=estimate,
        upper_gy=upper,
        known=known,
        coverage=coverage,
        outside_gy=outside_gy,
    )


def _coverage(samples: Samples, shares: _Shares) -> tuple[Coverage, ...]:
    return tuple(
        Coverage(label=part.label, fraction=float(samples.of(part).known.mean()))
        for part in samples.parts
        if shares(part) is not None
    )


def _in_slabs(gathered: Gathered, exposures: Sequence[Exposure], onto: Geometry, curve: _Curve) -> Sum:
    """Convert a large grid some planes at a time: all parts are needed at once, and only there."""
    lower, estimate, upper = (np.empty(onto.shape, dtype=np.float32) for _ in range(3))
    known, outside = np.empty(onto.shape, dtype=np.bool_), 0.0
    coverage: dict[int, list[Coverage]] = defaultdict(list)
    for planes, part_of in _slabs(onto):
        one = _summed(exposures, sample_parts(gathered, part_of), _effect_shares, curve)
        lower[planes], estimate[planes], upper[planes] = one.lower_gy, one.estimate_gy, one.upper_gy
        known[planes], outside = one.known, one.outside_gy
        for number, covered in enumerate(one.coverage):
            share = part_of.shape[0] / onto.shape[0]
            coverage[number].append(Coverage(label=covered.label, fraction=covered.fraction * share))
    told = (Coverage(label=of[0].label, fraction=sum(one.fraction for one in of)) for of in coverage.values())
    return _ordered(onto, lower, estimate, upper, known, outside, tuple(told))


def _slabs(onto: Geometry) -> Iterator[tuple[slice, Geometry]]:
    """Yield planes of a grid, with the grid they are."""
    step = max(1, SLAB_VOXELS // (onto.shape[1] * onto.shape[2]))
    for start in range(0, onto.shape[0], step):
        stop = min(start + step, onto.shape[0])
        affine = onto.affine.copy()
        affine[:3, 3] = onto.to_points([[0, 0, start]])[0]
        yield slice(start, stop), Geometry(shape=(stop - start, *onto.shape[1:]), affine=affine)


# Physical dose straight from the grids, which needs no volume for each


def _accumulated(exposures: Sequence[Exposure], dose_type: str, onto: Geometry) -> Sum:
    """Add the parts by what they count in all, those of one kind of doubt together."""
    kinds: dict[tuple[float, float], dict[tuple[int, int], Part]] = defaultdict(dict)
    for one in exposures:
        for part in one.parts:
            share = share_of_physical(part, dose_type)
            if share is None:
                continue
            doubt = kinds[one.least if one.is_certain else 0.0, one.most]
            weight = one.fractions * part.per_fraction * share
            known = doubt.get(_place(part))
            doubt[_place(part)] = Part(
                grid=part.grid,
                weight=weight + (known.weight if known else 0.0),
                label=part.label,
                transform=part.transform,
            )
    sums = [(doubt, accumulate(list(parts.values()), onto)) for doubt, parts in kinds.items()]
    if not sums or (len(sums) == 1 and sums[0][0] == (1.0, 1.0)):
        return sums[0][1] if sums else accumulate([], onto)
    return _with_doubt(sums, onto)


def _with_doubt(sums: Sequence[tuple[tuple[float, float], Sum]], onto: Geometry) -> Sum:
    """Join sums of which some may have been given less, or more: where these touch a voxel it is unknown."""
    lower, estimate, upper = (np.zeros(onto.shape, dtype=np.float32) for _ in range(3))
    known = np.ones(onto.shape, dtype=np.bool_)
    for (least, most), one in sums:
        lower += one.lower_gy * np.float32(least)
        estimate += one.estimate_gy
        upper += one.upper_gy * np.float32(most)
        known &= one.known if least == most else one.upper_gy == 0
    coverage = tuple(covered for _, one in sums for covered in one.coverage)
    return _ordered(
        onto, lower, estimate, upper, known, sum(one.outside_gy * most for (_, most), one in sums), coverage
    )
