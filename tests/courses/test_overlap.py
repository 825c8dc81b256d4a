"""Overlap classes of courses whose irradiated volumes are known by construction."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from courses.candidate import Organ
from courses.doubts import organ_share, overlap_rows
from courses.exposures import Gathered
from courses.overlap import (
    LimitUse,
    OrganShare,
    OverlapClass,
    Treated,
    class_of_course,
    irradiated,
    overlap_rules,
    overlaps,
)
from dose.biology.limits import read_limits
from dose.biology.linear_quadratic import bed, eqd2
from dose.biology.tissues import standard_tissues
from dose.grids.grid import Geometry
from tests.courses.gathered import Course, Field, ball, even, gathered, grid

RULES = overlap_rules()


def _box(gy: float, low: float, high: float) -> Field:
    """A dose between two sagittal planes."""
    return lambda points: np.where((points[:, 0] > low) & (points[:, 0] < high), np.float64(gy), 0.0)


COURSES = (
    Treated(dossier_id="new", first="20200301", last="20200320"),
    Treated(dossier_id="old", first="20180102", last="20180301"),
)


def _use(part: float, *, lo: float | None = None, hi: float | None = None) -> LimitUse:
    return LimitUse(
        limit="one", metric="Max[Gy]", quantity="EQD2", lo=part if lo is None else lo, estimate=part,
        hi=part if hi is None else hi,
    )  # fmt: skip


def _organ(*uses: LimitUse, irradiated_by: tuple[str, ...] = (), new: float = 20.0) -> OrganShare:
    by_course = {"old": 20.0, "new": new}
    return OrganShare(name="SpinalCord", by_course_gy=by_course, uses=uses, irradiated_by=frozenset(irradiated_by))


def _two(old: Field, new: Field) -> Gathered:
    return gathered(Course(name="old", dose=old), Course(name="new", dose=new))


def test_class_when_isodoses_overlap_then_it_is_type_1_with_the_volume_of_both() -> None:
    all_of_it = _two(_box(50, -20, 4), _box(30, -6, 20))
    volumes = irradiated(all_of_it, RULES)
    (found,) = overlaps(COURSES, volumes, [_organ(irradiated_by=("old", "new"))], RULES)
    assert found.found is found.likely is OverlapClass.TYPE_1
    # voxel centres between -6 and 4: five of 2 mm, by 30 x 30 of 2 mm
    assert found.lo_cc == pytest.approx(5 * 30 * 30 * 0.008)
    assert found.lo_cc == found.hi_cc
    assert found.isodose_gy == pytest.approx({"old": 25.0, "new": 15.0})
    assert found.interval_days == 731
    assert found.organs == ("SpinalCord",)
    assert class_of_course("new", [found]) is OverlapClass.TYPE_1
    assert class_of_course("old", [found]) is None


@pytest.mark.parametrize(
    ("organ", "expected"),
    [
        (_organ(_use(0.8)), OverlapClass.TYPE_2),
        (_organ(_use(0.1), _use(0.7)), OverlapClass.TYPE_2),
        (_organ(_use(0.69)), OverlapClass.REPEAT),
        (_organ(_use(0.8), new=0.5), OverlapClass.REPEAT),
        (_organ(_use(0.6), irradiated_by=("old", "new")), OverlapClass.REPEAT_ORGAN),
        (_organ(irradiated_by=("old",)), OverlapClass.REPEAT),
        (_organ(_use(0.8, lo=0.7, hi=math.inf)), OverlapClass.TYPE_2),
    ],
)
def test_class_when_isodoses_do_not_meet_then_organs_decide(organ: OrganShare, expected: OverlapClass) -> None:
    all_of_it = _two(_box(50, -20, -8), _box(30, 8, 20))
    (found,) = overlaps(COURSES, irradiated(all_of_it, RULES), [organ], RULES)
    assert (found.found, found.hi_cc) == (expected, 0.0)


def test_class_when_a_grid_ends_before_the_other_course_then_it_cant_be_told_and_bounds_are() -> None:
    short = Course(name="old", dose=_box(50, -28, -20), geometry=grid(shape=(30, 30, 10)))
    all_of_it = gathered(short, Course(name="new", dose=_box(30, 8, 20)))
    (found,) = overlaps(COURSES, irradiated(all_of_it, RULES), [], RULES)
    assert found.found is OverlapClass.UNKNOWN
    assert found.likely is OverlapClass.REPEAT
    assert found.lo_cc == 0.0
    assert found.hi_cc == pytest.approx(6 * 30 * 30 * 0.008)


def test_class_when_a_dose_is_missing_altogether_then_it_cant_be_told() -> None:
    all_of_it = gathered(Course(name="new", dose=_box(30, 8, 20)))
    volumes = irradiated(all_of_it, RULES)
    (found,) = overlaps(COURSES, volumes, [], RULES, missing=frozenset({"old"}))
    assert found.found is OverlapClass.UNKNOWN


def test_class_of_a_course_when_one_pair_cant_be_told_then_only_a_certain_overlap_goes_before() -> None:
    all_of_it = _two(_box(50, -20, -8), _box(30, 8, 20))
    (one,) = overlaps(COURSES, irradiated(all_of_it, RULES), [_organ(_use(0.8))], RULES)
    unknown, certain = replace(one, found=OverlapClass.UNKNOWN), replace(one, found=OverlapClass.TYPE_1)
    assert class_of_course("new", [one, unknown]) is OverlapClass.UNKNOWN
    assert class_of_course("new", [unknown, certain]) is OverlapClass.TYPE_1


def test_rules_when_read_then_they_say_what_is_the_consensus_and_what_our_own_choice() -> None:
    assert "10.1016/S1470-2045(22)00447-8" in RULES.source
    assert "our own choice" in RULES.source
    assert RULES.version


@pytest.mark.parametrize(
    ("lo", "hi", "expected"), [(0.3, 0.9, OverlapClass.UNKNOWN), (0.3, math.inf, OverlapClass.UNKNOWN),
                               (0.3, 0.69, OverlapClass.REPEAT)],
)  # fmt: skip
def test_class_when_only_a_bound_of_a_limit_is_a_concern_then_it_cant_be_told_but_the_likely_one_is(
    lo: float, hi: float, expected: OverlapClass
) -> None:
    volumes = irradiated(_two(_box(50, -20, -8), _box(30, 8, 20)), RULES)
    (found,) = overlaps(COURSES, volumes, [_organ(_use(0.5, lo=lo, hi=hi))], RULES)
    assert (found.found, found.likely) == (expected, OverlapClass.REPEAT)
    (row,) = overlap_rows([found])["overlap"]
    assert row["limits"][0]["used"]["hi"] == (None if hi == math.inf else hi)
    assert row["interval_days"] == 731


def _uses(name: str, set_name: str = "", own: Path | None = None, geometry: Geometry | None = None) -> list[LimitUse]:
    """30 Gy in 10 and 20 Gy in 5 everywhere, in a ball of 8 mm."""
    given = gathered(
        Course(name="old", dose=even(30), fractions=10, geometry=geometry),
        Course(name="new", dose=even(20), fractions=5),
        geometry=grid(),
    )
    organ = Organ(
        structure=ball(8, name=name),
        tissue=standard_tissues().of(name),
        limits=read_limits(own).named(set_name).of(name),
    )
    share = organ_share(organ, given, {})
    assert share is not None
    return list(share.uses)


def test_limits_when_of_any_metric_or_quantity_then_each_is_used_up_in_its_own_terms(tmp_path: Path) -> None:
    own = tmp_path / "limits.toml"
    kinds = {"umich-spinalcord": "", "umich-liver": "", "umich-rectum": 'metric = "Mean[Gy]"'}
    rows = (f'[limit.{name}]\n{more}\nactive = true\ncitation = "us"\n' for name, more in kinds.items())
    own.write_text("".join(rows), "utf-8")
    (cord,) = _uses("SpinalCord")  # Max, BED
    assert cord.estimate == pytest.approx((bed(30, 10, 2) + bed(20, 5, 2)) / 135.5, abs=1e-5)
    (sac,) = _uses("ThecalSac")  # Max, EQD2
    assert sac.estimate == pytest.approx((eqd2(30, 10, 2) + eqd2(20, 5, 2)) / 70, abs=1e-5)
    (hot,) = _uses("SpinalCord", "umich", own)  # D0.1cc, EQD2, another alpha/beta
    assert hot.estimate == pytest.approx((eqd2(30, 10, 2.5) + eqd2(20, 5, 2.5)) / 50, abs=1e-3)
    (mean,) = _uses("Rectum", "umich", own)
    assert mean.estimate == pytest.approx((eqd2(30, 10, 3) + eqd2(20, 5, 3)) / 80, abs=1e-5)
    (liver,) = _uses("Liver", "umich", own)  # CV32Gy: nothing of it is spared
    assert math.isinf(liver.estimate)
    assert _uses("Bladder", "umich", own) == []
    for use in (cord, sac, hot, mean):
        assert use.lo == pytest.approx(use.hi, abs=1e-5)


def test_limits_when_a_grid_ends_within_the_organ_then_what_is_used_has_bounds_in_order() -> None:
    (sac,) = _uses("ThecalSac", geometry=grid((30, 30, 15)))
    assert sac.lo <= sac.estimate <= sac.hi
    assert sac.lo == pytest.approx((eqd2(30, 10, 2) + eqd2(20, 5, 2)) / 70, abs=1e-3)


def test_class_when_far_from_each_other_but_the_cord_nears_its_limit_then_it_is_type_2() -> None:
    """Two fields beside each other: their isodoses do not meet, the cord between them got 40 % of both."""

    def field(gy: float, side: int) -> Field:
        return lambda points: gy * np.where(side * points[:, 0] > 10, 1.0, np.where(abs(points[:, 0]) < 10, 0.4, 0.0))

    given = gathered(Course(name="old", dose=field(75, -1)), Course(name="new", dose=field(75, 1)))
    organ = Organ(
        structure=ball(6, name="SpinalCord"),
        tissue=standard_tissues().of("SpinalCord"),
        limits=read_limits().named("").of("SpinalCord"),
    )
    volumes = irradiated(given, RULES)
    share = organ_share(organ, given, volumes)
    assert share is not None
    # 30 Gy in 25 fractions twice: 96 Gy BED, 71 % of 135.5
    assert share.uses[0].estimate == pytest.approx(96 / 135.5, abs=1e-4)
    (found,) = overlaps(COURSES, volumes, [share], RULES)
    assert (found.found, found.hi_cc, found.organs) == (OverlapClass.TYPE_2, 0.0, ("SpinalCord",))
    assert class_of_course("new", [found]) is OverlapClass.TYPE_2
