"""Figures by their names of TG-263."""

import pytest

from dose.errors import BadMetric
from dose.shapes.dvh import Figure, dvh
from dose.shapes.metrics import Metric
from tests.dose.phantoms import ORIENTATIONS, centred, linear_grid, sphere, sphere_cc

NAMES = [
    "Max[Gy]",
    "Mean[Gy]",
    "Min[Gy]",
    "D0.03cc[Gy]",
    "D95%[Gy]",
    "V20Gy[%]",
    "V20Gy[cc]",
    "CV16Gy[cc]",
    "CV7.5Gy[%]",
]


@pytest.mark.parametrize("name", NAMES)
def test_name_when_read_and_written_then_it_is_the_same(name: str) -> None:
    assert str(Metric.parse(name)) == name


@pytest.mark.parametrize(
    "name", ["", "Dmax", "D95", "D0cc[Gy]", "D101%[Gy]", "V95%[%]", "D2cc[%]", "max[gy]", "D-1cc[Gy]"]
)
def test_name_when_it_is_none_of_tg_263_then_it_is_refused_with_what_to_write(name: str) -> None:
    with pytest.raises(BadMetric) as refused:
        Metric.parse(name)
    assert refused.value.code == "LG-DOS-050"
    assert "D0.03cc[Gy]" in refused.value.hint


def test_figures_when_asked_by_name_then_they_are_those_of_the_sphere() -> None:
    found = dvh(sphere(10, 2, (0, 0, 0)), linear_grid(centred(ORIENTATIONS["HFS"])))

    def value(name: str) -> float | None:
        return Metric.parse(name).of(found).value

    assert value("Mean[Gy]") == pytest.approx(30, abs=1e-3)
    assert value("D50%[Gy]") == pytest.approx(30, abs=2e-3)
    assert value("V30Gy[%]") == pytest.approx(50, abs=0.1)
    assert value("CV30Gy[cc]") == pytest.approx(sphere_cc(10) / 2, rel=2e-3)
    assert (value("Max[Gy]"), value("Min[Gy]")) == (found.max_gy.value, found.min_gy.value)


def test_figure_when_the_structure_is_smaller_than_the_volume_then_it_has_bounds_and_no_value() -> None:
    found = dvh(sphere(4, 1, (0, 0, 0)), linear_grid(centred(ORIENTATIONS["HFS"])))
    assert Metric.parse("D2cc[Gy]").of(found) == Figure(value=None, lo=found.min_gy.lo, hi=found.max_gy.hi)
