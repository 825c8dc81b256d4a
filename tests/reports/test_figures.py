"""Isodose pictures."""

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from dose.grids.grid import DoseGrid, Geometry, ImageVolume
from dose.shapes.planes import Orientation, PlaneCut, cut, hottest_point_mm
from reports.errors import PictureUnfit
from reports.figures import IsodosePicture, Outline, isolines, render_png
from reports.fonts import Typeface


def lattice(margin: int) -> tuple[Geometry, list[npt.NDArray[np.float64]]]:
    """A 4 mm grid around the origin, `margin` voxels larger on every side than the image; coordinates z, y, x."""
    shape = (41 + 2 * margin, 41 + 2 * margin, 51 + 2 * margin)
    starts = [-80.0 - 4 * margin, -80.0 - 4 * margin, -100.0 - 4 * margin]
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = starts[::-1]
    axes = [np.arange(count) * 4.0 + start for count, start in zip(shape, starts, strict=True)]
    return Geometry(shape=shape, affine=affine), list(np.meshgrid(*axes, indexing="ij"))


def phantom(known_mm: float = 60.0) -> list[PlaneCut]:
    """A gaussian of 60 Gy, 40 mm wide, in water; dose unknown further than `known_mm` along z."""
    geometry, (z, y, x) = lattice(2)
    dose = (60 * np.exp(-(x**2 + y**2 + z**2) / (2 * 40**2))).astype(np.float32)
    known = np.abs(z) <= known_mm
    grid = DoseGrid(geometry=geometry, dose_gy=np.where(known, dose, np.float32(0)), known=known)
    frame, (_, y, x) = lattice(0)
    image = ImageVolume(geometry=frame, hu=np.where(x**2 + y**2 < 70**2, 0, -1000).astype(np.float32))
    return [cut(way, hottest_point_mm(grid), grid, image=image) for way in Orientation]


@pytest.fixture(scope="module")
def cuts() -> list[PlaneCut]:
    return phantom()


def picture(planes: list[PlaneCut], **changes: object) -> IsodosePicture:
    values: dict[str, object] = {
        "cuts": planes,
        "reference_gy": 50.0,
        "reference_name": "处方",
        "provenance": ["RT Plan A"],
        "language": "zh",
    }
    return IsodosePicture(**(values | changes))  # type: ignore[arg-type]


def test_isolines_when_dose_is_a_gaussian_then_radius_is_the_analytic_one(cuts: list[PlaneCut]) -> None:
    (line,) = isolines(cuts[0], 30.0)
    radius = np.hypot(line[:, 0], line[:, 1])
    expected = 40 * np.sqrt(2 * np.log(60 / 30))
    assert np.abs(radius - expected).max() < 0.6  # trilinear sampling of a 4 mm grid


def test_isolines_when_dose_is_unknown_then_none_runs_there(cuts: list[PlaneCut]) -> None:
    coronal = cuts[1]
    found = [line for level in (1.0, 5.0, 20.0) for line in isolines(coronal, level)]
    assert max(float(np.abs(line[:, 1]).max()) for line in found) <= 60.0 + 4.0


def test_legend_when_drawn_then_it_says_gray_and_percent_of_what(cuts: list[PlaneCut]) -> None:
    texts = [text.replace("\u00a0", " ") for text in picture(cuts).texts]
    assert "47.5 Gy (95%)" in texts
    assert "100% = 50 Gy, 处方" in texts
    assert "剂量未知" in texts
    assert {"R", "L", "A", "P", "S", "I"} <= set(texts)


def test_legend_when_all_dose_is_known_then_it_does_not_speak_of_unknown() -> None:
    assert "剂量未知" not in picture(phantom(known_mm=1000)).texts


def test_png_when_drawn_twice_then_bytes_are_equal(cuts: list[PlaneCut], typeface: Typeface) -> None:
    assert render_png(picture(cuts), width=300, typeface=typeface) == render_png(
        picture(cuts), width=300, typeface=Typeface()
    )


def pixels(content: bytes) -> npt.NDArray[np.int16]:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=np.int16)


def test_png_when_dose_is_unknown_then_it_is_hatched(cuts: list[PlaneCut], typeface: Typeface) -> None:
    def reddish(drawn: list[PlaneCut]) -> int:
        image = pixels(
            render_png(picture(drawn, levels_percent=(1000.0,), provenance=()), width=400, typeface=typeface)
        )
        hatch = (image[..., 0] > 120) & (image[..., 0] < 200) & (image[..., 0] - image[..., 2] > 50)
        return int(hatch.sum())

    assert reddish(cuts) > 20 * reddish(phantom(known_mm=1000)) + 500


def test_png_when_an_outline_is_given_then_it_is_drawn_and_named(cuts: list[PlaneCut], typeface: Typeface) -> None:
    ring = np.array([[-30.0, -30], [30, -30], [30, 30], [-30, 30], [-30, -30]])
    outline = Outline(name="PTV", colour="#00FFFF", lines_mm=[[ring], [], []])
    plain, drawn = (
        pixels(render_png(picture(cuts, outlines=outlines), width=400, typeface=typeface))
        for outlines in ((), (outline,))
    )
    cyan = (drawn[..., 1] > 180) & (drawn[..., 2] > 180) & (drawn[..., 0] < 90)
    assert cyan.sum() > 300
    assert "PTV" in picture(cuts, outlines=[outline]).texts
    assert plain.shape == drawn.shape


@pytest.mark.parametrize(
    "changes",
    [
        {"cuts": []},
        {"reference_gy": 0.0},
        {"reference_gy": float("nan")},
        {"levels_percent": ()},
        {"levels_percent": (100.0, -5.0)},
        {"levels_percent": tuple(range(1, 12))},
        {"outlines": [Outline(name="x", colour="#FFFFFF", lines_mm=[])]},
    ],
)
def test_picture_when_it_would_mislead_then_it_is_refused(cuts: list[PlaneCut], changes: dict[str, object]) -> None:
    with pytest.raises(PictureUnfit):
        picture(cuts, **changes)


def test_picture_when_there_is_no_image_then_dose_alone_is_drawn(cuts: list[PlaneCut], typeface: Typeface) -> None:
    from dataclasses import replace

    alone = [replace(plane, ct_hu=None) for plane in cuts]
    assert pixels(render_png(picture(alone), width=300, typeface=typeface)).std() > 10
