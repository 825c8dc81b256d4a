"""The committed table of accuracy is recomputed, and its figures are held to their aims."""

import re
from pathlib import Path

import pytest

from tests.dose.dvh_accuracy import RADII_MM, Row, lines, nelms_rows, sphere_rows, tps_rows

PAGE = Path(__file__).parents[2] / "docs" / "dvh-accuracy.md"


def _committed(name: str) -> tuple[float, ...]:
    """Figures of the line of a table that begins with this name."""
    found = re.search(rf"^\| {re.escape(name)} \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert found, f"{name} has no line in {PAGE.name}"
    return tuple(float(v) for v in found.group(1).split(" | "))


def _agrees(rows: list[Row], digits: int) -> None:
    for row in rows:
        # a last digit may fall either way on another machine
        assert row.figures == pytest.approx(_committed(row.name), abs=1.5 * 10**-digits), row.name
    assert len(lines(rows, digits)) == len(rows)


@pytest.mark.real_data
def test_nelms_cases_when_recomputed_then_they_are_the_committed_ones_and_within_their_aims(real_data: Path) -> None:
    rows = nelms_rows(real_data)
    assert len(rows) == 30
    _agrees(rows, 2)
    for row in rows:
        volume, _, *doses = row.figures
        assert abs(volume) < 0.5, row.name
        # the lying cone on 3 mm slices and voxels is the hardest of all cases
        assert max(abs(d) for d in doses) < (0.4 if "RtCone" in row.name else 0.1), row.name


def test_spheres_when_recomputed_then_they_are_the_committed_ones_and_within_their_aims() -> None:
    rows = sphere_rows()
    assert len(rows) == 4 * len(RADII_MM)
    _agrees(rows, 3)
    for row in rows:
        radius, slice_mm = (float(v) for v in re.findall(r"[\d.]+", row.name))
        volume, _, mean, d95 = row.figures
        if radius >= slice_mm or slice_mm < 3:  # of 2 mm radius on slices of 3 mm too little is seen
            assert volume < (1 if radius >= 5 else 5), row.name
            assert max(mean, d95) < 0.02, row.name


@pytest.mark.real_data
def test_clinical_plan_when_recomputed_then_it_is_the_committed_one_and_means_agree(real_data: Path) -> None:
    rows = tps_rows(real_data)
    assert len(rows) == 9
    _agrees(rows, 2)
    for row in rows:
        theirs, ours, ended_alike = row.figures[2], row.figures[6], row.figures[10]
        assert ours == pytest.approx(theirs, abs=1.0), row.name
        assert ended_alike == pytest.approx(theirs, abs=0.3 if row.name == "Scar" else 0.1), row.name
