"""Maps between frames of reference: matrices and displacement fields, one after the other.

A map is kept as resampling needs it: it takes a place of the *fixed* image and tells where the same tissue is on the
*moving* one. Where a step says nothing (tissue marked as gone, for instance) the place has no partner: its coordinates
are NaN, and whatever is read there is unknown.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Protocol, Self

import numpy as np

from dose.errors import BadGeometry
from dose.grids.grid import Affine, Points, moved

_INVERSE_STEPS = 40
_SAME_MM = 1e-4


class Step(Protocol):
    """One part of a map."""

    def apply(self, points_mm: Points) -> Points:
        """Return where places go, ``[n, 3]``; NaN where the step says nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class MatrixStep:
    """A 4 x 4 matrix, mm, LPS."""

    matrix: Affine

    def apply(self, points_mm: Points) -> Points:
        """Return where places go."""
        return moved(points_mm, self.matrix)


@dataclass(frozen=True, slots=True)
class Transform:
    """A map from places of the fixed image to places of the moving one.

    Parameters
    ----------
    steps
        Applied in this order; none is the identity.
    """

    steps: tuple[Step, ...] = ()

    @classmethod
    def of_matrix(cls, fixed_to_moving: Affine) -> Self:
        """Return the map of one matrix."""
        return cls((MatrixStep(fixed_to_moving),))

    @property
    def matrix(self) -> Affine | None:
        """All steps as one matrix; None where one of them is no matrix."""
        matrices = [step.matrix for step in self.steps if isinstance(step, MatrixStep)]
        if len(matrices) != len(self.steps):
            return None
        return reduce(lambda product, matrix: matrix @ product, matrices, np.eye(4))

    @property
    def matrices_alone(self) -> "Transform":
        """The map without its displacement fields."""
        return Transform(tuple(step for step in self.steps if isinstance(step, MatrixStep)))

    def to_moving(self, points_mm: Points) -> Points:
        """Return the places of the moving image that belong to places of the fixed one, ``[n, 3]``."""
        return reduce(lambda points, step: step.apply(points), self.steps, np.asarray(points_mm, dtype=np.float64))

    def then(self, other: "Transform") -> "Transform":
        """Return the map through a third image: this one onto it, `other` on from there."""
        return Transform((*self.steps, *other.steps))

    def to_fixed(self, points_mm: Points) -> Points:
        """Return the places of the fixed image that belong to places of the moving one, ``[n, 3]``.

        Matrices are inverted; of anything else the inverse is found by fixed-point iteration (Chen et al., Med Phys
        35:81, 2008). NaN where it does not settle within a ten-thousandth of a millimetre.

        Raises
        ------
        BadGeometry
            The matrix has no inverse.
        """
        points = np.asarray(points_mm, dtype=np.float64)
        matrix = self.matrix
        if matrix is not None:
            return MatrixStep(_inverse(matrix)).apply(points)
        # Displacements are small beside the matrices around them: these alone are where to begin.
        rigid = self.matrices_alone.matrix
        assert rigid is not None
        back = MatrixStep(_inverse(rigid))
        found = back.apply(points)
        for _ in range(_INVERSE_STEPS):
            off = points - self.to_moving(found)
            if not np.nanmax(np.abs(off), initial=0.0) > _SAME_MM:
                break
            found = found + off @ back.matrix[:3, :3].T
        settled = np.abs(points - self.to_moving(found)).max(axis=-1) <= 10 * _SAME_MM
        return np.where(settled[:, np.newaxis], found, np.nan)


def _inverse(matrix: Affine) -> Affine:
    if abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise BadGeometry("A registration takes the whole image into a plane: its matrix has no inverse.")
    return np.linalg.inv(matrix).astype(np.float64)
