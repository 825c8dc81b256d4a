"""The chest of the sample patients: lungs, heart, great vessels, ribs and spine; with breasts if wanted."""

from __future__ import annotations

from collections.abc import Iterator

from lastgate.sample.phantom import Anatomy, Layer, Organ
from lastgate.sample.solids import (
    Box,
    Capsule,
    Common,
    Ellipsoid,
    Inset,
    Knot,
    Slabs,
    Solid,
    Triple,
    Tube,
    Union,
    Without,
)

HEIGHT_MM = (-150.0, 150.0)
_ALL = ((-300.0, -300.0, -200.0), (300.0, 300.0, 200.0))


def _tube(*knots: tuple[float, float, float, float, float], exponent: int = 2) -> Tube:
    return Tube(knots=tuple(Knot(z=z, x=x, y=y, rx=rx, ry=ry) for z, x, y, rx, ry in knots), exponent=exponent)


def _column(x: float, y: float, r: float, low: float = -152.0, high: float = 152.0) -> Tube:
    return _tube((low, x, y, r, r), (high, x, y, r, r))


TORSO = _tube(
    (-190, 0, 5, 162, 115), (-60, 0, 5, 172, 120), (40, 0, 5, 178, 118), (100, 0, 8, 180, 106),
    (130, 0, 12, 165, 92), (152, 0, 15, 132, 78), (190, 0, 15, 80, 70), exponent=3,
)  # fmt: skip
PLEURA = _tube(
    (-190, 0, -2, 138, 88), (-60, 0, -2, 138, 90), (20, 0, -2, 130, 86), (80, 0, 4, 108, 72),
    (120, 0, 12, 72, 50), (142, 0, 18, 30, 24),
)  # fmt: skip
_MEDIASTINUM = _tube(
    (-126, 14, -6, 30, 60), (-108, 14, -6, 50, 82), (-40, 12, -6, 44, 84), (20, 3, -4, 33, 80), (70, 0, 2, 29, 68),
    (120, 0, 12, 25, 52), (145, 0, 18, 30, 30), exponent=3,
)  # fmt: skip
_HEART = Ellipsoid(centre=(28, -28, -70), radii=(56, 48, 58))
_LIVER = Ellipsoid(centre=(-62, 2, -190), radii=(98, 92, 96))
_LEFT_DOME = Ellipsoid(centre=(78, 5, -205), radii=(72, 84, 86))
_MIDRIFF = Ellipsoid(centre=(6, 0, -208), radii=(136, 89, 92))
_VERTEBRA = _tube((-152, 0, 62, 19, 15), (152, 0, 66, 15, 12))
_ARCH = _tube((-152, 0, 86, 15, 15), (152, 0, 88, 14, 14))
_CANAL = _tube((-152, 0, 85, 9, 8), (152, 0, 87, 9, 8))
_CORD = _tube((-152, 0, 85, 5.5, 4.5), (152, 0, 87, 6, 4.8))
_ESOPHAGUS = _tube((-152, 10, 38, 8, 7), (0, 5, 36, 8, 7), (152, 2, 38, 8, 6))
_TRACHEA = _tube((44, 0, 17, 9, 9), (152, 0, 12, 9, 10))
_BRONCHI = (
    Capsule(start=(0, 17, 47), end=(-40, 20, 18), radius=7, end_radius=5.5),
    Capsule(start=(0, 17, 47), end=(46, 22, 14), radius=6.5, end_radius=5),
)
BREAST_L = Ellipsoid(centre=(80, -92, -30), radii=(70, 66, 74))
BREAST_R = Ellipsoid(centre=(-80, -92, -30), radii=(70, 66, 74))
CHEST_WALL = Inset(of=PLEURA, margin_mm=-17)


def _lungs() -> tuple[Solid, Solid]:
    """Left and right lung."""
    air = Inset(of=PLEURA, margin_mm=1.5)
    rest = Union((_MEDIASTINUM, _HEART, _LIVER, _LEFT_DOME, _MIDRIFF, Inset(of=_VERTEBRA, margin_mm=-3)))
    both = Without(air, rest)
    left = Common((both, Box(low=(2, -300, -200), high=(300, 300, 200))))
    right = Common((both, Box(low=(-300, -300, -200), high=(-2, 300, 200))))
    return left, right


def _vessel_tree(hilum: Triple, side: float) -> Iterator[Capsule]:
    """Branches from the hilum towards the pleura, three generations, without chance."""
    ends = [(dx, dy, dz) for dz in (-105, -70, -35, 0, 35, 70) for dx, dy in ((62, -48), (72, 0), (58, 42), (24, -62))]
    for number, (dx, dy, dz) in enumerate(ends):
        sway = ((number * 37) % 11 - 5) * 1.6
        middle = (hilum[0] + side * dx * 0.5, hilum[1] + dy * 0.5 + sway, hilum[2] + dz * 0.55)
        tip = (hilum[0] + side * dx, hilum[1] + dy - sway, hilum[2] + dz)
        yield Capsule(start=hilum, end=middle, radius=4.0, end_radius=2.4)
        yield Capsule(start=middle, end=tip, radius=2.4, end_radius=1.0)
        for turn in (-1.0, 1.0):
            twig = (tip[0] - side * 6, tip[1] + turn * 22, tip[2] + turn * sway * 2 + 9)
            yield Capsule(start=middle, end=twig, radius=1.8, end_radius=0.8)


def _bones() -> Iterator[Layer]:
    """Ribs, sternum, spine and shoulder blades: cortical bone first, marrow inside."""
    cage = Without(Inset(of=PLEURA, margin_mm=-10), Inset(of=PLEURA, margin_mm=-1.5))
    for half_width, depth, hu in ((5.5, 0.0, 620.0), (3.3, 2.2, 180.0)):
        slabs = Slabs(pitch=26, half_width=half_width, phase=0, slope=0.42, bend=-0.1, bounds_mm=_ALL)
        yield Layer(Common((Inset(of=cage, margin_mm=depth), slabs)), hu)
        front = Box(low=(-80, -120, -200), high=(80, -76, 90))  # the ribs end in cartilage
        yield Layer(Common((cage, slabs, front)), 110)
    sternum = _tube((-75, 0, -97, 14, 6), (40, 0, -94, 17, 6), (105, 0, -74, 24, 7))
    blades = tuple(
        Capsule(
            start=(s * (70 + 3 * k), 92 - 2.8 * k, 60 + 1.5 * k), end=(s * (76 + 3 * k), 88 - 2.8 * k, 140), radius=3.5
        )
        for s in (-1, 1)
        for k in range(18)
    )
    yield Layer(sternum, 420, ((2, 140),))
    yield Layer(Union(blades), 480)
    process = Common(
        (
            Union(
                (
                    _tube((-152, 0, 106, 3.5, 13), (152, 0, 108, 3.5, 13)),
                    _tube((-152, 0, 88, 34, 5), (152, 0, 89, 32, 5)),
                )
            ),
            Slabs(pitch=25, half_width=8, phase=6, slope=-0.3, bend=0, bounds_mm=_ALL),
        )
    )
    yield Layer(_ARCH, 380)
    yield Layer(process, 420)
    yield Layer(_VERTEBRA, 520, ((2, 210),))
    yield Layer(Common((_VERTEBRA, Slabs(pitch=25, half_width=3, phase=0, slope=0, bend=0, bounds_mm=_ALL))), 85)
    yield Layer(_CANAL, 12)
    yield Layer(_CORD, 38)


def _middle() -> Iterator[Layer]:
    """Heart, vessels, airways and gullet."""
    yield Layer(_MEDIASTINUM, -70)
    yield Layer(_HEART, 48)
    yield Layer(Ellipsoid(centre=(50, -30, -84), radii=(24, 20, 34)), 62)
    yield Layer(Ellipsoid(centre=(2, -42, -72), radii=(26, 20, 34)), 58)
    yield Layer(Ellipsoid(centre=(18, 8, -44), radii=(30, 16, 22)), 60)
    vessels: tuple[Solid, ...] = (
        _column(25, 44, 12, high=66),
        Capsule(start=(25, 43, 66), end=(8, 2, 82), radius=12.5),
        Capsule(start=(8, 2, 82), end=(-14, -28, 62), radius=13.5),
        Capsule(start=(-14, -28, 62), end=(2, -24, -20), radius=15),
        _column(-27, -18, 8.5, low=-30, high=118),
        Capsule(start=(14, -34, -12), end=(24, -22, 38), radius=13.5),
        Capsule(start=(20, -12, 36), end=(-46, 6, 30), radius=9, end_radius=6),
        Capsule(start=(24, -18, 40), end=(52, 12, 34), radius=9, end_radius=6),
        _column(-14, -8, 6, low=84, high=152),
        _column(16, 4, 5, low=84, high=152),
    )
    yield Layer(Union(vessels), 56)
    yield Layer(Inset(of=_TRACHEA, margin_mm=-2), 30)
    yield Layer(Union((_TRACHEA, *_BRONCHI)), -985)
    yield Layer(_ESOPHAGUS, 32, ((5.2, -350),))


def _breast_tissue() -> Iterator[Layer]:
    """Glandular strands that run from the nipple to the chest wall."""
    for side in (-1.0, 1.0):
        nipple = (side * 86, -154, -32)
        for dx, dz in ((-34, 0), (-18, 26), (4, -30), (22, 22), (30, -12), (2, 4), (-22, -24)):
            yield Layer(Capsule(start=nipple, end=(side * 80 + dx, -112, -30 + dz), radius=2.5, end_radius=8), 15)
        yield Layer(Capsule(start=nipple, end=(side * 86, -160, -32), radius=4), 35)


def _belly() -> Iterator[Layer]:
    """What shows below the diaphragm."""
    yield Layer(_MIDRIFF, -75)
    yield Layer(_LIVER, 62)
    yield Layer(Ellipsoid(centre=(-8, -34, -178), radii=(70, 48, 56)), 62)
    yield Layer(_LEFT_DOME, -60)
    yield Layer(Ellipsoid(centre=(62, -22, -172), radii=(44, 52, 46)), 28)
    yield Layer(Ellipsoid(centre=(60, -52, -152), radii=(26, 18, 18)), -940)
    yield Layer(Ellipsoid(centre=(112, 46, -172), radii=(24, 36, 46)), 54)


def _soft_tissue(body: Solid) -> Iterator[Layer]:
    """Couch, skin, fat and the muscles of the chest wall."""
    couch = _tube((-300, 0, 144, 262, 20), (300, 0, 144, 262, 20), exponent=4)
    yield Layer(couch, -180, ((2.5, -945),))
    yield Layer(body, 5, ((2, -102),))
    shoulders = tuple(Ellipsoid(centre=(s * 104, 52, 96), radii=(48, 40, 74)) for s in (-1, 1))
    back = tuple(_tube((-152, s * 34, 96, 30, 19), (152, s * 30, 96, 26, 17)) for s in (-1, 1))
    chest = tuple(Ellipsoid(centre=(s * 66, -74, 50), radii=(54, 24, 52)) for s in (-1, 1))
    neck = _tube((96, 0, 24, 62, 58), (152, 0, 24, 84, 52))
    muscle = Union((CHEST_WALL, *shoulders, *back, *chest, neck))
    yield Layer(Common((muscle, Inset(of=body, margin_mm=6))), 52)
    yield Layer(Common((Union(tuple(_column(s * 62, 94, 2.5) for s in (-1, 1))), body)), -80)


def chest(*, female: bool, lesions: tuple[Layer, ...] = ()) -> Anatomy:
    """A chest from the diaphragm to the shoulders, arms up.

    Parameters
    ----------
    female
        Adds breasts and contours them.
    lesions
        Paint on top of everything else: tumours, scars.
    """
    body: Solid = Union((TORSO, Common((Union((BREAST_L, BREAST_R)), Box(low=(-200, -200, -150), high=(200, 0, 150))))))
    body = body if female else TORSO
    left, right = _lungs()
    trees = (*_vessel_tree((44, 14, 20), 1.0), *_vessel_tree((-42, 14, 20), -1.0))
    layers = [*_soft_tissue(body)]
    if female:
        layers += _breast_tissue()
    layers += [Layer(PLEURA, -70), Layer(left, -835), Layer(right, -835)]
    layers += [Layer(tree, -40) for tree in trees]
    layers += [*_belly(), *_middle(), *_bones(), *lesions]
    organs = [
        Organ(name="External", solid=body, kind="EXTERNAL", colour=(0, 190, 0)),
        Organ(name="Lung_L", solid=left, kind="ORGAN", colour=(90, 160, 255)),
        Organ(name="Lung_R", solid=right, kind="ORGAN", colour=(60, 110, 220)),
        Organ(name="Heart", solid=_HEART, kind="ORGAN", colour=(230, 90, 160)),
        Organ(name="SpinalCord", solid=_CORD, kind="ORGAN", colour=(255, 230, 0)),
        Organ(name="Esophagus", solid=_ESOPHAGUS, kind="ORGAN", colour=(180, 110, 40)),
        Organ(name="Trachea", solid=_TRACHEA, kind="ORGAN", colour=(0, 220, 220)),
    ]
    if female:
        wall = Inset(of=BREAST_R, margin_mm=5)
        organs.append(Organ(name="Breast_R", solid=Without(wall, CHEST_WALL), kind="ORGAN", colour=(255, 150, 200)))
    return Anatomy(body=body, layers=tuple(layers), organs=tuple(organs), height_mm=HEIGHT_MM, noise_hu=14.0)
