"""What a composite of the sample says of its doubts and of how its courses meet."""

import pytest

from courses.candidate import Organ
from courses.composite import compose
from courses.doubts import doubt_rows, found_overlaps, measured_errors_mm, overlap_rows
from courses.summing import eqd2_sum
from courses.uncertainty import Doubts
from dose.biology.limits import read_limits
from dose.biology.tissues import alpha_beta_for
from dose.shapes.dvh import dvh
from tests.courses.archived import Archived, SampleRecord
from tests.courses.gathered import ball


def test_composite_when_two_lung_courses_lie_on_one_image_then_doubts_and_classes_are_told(
    lung: SampleRecord, sample_archive: Archived
) -> None:
    composite = compose(lung.record, sample_archive.reader)
    total, tissue = composite.total, alpha_beta_for("SpinalCord")
    middle = tuple(total.geometry.corner_points().mean(axis=0))
    body = ball(12, middle, name="SpinalCord")
    effect = eqd2_sum(composite.gathered, tissue)
    histograms = {"physical": dvh(body, total.grid), "eqd2": dvh(body, effect.grid)}
    rows = doubt_rows(body, composite.gathered, Doubts(tissue=tissue), histograms)  # type: ignore[arg-type]
    maximum = rows["ensemble"]["physical"]["max_gy"]
    assert maximum["lo"] < maximum["nominal"] < maximum["hi"]
    assert maximum["hi_by"] in maximum["by_source"]
    assert rows["ensemble"]["members"] == 31
    assert rows["sum_of_maxima_gy"]["eqd2"] >= rows["search_radius"]["eqd2"]["radii"][2]["same_structure_gy"] - 1e-3
    limits = read_limits().named("").of("SpinalCord")
    found = overlap_rows(found_overlaps(composite, [Organ(structure=body, tissue=tissue, limits=limits)]))
    (pair,) = found["overlap"]
    assert pair["class"] in {"type_1", "unknown"}
    assert pair["interval_days"] > 0
    (use,) = pair["limits"]
    assert (use["structure"], use["limit"], use["metric"], use["quantity"]) == (
        "SpinalCord", "nieder-cord", "Max[Gy]", "BED",
    )  # fmt: skip
    together = dvh(body, effect.grid, upper_gy=effect.upper_gy).max_gy
    assert use["used"]["lo"] == pytest.approx(together.lo * 2 / 135.5, abs=1e-3)
    assert use["used"]["lo"] <= use["used"]["estimate"] <= use["used"]["hi"]
    assert found["overlap_class"] == {pair["later"]: pair["class"]}
    assert measured_errors_mm(composite.shares) == {}
