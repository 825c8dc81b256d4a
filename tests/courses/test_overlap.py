"""Overlap classes of courses whose irradiated volumes are known by construction."""

from dataclasses import replace

import numpy as np
import pytest

from courses.exposures import Gathered
from courses.overlap import (
    OrganShare,
    OverlapClass,
    Treated,
    class_of_course,
    irradiated,
    overlap_rules,
    overlaps,
)
from tests.courses.gathered import Course, Field, gathered, grid

RULES = overlap_rules()


def _box(gy: float, low: float, high: float) -> Field:
    """A dose between two sagittal planes."""
    return lambda points: np.where((points[:, 0] > low) & (points[:, 0] < high), np.float64(gy), 0.0)


COURSES = (
    Treated(dossier_id="new", first="20200301", last="20200320"),
    Treated(dossier_id="old", first="20180102", last="20180301"),
)


def _organ(*, together: float = 40.0, limit: float | None = 50.0, irradiated_by: tuple[str, ...] = ()) -> OrganShare:
    return OrganShare(
        name="SpinalCord", by_course_gy={"old": 20.0, "new": 20.0}, together_gy=together, limit_gy=limit,
        irradiated_by=frozenset(irradiated_by),
    )  # fmt: skip


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
        (_organ(together=40.0), OverlapClass.TYPE_2),
        (_organ(together=30.0), OverlapClass.REPEAT),
        (_organ(together=30.0, irradiated_by=("old", "new")), OverlapClass.REPEAT_ORGAN),
        (_organ(limit=None, irradiated_by=("old",)), OverlapClass.REPEAT),
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
    (one,) = overlaps(COURSES, irradiated(all_of_it, RULES), [_organ()], RULES)
    unknown, certain = replace(one, found=OverlapClass.UNKNOWN), replace(one, found=OverlapClass.TYPE_1)
    assert class_of_course("new", [one, unknown]) is OverlapClass.UNKNOWN
    assert class_of_course("new", [unknown, certain]) is OverlapClass.TYPE_1
