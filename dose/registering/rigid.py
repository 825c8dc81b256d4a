"""Rigid registration of two CT: on bone, or on a region around an organ.

The start is the shift at which the images correlate best where both show something (masked normalised correlation,
Padfield, IEEE Trans Image Process 21:2706, 2012): it needs no common frame and finds a short scan within a long one.
From there three turns and three shifts climb the correlation of the region, from coarse to fine. Correlation and not
mutual information: both find a CT within a twentieth of a voxel, but the latter adds up in the order in which threads
finish, and a registration kept for decades must come out the same, to the last digit, whenever it is computed again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dose.errors import HardlyOverlap, NotConverged, NothingToCompare
from dose.grids.grid import Affine, Geometry, ImageVolume, Mask
from dose.grids.transforms import MatrixStep, Transform
from dose.registering.images import (
    BODY_WINDOW,
    BONE_HU,
    BONE_WINDOW,
    TISSUE_WINDOW,
    Window,
    array,
    brought,
    grown,
    inside,
    itk_image,
    on_grid,
    points_of,
    refuse_small,
    similarity,
    simple_itk,
    upright,
    working_spacing_mm,
)

Tell = Callable[[str], None]

THREADS = 1
"""Threads of a search: sums of floating-point numbers then have one order."""

SEED = 20170301
"""Of the sampling within voxels."""

LEAST_OVERLAP = 0.25
"""Of the region compared, or of the other image's, so much must be on both images."""

LEAST_SIMILARITY = 0.4
"""Correlation below which the images do not show the same place: noise has none, a patient and himself 0.8 and more."""

_START_MM = 9.0
_START_OVERLAP = 0.2
_RIM_MM = 6.0
_BOX_MM = 24.0
_SHRINK = (3, 2, 1)
_STEPS = 150
_FIRST_STEP_MM, _LAST_STEP_MM = 2.0, 0.002
_SAMPLES = 150_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Convergence:
    """How the search ended.

    Parameters
    ----------
    iterations
        At the finest level.
    ended
        In the words of the optimiser.
    start_similarity, similarity
        Correlation over the region before and after, -1 to 1.
    overlap
        Part of the region compared that is on both images.
    """

    iterations: int
    ended: str
    start_similarity: float
    similarity: float
    overlap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A registration that was found.

    Parameters
    ----------
    transform
        Fixed to moving.
    kind
        ``rigid`` or ``deformable``.
    method
        In words, for people: what was compared, where, and how.
    convergence
        Of the rigid search, which a deformable one begins with.
    """

    transform: Transform
    kind: str
    method: str
    convergence: Convergence


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pair:
    """Two images on grids of even spacing along the patient axes."""

    fixed: ImageVolume
    moving: ImageVolume


def silent(_: str) -> None:
    """Tell nobody."""


def register_rigid(
    fixed: ImageVolume, moving: ImageVolume, *, region: Mask | None = None, where: str = "", tell: Tell = silent
) -> Registered:
    """Find how a CT lies on another.

    Parameters
    ----------
    fixed, moving
        CT in HU, each in its own frame of reference.
    region
        ``[z, y, x]`` on `fixed`: what has to match, with what is around it. Bone if None. A region is looked for from
        where the bones match.
    where
        The region in words.
    tell
        Called with what is being done.

    Raises
    ------
    NothingToCompare
        There is no bone, or the region has hardly any voxels.
    HardlyOverlap
        Too little of the region is on both images.
    NotConverged
        The search did not settle, or what it found does not look alike.
    """
    tell("Looking where the images overlap")
    pair = _pair(fixed, moving)
    start = _start(pair)
    bone = grown(pair.fixed.hu > BONE_HU, pair.fixed.geometry, _RIM_MM)
    if region is None:
        refuse_small(bone, "Bone")
        tell("Matching bone")
        return _registered(pair, start, bone, BONE_WINDOW, "bone and 6 mm around it")
    chosen = on_grid(region, fixed.geometry, pair.fixed.geometry)
    refuse_small(chosen, where or "The region")
    tell("Matching bone")
    near = _near(pair, start, bone)
    tell(f"Matching {where or 'the region'}")
    return _registered(pair, near, chosen, TISSUE_WINDOW, where or "a region")


def _pair(fixed: ImageVolume, moving: ImageVolume) -> _Pair:
    spacing = max(working_spacing_mm(fixed.geometry), working_spacing_mm(moving.geometry))
    onto = upright(fixed.geometry, spacing), upright(moving.geometry, spacing)
    return _Pair(
        fixed=ImageVolume(hu=brought(fixed, onto[0]), geometry=onto[0]),
        moving=ImageVolume(hu=brought(moving, onto[1]), geometry=onto[1]),
    )


def _start(pair: _Pair) -> Affine:
    """Return the shift, fixed to moving, at which the images correlate best."""
    itk = simple_itk()
    images = []
    for volume in (pair.fixed, pair.moving):
        onto = upright(volume.geometry, _START_MM)
        values = np.clip(brought(volume, onto), BODY_WINDOW.low, BODY_WINDOW.high)
        if float(values.std()) == 0:
            raise NothingToCompare("An image shows nothing: all its voxels have one value.")
        images.append((onto, values))
    (ours, _), (theirs, moving) = images
    whole = [itk_image(np.ones_like(one), at) for at, one in images]
    best = itk.MaskedFFTNormalizedCorrelation(
        *(_at_zero(itk_image(one, at)) for at, one in images),
        *(_at_zero(one) for one in whole),
        requiredFractionOfOverlappingPixels=_START_OVERLAP,
    )
    score = array(best)
    at = np.array(np.unravel_index(int(np.argmax(score)), score.shape))[::-1]
    # The middle of the scores is where the first voxels coincide, less the size of the moving image.
    steps = at - (np.array(moving.shape[::-1]) - 1)
    shift = theirs.affine[:3, 3] - ours.affine[:3, 3] - steps * _START_MM
    matrix = np.eye(4)
    matrix[:3, 3] = shift
    return matrix


def _at_zero(image: Any) -> Any:
    """Return an image with its first voxel at the origin: the correlation is told in voxels."""
    image.SetOrigin((0.0, 0.0, 0.0))
    return image


def _near(pair: _Pair, start: Affine, bone: Mask) -> Affine:
    """Return where the bones match, from where an organ is looked for; the start where there is no bone."""
    try:
        found = _registered(pair, start, bone, BONE_WINDOW, "bone").transform.matrix
    except (NothingToCompare, HardlyOverlap, NotConverged):
        return start
    assert found is not None
    return found


def _registered(pair: _Pair, start: Affine, region: Mask, window: Window, where: str) -> Registered:
    matrix, iterations, ended = _climb(pair, start, region, window)
    transform = Transform((MatrixStep(matrix),))
    overlap = _overlap(pair, transform, region, is_bone=window is BONE_WINDOW)
    if overlap < LEAST_OVERLAP:
        raise HardlyOverlap(f"Only {overlap:.0%} of {where} is on both images.")
    before = similarity(pair.fixed, pair.moving, Transform((MatrixStep(start),)), region, window)
    after = similarity(pair.fixed, pair.moving, transform, region, window)
    if after < LEAST_SIMILARITY:
        raise NotConverged(
            f"What was found does not look alike: the images correlate by {after:.2f} over {where}, "
            f"and {LEAST_SIMILARITY} is the least."
        )
    if "Maximum number of iterations" in ended:
        raise NotConverged(f"The search for {where} did not settle within {iterations} steps.")
    spacing = pair.fixed.geometry.spacing_mm[0]
    return Registered(
        transform=transform,
        kind="rigid",
        method=(
            f"Rigid, on {where}: correlation of CT between {window.low:g} and {window.high:g} HU at {spacing:g} mm, "
            f"three levels, regular step gradient descent (SimpleITK)"
        ),
        convergence=Convergence(
            iterations=iterations, ended=ended, start_similarity=before, similarity=after, overlap=overlap
        ),
    )


def _climb(pair: _Pair, start: Affine, region: Mask, window: Window) -> tuple[Affine, int, str]:
    """Return the matrix of the best correlation near a start, the steps taken at last, and why they ended."""
    box, geometry = _boxed(region, pair.fixed.geometry)
    centre = points_of(region, pair.fixed.geometry, most=100_000).mean(axis=0)
    turning = _turning(start, centre)
    search = _search(geometry.spacing_mm[0], share=_SAMPLES / region[box].size)
    search.SetMetricFixedMask(itk_image(region[box].astype(np.uint8), geometry))
    search.SetInitialTransform(turning, True)
    try:
        search.Execute(
            itk_image(np.clip(pair.fixed.hu[box], window.low, window.high), geometry),
            itk_image(np.clip(pair.moving.hu, window.low, window.high), pair.moving.geometry),
        )
    except RuntimeError as error:  # SimpleITK knows no other kind: all samples left the moving image
        raise HardlyOverlap("The images have no place in common that could be compared.") from error
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(turning.GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = np.array(turning.GetTranslation()) + centre - matrix[:3, :3] @ centre
    ended = search.GetOptimizerStopConditionDescription().partition(": ")[2]
    return matrix, int(search.GetOptimizerIteration()), ended


def _turning(start: Affine, centre: npt.NDArray[np.float64]) -> Any:
    """Return three turns about a centre and three shifts, beginning at `start`."""
    itk = simple_itk()
    turning = itk.Euler3DTransform()
    turning.SetCenter([float(at) for at in centre])
    turning.SetMatrix([float(value) for value in start[:3, :3].ravel()], 1e-6)
    turning.SetTranslation([float(value) for value in start[:3, :3] @ centre + start[:3, 3] - centre])
    return turning


def _search(spacing_mm: float, *, share: float) -> Any:
    """Return a search over three levels that compares about `share` of the voxels at the finest."""
    itk = simple_itk()
    search = itk.ImageRegistrationMethod()
    search.SetNumberOfThreads(THREADS)
    search.SetMetricAsCorrelation()
    search.SetMetricSamplingStrategy(search.REGULAR)
    search.SetMetricSamplingPercentagePerLevel([min(1.0, share * by**3) for by in _SHRINK], SEED)
    search.SetInterpolator(itk.sitkLinear)
    search.SetShrinkFactorsPerLevel(_SHRINK)
    search.SetSmoothingSigmasPerLevel([2 * spacing_mm, spacing_mm, spacing_mm / 3])
    search.SetOptimizerAsRegularStepGradientDescent(
        _FIRST_STEP_MM, _LAST_STEP_MM, _STEPS, relaxationFactor=0.5, gradientMagnitudeTolerance=1e-9
    )
    search.SetOptimizerScalesFromPhysicalShift()
    return search


def _boxed(region: Mask, geometry: Geometry) -> tuple[tuple[slice, ...], Geometry]:
    """Return the part of a grid around a region, with a rim for smoothing, and its place."""
    filled = np.argwhere(region)
    rim = int(np.ceil(_BOX_MM / geometry.spacing_mm[0]))
    low = np.maximum(filled.min(axis=0) - rim, 0)
    high = np.minimum(filled.max(axis=0) + rim + 1, geometry.shape)
    affine = geometry.affine.copy()
    affine[:3, 3] = geometry.to_points([low[::-1]])[0]
    shape = tuple(int(size) for size in high - low)
    assert len(shape) == 3
    box = tuple(slice(int(one), int(other)) for one, other in zip(low, high, strict=True))
    return box, Geometry(shape=shape, affine=affine)


def _overlap(pair: _Pair, transform: Transform, region: Mask, *, is_bone: bool) -> float:
    """Return the part of the region on both images.

    Of bone the part of the other image's bone counts too: a short scan may lie within a long one.
    """
    places = points_of(region, pair.fixed.geometry, most=50_000)
    shared = float(inside(transform.to_moving(places), pair.moving.geometry).mean())
    bone = points_of(pair.moving.hu > BONE_HU, pair.moving.geometry, most=50_000)
    if not is_bone or not len(bone):
        return shared
    return max(shared, float(inside(transform.to_fixed(bone), pair.fixed.geometry).mean()))
