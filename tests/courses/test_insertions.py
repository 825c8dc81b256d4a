"""Insertions without registration: D2cc of each added as the customary worst case, between strict bounds."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from courses.composite import compose
from courses.effects import effects_on
from courses.insertions import Insertion, insertion_rows, unjoined_insertions, worst_d2cc
from courses.reading import Reader
from courses.shares import PlanShare
from courses.summing import eqd2_sum
from dose.biology.tissues import standard_tissues
from dose.shapes.dvh import dvh
from tests.courses.archived import Archived, SampleRecord
from tests.courses.gathered import Course, ball, composed, even, gathered, hill

BLADDER = standard_tissues().of("Bladder")


@pytest.fixture(scope="module")
def hdr(lung: SampleRecord, sample_archive: Archived) -> PlanShare:
    """A plan of high dose rate that nothing joins to the image."""
    share = compose(lung.record, sample_archive.reader).shares[0]
    held = share.plan.held
    assert held is not None
    assert held.header.plan is not None
    header = replace(held.header, plan=replace(held.header.plan, brachy_treatment="HDR"))
    plan = replace(share.plan, modality="brachy", held=replace(held, receipt=replace(held.receipt, header=header)))
    reason = "no registration joins its frame of reference to the one of the image"
    missing = replace(share, plan=plan, source="", mapping=None, code="LG-REG-001")
    return replace(missing, reason_not_summed=reason, reason_not_converted=reason)


def _rows(share: PlanShare, *insertions: Course, more: tuple[PlanShare, ...] = ()) -> dict[str, Any]:
    """45 Gy in 25 outside, and insertions each on their own images."""
    composite = composed(gathered(Course(name="external", dose=even(45), fractions=25)))
    bladder = ball(12, name="Bladder")
    apart = [Insertion(share=share, gathered=gathered(one), structures=(bladder,)) for one in insertions]
    organ = (bladder, BLADDER, effects_on(bladder, composite, standard_tissues()))
    (row,) = insertion_rows([organ], apart, [share, *more])
    return row


def test_cervix_when_insertions_are_not_joined_then_external_and_brachytherapy_stand_apart_and_are_added(
    hdr: PlanShare,
) -> None:
    row = _rows(hdr, *(Course(name=f"hdr {n}", dose=even(7), fractions=1) for n in range(4)))
    external, each = 45 * (1.8 + 3) / 5, 7 * (7 + 3) / 5
    assert row["alpha_beta_gy"] == 3.0
    assert row["sum_d2cc_eqd2_gy"]["value"] == pytest.approx(external, abs=1e-3)
    assert [one["d2cc_eqd2_gy"]["value"] for one in row["insertions"]] == pytest.approx([each] * 4, abs=1e-3)
    assert [one["d2cc_gy"]["value"] for one in row["insertions"]] == pytest.approx([7] * 4, abs=1e-3)
    together = row["together_d2cc_eqd2_gy"]
    # even doses are alike everywhere: the customary sum is exact, and the strict bound meets it
    assert together["estimate"] == pytest.approx(external + 4 * each, abs=1e-2)
    assert together["hi"] == pytest.approx(external + 4 * each, abs=1e-2)
    assert (together["value"], together["lo"]) == (None, pytest.approx(external, abs=1e-3))


def test_insertion_when_the_organ_is_not_drawn_or_another_dose_is_missing_then_nothing_is_bounded(
    hdr: PlanShare,
) -> None:
    other = replace(hdr, plan=replace(hdr.plan, uid="2.25.4711"))
    row = _rows(hdr, Course(name="hdr", dose=even(7), fractions=1), more=(other,))
    assert (row["together_d2cc_eqd2_gy"]["hi"], row["together_d2cc_eqd2_gy"]["estimate"]) == (None, None)
    bladder = ball(12, name="Bladder")
    alone = gathered(Course(name="hdr", dose=even(7), fractions=1))
    undrawn = Insertion(share=hdr, gathered=alone, structures=(ball(5, name="Rectum"),))
    (row,) = insertion_rows([(bladder, BLADDER, None)], [undrawn], [hdr])
    assert (row["insertions"][0]["d2cc_gy"], row["together_d2cc_eqd2_gy"]["hi"]) == (None, None)
    assert insertion_rows([(bladder, BLADDER, None)], [], [hdr]) == []


@given(
    st.lists(st.tuples(st.floats(-14, 14), st.floats(-14, 14), st.floats(4, 12)), min_size=2, max_size=3),
    st.floats(5, 30),
)
@settings(max_examples=8, deadline=None)
def test_bounds_when_hot_spots_lie_anywhere_then_d2cc_of_the_true_sum_is_between_them(
    hills: list[tuple[float, float, float]], gy: float
) -> None:
    courses = [
        Course(name=str(n), dose=hill(gy, (x, y, 0), width), fractions=1) for n, (x, y, width) in enumerate(hills)
    ]
    body = ball(15, name="Bladder")
    parts = [dvh(body, eqd2_sum(gathered(one), BLADDER).grid) for one in courses]
    true = dvh(body, eqd2_sum(gathered(*courses), BLADDER).grid).d_cc(2.0).lo
    told = worst_d2cc(parts)
    assert told["lo"] <= told["estimate"] <= told["hi"]
    assert told["lo"] - 1e-2 <= true <= told["hi"] + 1e-2


def test_plan_when_nothing_joins_it_then_it_is_read_on_its_own_images(
    hdr: PlanShare, lung: SampleRecord, sample_archive: Archived
) -> None:
    reader: Reader = sample_archive.reader
    composite = replace(compose(lung.record, reader), shares=(hdr,))
    (found,) = unjoined_insertions(composite, reader)
    assert found.structures
    assert {part.modality for part in found.gathered.parts} == {"brachy"}
    assert not any(part.not_addable for part in found.gathered.parts)
    assert np.isclose(sum(one.fractions for one in found.gathered.exposures), hdr.plan.fraction_equivalents, rtol=1e-6)
    for code, treatment in (("LG-CMP-052", "HDR"), ("LG-REG-001", "LDR")):
        held = hdr.plan.held
        assert held is not None
        assert held.header.plan is not None
        header = replace(held.header, plan=replace(held.header.plan, brachy_treatment=treatment))
        plan = replace(hdr.plan, held=replace(held, receipt=replace(held.receipt, header=header)))
        assert unjoined_insertions(replace(composite, shares=(replace(hdr, code=code, plan=plan),)), reader) == ()
