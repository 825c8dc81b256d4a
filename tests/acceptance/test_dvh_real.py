"""`lastgate dvh` on a clinical plan: the program prints what the library computes and what the planning system said.

And a head-and-neck dose whose volumes of isodoses Eclipse and CERR have tabled.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import dcmread

from dose.grids.grid import DoseGrid, Geometry
from dose.objects.dicom import read_dose
from dose.shapes.dvh import Figure, dvh
from dose.shapes.structures import read_structures
from tests.dose.phantoms import box, structure

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
    for one, printed in zip(drawn, told["structures"], strict=True):
        found, figures = dvh(one, grid), printed["physical"]
        assert printed["volume_cc"] == pytest.approx(found.volume_cc, abs=1e-4)
        assert figures["unknown_cc"] == pytest.approx(found.unknown_cc, abs=1e-4)
        for name, figure in (
            ("max_gy", found.max_gy), ("mean_gy", found.mean_gy), ("min_gy", found.min_gy),
            ("d0_03cc_gy", found.d_cc(0.03)), ("d0_1cc_gy", found.d_cc(0.1)), ("d1cc_gy", found.d_cc(1.0)),
            ("d2cc_gy", found.d_cc(2.0)), ("d98_gy", found.d_percent(98)), ("d95_gy", found.d_percent(95)),
            ("d2_gy", found.d_percent(2)),
        ):  # fmt: skip
            assert _bounds(figures[name]) == _told(figure), (one.name, name)
        for one in figures["v"]:
            assert _bounds(one["cc"]) == _told(found.v_gy(one["gy"])), one.name
        for one in figures["cv"]:
            assert _bounds(one["cc"]) == _told(found.cv_gy(one["gy"])), one.name


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


def _nrrd_dose(path: Path) -> DoseGrid:
    """A dose stored as NRRD, axes along the patient's."""
    import SimpleITK

    image = SimpleITK.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = np.diag(image.GetSpacing()), image.GetOrigin()  # type: ignore[no-untyped-call]
    dose = SimpleITK.GetArrayFromImage(image)
    return DoseGrid(dose_gy=dose, geometry=Geometry(shape=dose.shape, affine=affine))


def _tabled_cc(path: Path, name: str, doses_gy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Volumes a table gives a structure at doses; its head says of how many cm3 the percentages are."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        head, *rows = csv.reader(file)
    column = next(n for n, title in enumerate(head) if title.startswith(f"{name}_"))
    total_cc = float(head[column + 1].split("of")[1].split("cc")[0])
    curve = np.array([[float(row[column]), float(row[column + 1])] for row in rows if row[column]])
    return np.interp(doses_gy, curve[:, 0], curve[:, 1] * total_cc / 100)


def test_isodoses_when_made_of_the_whole_grid_then_their_volumes_lie_between_those_of_eclipse_and_cerr(
    real_data: Path,
) -> None:
    folder = real_data / "eclipse_ent_day1_day2" / "ref"
    grid = _nrrd_dose(folder / "EclipseEnt_Dose.nrrd")
    low, high = grid.geometry.corner_points().min(axis=0), grid.geometry.corner_points().max(axis=0)
    step = grid.geometry.spacing_mm[2]
    slices = np.arange(low[2] + step / 2, high[2], step)
    whole = dvh(structure([box(low[:2], high[:2], float(z)) for z in slices]), grid)
    assert whole.unknown_cc == pytest.approx(0, abs=1e-6)
    # the contours are not published; from 10 Gy on all of the dose lies within the body, so its isodoses do without
    doses = np.array([10, 20, 30, 40, 45, 50, 52, 55, 58, 59, 60, 61, 62.0])
    ours = np.array([whole.v_gy(dose).value for dose in doses], dtype=np.float64)
    eclipse = _tabled_cc(folder / "EclipseEnt_DvhTable_Eclipse.csv", "BODY", doses)
    cerr = _tabled_cc(folder / "EclipseEnt_DvhTable_CERR.csv", "BODY", doses)
    assert (ours <= np.maximum(eclipse, cerr) * 1.0005).all()
    assert (ours >= np.minimum(eclipse, cerr) * 0.9995).all()
    assert np.abs(ours / eclipse - 1)[doses <= 55] == pytest.approx(0, abs=0.015)
    # Eclipse prints bins of 0.06 Gy
    assert whole.max_gy.value == pytest.approx(62.58, abs=0.06)
