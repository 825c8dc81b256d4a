"""Masks as contours and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dose.shapes.mask import fill, outline
from tests.dose.phantoms import ORIENTATIONS, centred, structure


@pytest.mark.parametrize("name", ORIENTATIONS)
@given(mask=arrays(np.bool_, (3, 6, 7), elements=st.booleans()))
@settings(max_examples=25, deadline=None)
def test_mask_when_outlined_and_filled_then_it_is_the_same(name: str, mask: np.ndarray) -> None:
    geometry = centred(ORIENTATIONS[name], shape=(3, 6, 7))
    contours = outline(mask, geometry)
    if not mask.any():
        assert contours == []
        return
    filled = fill(structure([points for _, points in contours]), geometry)
    assert np.array_equal(filled, mask)


def test_ring_when_outlined_then_it_is_two_contours_of_four_corners() -> None:
    mask = np.zeros((1, 7, 8), dtype=np.bool_)
    mask[0, 1:6, 1:7] = True
    mask[0, 3, 3:5] = False
    contours = outline(mask, centred(ORIENTATIONS["HFS"], shape=(1, 7, 8)))
    assert sorted(len(points) for _, points in contours) == [4, 4]


def test_structure_when_it_reaches_beyond_the_grid_then_the_part_on_it_is_filled() -> None:
    geometry = centred(ORIENTATIONS["HFS"], shape=(3, 6, 6), spacing_mm=(1, 1, 1))
    outside = np.array([(-100.0, 0.5, 0), (100.0, -99.5, 0), (100.0, 100.5, 0)])
    filled = fill(structure([outside]), geometry)
    y, x = np.mgrid[-2.5:3, -2.5:3]
    assert np.array_equal(filled[1], np.abs(y - 0.5) <= (x + 100) / 2)
    assert not filled[[0, 2]].any()
