"""The pelvis of the sample patients: bladder, rectum, prostate, bowel, hips and sacrum."""

from __future__ import annotations

import itertools
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
    Tube,
    Union,
    Without,
)

HEIGHT_MM = (-132.0, 126.0)
_ALL = ((-300.0, -300.0, -200.0), (300.0, 300.0, 200.0))


def _tube(*knots: tuple[float, float, float, float, float], exponent: int = 2) -> Tube:
    return Tube(knots=tuple(Knot(z=z, x=x, y=y, rx=rx, ry=ry) for z, x, y, rx, ry in knots), exponent=exponent)


_TRUNK = _tube(
    (-104, 0, 8, 70, 50), (-88, 0, 8, 150, 96), (-60, 0, 8, 182, 112), (-20, 0, 8, 188, 118), (40, 0, 5, 180, 116),
    (190, 0, -4, 162, 110), exponent=3,
)  # fmt: skip
_THIGHS = tuple(_tube((-180, s * 92, 8, 84, 88), (-60, s * 94, 8, 88, 98)) for s in (-1, 1))
BODY = Union((_TRUNK, *_THIGHS))
_SACRUM = _tube((-32, 0, 62, 14, 6), (0, 0, 82, 30, 10), (40, 0, 84, 48, 17), (78, 0, 66, 54, 22))
_LUMBAR = _tube((76, 0, 50, 26, 19), (130, 0, 38, 25, 18))
BLADDER = Ellipsoid(centre=(0, -30, -2), radii=(46, 33, 33))
PROSTATE = Ellipsoid(centre=(0, -6, -56), radii=(25, 20, 22))
_VESICLES = tuple(Capsule(start=(s * 24, 12, -28), end=(s * 5, 9, -38), radius=5.5) for s in (-1, 1))
SEMINAL_VESICLES = Union(_VESICLES)
RECTUM = _tube(
    (-104, 0, 30, 11, 12), (-70, 0, 34, 15, 13), (-40, 0, 38, 18, 15), (0, 3, 46, 19, 17), (30, 8, 48, 17, 16),
    (52, 16, 40, 15, 14),
)  # fmt: skip
_LUMEN = _tube((-62, 0, 32, 3, 2), (-34, 0, 36, 9, 6), (4, 3, 43, 10, 8), (30, 8, 45, 6, 5), (50, 15, 38, 3, 3))


def _femur(s: float) -> Iterator[Layer]:
    """Socket, head, neck and shaft of one hip."""
    head = Ellipsoid(centre=(s * 92, -4, -44), radii=(23.5, 23.5, 23.5))
    socket = Common(
        (
            Ellipsoid(centre=(s * 88, -2, -40), radii=(34, 35, 36)),
            Union((Box(low=(-84, -90, -90), high=(84, 90, 10)), Box(low=(-140, -90, -34), high=(140, 90, 10)))),
        )
    )
    yield Layer(socket, 560, ((3, 240),))
    yield Layer(Inset(of=head, margin_mm=-3.5), 35)
    neck = Capsule(start=(s * 92, -4, -44), end=(s * 124, 8, -68), radius=14, end_radius=15)
    shaft = Capsule(start=(s * 126, 10, -66), end=(s * 114, 6, -150), radius=19, end_radius=14)
    bone = Union((head, neck, shaft))
    yield Layer(bone, 640, ((3, 260),))
    yield Layer(Capsule(start=(s * 124, 10, -92), end=(s * 114, 6, -150), radius=7), -40)


def _pelvic_ring(s: float) -> Iterator[Layer]:
    """Wing of the ilium, pubis and ischium of one side."""
    wing = Union(
        tuple(
            Capsule(start=(s * (50 + 0.04 * z), 76, z + 4), end=(s * (104 + 0.26 * z), -22 - 0.34 * z, z), radius=6.5)
            for z in range(-16, 88, 8)
        )
    )
    pubis = Union(
        (
            Capsule(start=(s * 66, -34, -44), end=(s * 9, -60, -72), radius=9.5),
            Capsule(start=(s * 9, -60, -72), end=(s * 46, 10, -106), radius=7),
            Capsule(start=(s * 68, 40, -44), end=(s * 54, 30, -106), radius=13),
        )
    )
    for bone in (wing, pubis):
        yield Layer(bone, 540, ((2.6, 190),))


def _bones() -> Iterator[Layer]:
    """Pelvic ring, hips, sacrum and the last lumbar vertebra."""
    for s in (-1.0, 1.0):
        yield from _pelvic_ring(s)
        yield from _femur(s)
    yield Layer(Box(low=(-4, -70, -84), high=(4, -50, -60)), 90)
    process = _tube((-10, 0, 100, 4, 8), (60, 0, 100, 5, 12), (130, 0, 84, 4, 20))
    arch = _tube((76, 0, 70, 20, 16), (130, 0, 60, 19, 16))
    wings = _tube((78, 0, 58, 46, 6), (130, 0, 50, 44, 5))
    stripes = Slabs(pitch=30, half_width=8, phase=8, slope=-0.2, bend=0, bounds_mm=_ALL)
    yield Layer(Common((Union((process, wings)), stripes)), 380)
    yield Layer(arch, 320)
    for bone in (_SACRUM, _LUMBAR):
        yield Layer(bone, 430, ((2.2, 165),))
    holes = tuple(Capsule(start=(s * 22, 76, z), end=(s * 24, 100, z), radius=4.5) for s in (-1, 1) for z in (18, 44))
    yield Layer(Union(holes), 0)
    yield Layer(_tube((30, 0, 92, 6, 4), (78, 0, 76, 10, 7), (130, 0, 60, 11, 9)), 14)


def _muscles() -> Iterator[Layer]:
    """Skin, fat and muscles."""
    couch = _tube((-300, 0, 146, 262, 20), (300, 0, 146, 262, 20), exponent=4)
    yield Layer(couch, -180, ((2.5, -945),))
    yield Layer(BODY, 5, ((2, -104),))
    wall = Without(Inset(of=_TRUNK, margin_mm=20), Inset(of=_TRUNK, margin_mm=32))
    upper = Common((wall, Box(low=(-200, -200, -30), high=(200, 60, 140))))
    sides: list[Solid] = []
    for s in (-1, 1):
        sides += [
            Ellipsoid(centre=(s * 92, 62, -22), radii=(62, 34, 84)),
            Ellipsoid(centre=(s * 128, 6, 6), radii=(22, 52, 72)),
            _tube((-80, s * 78, -48, 16, 18), (0, s * 66, -38, 24, 24), (130, s * 46, 26, 22, 24)),
            Ellipsoid(centre=(s * 62, 8, -46), radii=(12, 34, 34)),
            _tube((-180, s * 96, 4, 62, 66), (-80, s * 98, 4, 66, 70), (-46, s * 104, -30, 48, 34)),
            _tube((20, s * 34, 98, 24, 10), (130, s * 36, 82, 32, 22)),
        ]
    floor = Without(
        _tube((-104, 0, 22, 26, 34), (-60, 0, 22, 42, 44)), _tube((-104, 0, 22, 20, 28), (-60, 0, 22, 37, 39))
    )
    fibres = Common((Union((upper, *sides, floor)), Inset(of=BODY, margin_mm=7)))
    yield Layer(fibres, 54)
    seams = tuple(Capsule(start=(s * 150, 34, 20), end=(s * 60, 84, -60), radius=2) for s in (-1, 1))
    yield Layer(Common((Union(seams), Inset(of=BODY, margin_mm=7))), -80)


def _bowel() -> Union:
    """Loops of bowel above the bladder."""
    stops = [
        (-78, -42, 64), (-40, -66, 52), (0, -58, 70), (42, -68, 58), (80, -46, 72), (58, -20, 92), (18, -30, 104),
        (-24, -24, 92), (-64, -30, 108), (-86, -14, 88), (-44, -56, 92), (6, -72, 106), (60, -64, 110), (92, -30, 116),
    ]  # fmt: skip
    pairs = itertools.pairwise(stops)
    return Union(tuple(Capsule(start=a, end=b, radius=14 + 2.5 * (k % 3)) for k, (a, b) in enumerate(pairs)))


def _entrails(loops: Union) -> Iterator[Layer]:
    """Bowel, bladder, prostate and rectum."""
    yield Layer(loops, 34, ((5, 12),))
    for x, y, z, r in ((-40, -72, 54, 9), (42, -76, 60, 11), (6, -80, 106, 10), (60, -72, 108, 8), (-78, -48, 66, 7)):
        yield Layer(Ellipsoid(centre=(x, y, z), radii=(r * 1.4, r * 0.8, r)), -900)
    vessels = tuple(Capsule(start=(s * 30, 20, 126), end=(s * 72, -48, -30), radius=r) for s in (-1, 1) for r in (6.0,))
    yield Layer(Union(vessels), 44)
    yield Layer(BLADDER, 32, ((3.5, 4),))
    yield Layer(SEMINAL_VESICLES, 28)
    yield Layer(PROSTATE, 42)
    yield Layer(Ellipsoid(centre=(0, -14, -98), radii=(13, 13, 12)), 46)
    yield Layer(RECTUM, 38, ((4.5, 18),))
    yield Layer(_LUMEN, -870)


def male_pelvis(*, lesions: tuple[Layer, ...] = ()) -> Anatomy:
    """A male pelvis from the thighs to the last lumbar vertebra."""
    loops = _bowel()
    organs = [
        Organ(name="External", solid=BODY, kind="EXTERNAL", colour=(0, 190, 0)),
        Organ(name="Bladder", solid=BLADDER, kind="ORGAN", colour=(255, 230, 0)),
        Organ(name="Rectum", solid=RECTUM, kind="ORGAN", colour=(180, 110, 40)),
        Organ(name="Bowel", solid=loops, kind="ORGAN", colour=(230, 90, 160)),
        Organ(
            name="PenileBulb",
            solid=Ellipsoid(centre=(0, -14, -98), radii=(13, 13, 12)),
            kind="ORGAN",
            colour=(0, 220, 220),
        ),
    ]
    for s, side in ((1.0, "L"), (-1.0, "R")):
        head = Ellipsoid(centre=(s * 92, -4, -44), radii=(23.5, 23.5, 23.5))
        organs.append(Organ(name=f"Femur_Head_{side}", solid=head, kind="ORGAN", colour=(90, 160, 255)))
    layers = (*_muscles(), *_bones(), *_entrails(loops), *lesions)
    return Anatomy(body=BODY, layers=layers, organs=tuple(organs), height_mm=HEIGHT_MM, noise_hu=15.0)
