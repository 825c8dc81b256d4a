"""`lastgate dvh` on a clinical plan: the program prints what the library computes and what the planning system said."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from dose.objects.dicom import read_dose
from dose.shapes.dvh import Figure, dvh
from dose.shapes.structures import read_structures

pytestmark = pytest.mark.real_data

PRESCRIPTION_GY = 14.0
OFF_PERCENT = {
    "BODY": -0.05,
    "Borders": 0.00,
    "Breast": -0.43,
    "Heart": -0.01,
    "Lt Lung": -0.01,
    "Nodes": 0.03,
    "Scar": 0.17,
    "Tumor Bed": 0.02,
    "Tumor Bed Block": -0.13,
}
"""Mean dose, ours minus theirs in percent of the prescription, as measured: a change must be noticed and explained."""


class Program:
    """The program as installed, in an archive of its own."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def json(self, *arguments: str | Path) -> Any:
        """Run a command with `--json` and return what it printed; nothing else may stand there."""
        done = subprocess.run(
            [sys.executable, "-c", "from lastgate.cli import main; main()", *map(str, arguments), "--json"],
            cwd=self._home, env={**os.environ, "LASTGATE_HOME": str(self._home)}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def told(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The answer of `dvh --as-planned --json` after an import, with the CSV file it wrote."""
    home = tmp_path_factory.mktemp("home")
    program = Program(home)
    program.json("import", real_data / "dicompyler_core")
    (dossier,) = program.json("find")
    answer = program.json("dvh", dossier["id"][:10], "--as-planned", "-o", home / "curves.csv")
    return {**answer, "csv": home / "curves.csv"}


def _told(figure: Figure) -> dict[str, Any]:
    value = None if figure.value is None else pytest.approx(figure.value, abs=1e-4)
    return {"value": value, "lo": pytest.approx(figure.lo, abs=1e-4), "hi": pytest.approx(figure.hi, abs=1e-4)}


def _bounds(printed: dict[str, Any]) -> dict[str, Any]:
    """Return value and bounds of a printed figure; an estimate lies between; one too small has none."""
    assert printed["estimate"] is None or printed["lo"] <= printed["estimate"] <= printed["hi"]
    return {key: printed[key] for key in ("value", "lo", "hi")}


def test_dvh_when_printed_as_json_then_every_figure_is_that_of_the_library(
    told: dict[str, Any], real_data: Path
) -> None:
    folder = real_data / "dicompyler_core"
    grid = read_dose(dcmread(folder / "rtdose.dcm")).grid
    drawn = [one for one in read_structures(dcmread(folder / "rtss.dcm")).structures if one.has_volume]
    assert [one["name"] for one in told["structures"]] == [one.name for one in drawn]
    assert len(drawn) == 9
    for structure, printed in zip(drawn, told["structures"], strict=True):
        found, figures = dvh(structure, grid), printed["physical"]
        assert printed["volume_cc"] == pytest.approx(found.volume_cc, abs=1e-4)
        assert figures["unknown_cc"] == pytest.approx(found.unknown_cc, abs=1e-4)
        for name, figure in (
            ("max_gy", found.max_gy), ("mean_gy", found.mean_gy), ("min_gy", found.min_gy),
            ("d0_03cc_gy", found.d_cc(0.03)), ("d0_1cc_gy", found.d_cc(0.1)), ("d1cc_gy", found.d_cc(1.0)),
            ("d2cc_gy", found.d_cc(2.0)), ("d98_gy", found.d_percent(98)), ("d95_gy", found.d_percent(95)),
            ("d2_gy", found.d_percent(2)),
        ):  # fmt: skip
            assert _bounds(figures[name]) == _told(figure), (structure.name, name)
        for one in figures["v"]:
            assert _bounds(one["cc"]) == _told(found.v_gy(one["gy"])), structure.name
        for one in figures["cv"]:
            assert _bounds(one["cc"]) == _told(found.cv_gy(one["gy"])), structure.name


def test_dvh_when_compared_with_the_planning_system_then_means_agree_within_a_percent(
    told: dict[str, Any], real_data: Path
) -> None:
    folder = real_data / "dicompyler_core"
    names = {int(roi.ROINumber): str(roi.ROIName) for roi in dcmread(folder / "rtss.dcm").StructureSetROISequence}
    ours = {one["name"]: one["physical"]["mean_gy"]["lo"] for one in told["structures"]}
    compared = {}
    for item in dcmread(folder / "rtdose.dcm").DVHSequence:
        name = names[int(item.DVHReferencedROISequence[0].ReferencedROINumber)]
        compared[name] = 100 * ours[name] / PRESCRIPTION_GY - float(item.DVHMeanDose)
    assert compared == pytest.approx(OFF_PERCENT, abs=0.02)
    assert max(map(abs, compared.values())) < 1


def test_dvh_when_told_then_it_says_that_it_is_as_planned(told: dict[str, Any]) -> None:
    assert (told["basis"], told["complete"], told["dose_type"]) == ("planned", True, "physical")
    (plan,) = told["plans"]
    assert plan["basis"] == "planned"
    assert plan["fractions"] == {"planned": 7, "delivered": 0}
    assert (plan["source"], plan["delivery_state"]) == ("stored", "unknown")


def test_curves_when_written_as_csv_then_they_are_those_of_the_json(told: dict[str, Any]) -> None:
    with told["csv"].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for one in told["structures"]:
        mine = [row for row in rows if row["structure"] == one["name"]]
        assert [float(row["dose_gy"]) for row in mine] == one["curve"]["dose_gy"]
        assert [float(row["volume_cc_at_least"]) for row in mine] == one["curve"]["lo_cc"]
        assert [float(row["volume_cc_at_most"]) for row in mine] == one["curve"]["hi_cc"]
        assert one["curve"]["lo_cc"][0] == pytest.approx(one["volume_cc"], abs=1e-3)
