"""The head and upper neck of the sample patients: brain, eyes, skull base, sinuses, jaws and cervical spine."""

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

HEIGHT_MM = (-112.0, 118.0)
_ALL = ((-300.0, -300.0, -200.0), (300.0, 300.0, 200.0))
_SIDES = (("L", 1.0), ("R", -1.0))


def _tube(*knots: tuple[float, float, float, float, float], exponent: int = 2) -> Tube:
    return Tube(knots=tuple(Knot(z=z, x=x, y=y, rx=rx, ry=ry) for z, x, y, rx, ry in knots), exponent=exponent)


def _at(s: float, point: Triple) -> Triple:
    return s * point[0], point[1], point[2]


_CRANIUM = Ellipsoid(centre=(0, 5, 30), radii=(79, 99, 82))
BODY = Union(
    (
        _CRANIUM,
        _tube(
            (-100, 0, -40, 38, 34),
            (-84, 0, -42, 52, 52),
            (-40, 0, -42, 63, 62),
            (10, 0, -30, 66, 66),
            (30, 0, -20, 40, 60),
        ),
        _tube((-150, 0, 24, 66, 62), (-70, 0, 24, 62, 64), (-20, 0, 20, 66, 72)),
        Capsule(start=(0, -90, 0), end=(0, -114, -28), radius=9, end_radius=13),
        Ellipsoid(centre=(80, 14, -6), radii=(8, 18, 30)),
        Ellipsoid(centre=(-80, 14, -6), radii=(8, 18, 30)),
    )
)
_SKULL = Ellipsoid(centre=(0, 6, 32), radii=(72.5, 92.5, 76))
_INNER = Ellipsoid(centre=(0, 6, 32), radii=(66, 86, 69.5))
_POSTERIOR_FOSSA = Ellipsoid(centre=(0, 40, -22), radii=(50, 40, 30))
BRAINSTEM = _tube((-48, 0, 26, 7, 6), (-30, 0, 22, 12, 10), (-14, 0, 18, 14, 12), (6, 0, 14, 13, 11))
BRAIN = Union(
    (
        Common((Inset(of=_INNER, margin_mm=2.5), Box(low=(-90, -120, -8), high=(90, 120, 130)))),
        *(Ellipsoid(centre=(s * 42, -14, -8), radii=(22, 34, 18)) for s in (-1, 1)),
        Inset(of=_POSTERIOR_FOSSA, margin_mm=2.5),
        BRAINSTEM,
    )
)
_EYES = {side: Ellipsoid(centre=(s * 32, -74, -8), radii=(12, 12, 12)) for side, s in _SIDES}
_LENSES = {side: Ellipsoid(centre=(s * 32, -83.5, -8), radii=(4.6, 2.4, 4.6)) for side, s in _SIDES}
_NERVES = {side: Capsule(start=(s * 31, -62, -8), end=(s * 8, -22, -1), radius=2.3) for side, s in _SIDES}
_COCHLEAS = {side: Ellipsoid(centre=(s * 24, 8, -17), radii=(4, 4, 4)) for side, s in _SIDES}
_PAROTIDS = {side: Ellipsoid(centre=(s * 59, 4, -46), radii=(11, 20, 22)) for side, s in _SIDES}
_CHIASM = Ellipsoid(centre=(0, -18, 0), radii=(9, 5, 3))
_CORD = _tube((-114, 0, 39, 6, 5), (-60, 0, 37, 6, 5), (-46, 0, 32, 6.5, 5.5))
_AIRWAY = _tube((-114, 0, -10, 9, 9), (-70, 0, -10, 11, 7), (-30, 0, -18, 13, 8))


def _skull() -> Iterator[Layer]:
    """Vault with diploe, skull base, petrous bones and what lies in the brain case."""
    vault = Common((_SKULL, Box(low=(-90, -120, -30), high=(90, 120, 130))))
    yield Layer(vault, 980, ((2, 420), (4.6, 980)))
    yield Layer(Common((Inset(of=_POSTERIOR_FOSSA, margin_mm=-5), Box(low=(-90, 0, -70), high=(90, 120, 0)))), 850)
    yield Layer(Ellipsoid(centre=(0, -30, -14), radii=(54, 46, 9)), 620)
    yield Layer(BRAIN, 37)
    white = Common((Inset(of=BRAIN, margin_mm=13), Box(low=(-60, -80, 4), high=(60, 90, 90))))
    yield Layer(white, 28)
    yield Layer(Box(low=(-0.8, -78, 20), high=(0.8, 90, 98)), 58)
    for s in (-1.0, 1.0):
        horn = Capsule(start=_at(s, (10, -24, 40)), end=_at(s, (17, 34, 38)), radius=6, end_radius=5)
        back = Capsule(start=_at(s, (17, 34, 38)), end=_at(s, (22, 44, 20)), radius=5, end_radius=4)
        yield Layer(Union((horn, back)), 7)
        petrous = Capsule(start=_at(s, (17, 2, -18)), end=_at(s, (66, 24, -20)), radius=8, end_radius=13)
        yield Layer(petrous, 900)
        for dx, dy, dz in ((58, 26, -20), (64, 20, -26), (62, 32, -28), (54, 34, -24), (66, 28, -18)):
            yield Layer(Ellipsoid(centre=_at(s, (dx, dy, dz)), radii=(4, 4, 4)), -600)
        yield Layer(Capsule(start=_at(s, (48, 14, -14)), end=_at(s, (86, 14, -10)), radius=3), -900)
    yield Layer(Ellipsoid(centre=(0, 4, 18), radii=(3, 14, 10)), 8)
    yield Layer(Ellipsoid(centre=(0, 36, -14), radii=(8, 6, 8)), 9)
    yield Layer(Capsule(start=(0, -10, -8), end=(0, 8, -40), radius=9, end_radius=7), 520)
    yield Layer(BRAINSTEM, 32)
    yield Layer(_CHIASM, 34)


def _face() -> Iterator[Layer]:
    """Orbits, eyes, sinuses and nose."""
    for side, s in _SIDES:
        orbit = Common(
            (
                Union(
                    (
                        Capsule(start=_at(s, (31, -70, -8)), end=_at(s, (13, -30, -4)), radius=18, end_radius=6),
                        Ellipsoid(centre=_at(s, (32, -74, -8)), radii=(18, 14, 17)),
                    )
                ),
                Inset(of=BODY, margin_mm=3),
            )
        )
        yield Layer(Common((Inset(of=orbit, margin_mm=-3), Box(low=(-70, -82, -40), high=(70, -10, 30)))), 520)
        yield Layer(orbit, -85)
        yield Layer(_EYES[side], 16, ((1.5, 8),))
        yield Layer(_LENSES[side], 85)
        yield Layer(_NERVES[side], 36)
        for shift in ((9, 0, 0), (-9, 0, 0), (0, 0, 9), (0, 0, -9)):
            yield Layer(
                Capsule(start=_at(s, (31 + shift[0], -68, -8 + shift[2])), end=_at(s, (14, -34, -4)), radius=1.8), 50
            )
        antrum = Ellipsoid(centre=_at(s, (30, -62, -40)), radii=(15, 17, 17))
        yield Layer(Inset(of=antrum, margin_mm=-1.8), 420)
        yield Layer(antrum, -960)
        cheek = Capsule(start=_at(s, (46, -74, -26)), end=_at(s, (66, -24, -24)), radius=4.5, end_radius=3)
        yield Layer(cheek, 560)
    yield Layer(Box(low=(-13, -86, -20), high=(13, -44, 4)), 300)
    cells = Slabs(pitch=9, half_width=3.6, phase=0, slope=0.9, bend=0.5, bounds_mm=_ALL)
    yield Layer(Common((Box(low=(-11.5, -84, -18), high=(11.5, -46, 3)), cells)), -760)
    yield Layer(Ellipsoid(centre=(0, -83, 20), radii=(24, 5, 11)), -930)
    sphenoid = Ellipsoid(centre=(0, -32, -15), radii=(14, 11, 9))
    yield Layer(Inset(of=sphenoid, margin_mm=-2), 450)
    yield Layer(sphenoid, -955)
    nose = Capsule(start=(0, -104, -32), end=(0, -34, -36), radius=10, end_radius=13)
    yield Layer(nose, -900)
    for s in (-1.0, 1.0):
        yield Layer(Capsule(start=_at(s, (7.5, -82, -42)), end=_at(s, (7.5, -46, -42)), radius=4), 55)
    yield Layer(Box(low=(-1, -100, -50), high=(1, -40, -24)), 120)


def _jaws() -> Iterator[Layer]:
    """Upper and lower jaw with teeth, tongue and airway."""
    upper = _tube((-66, 0, -62, 31, 38), (-50, 0, -62, 32, 38))
    yield Layer(
        Without(Common((upper, Box(low=(-60, -120, -70), high=(60, -52, -48)))), Inset(of=upper, margin_mm=10)), 680
    )
    lower = _tube((-96, 0, -52, 44, 42), (-72, 0, -52, 46, 46))
    arch = Without(Common((lower, Box(low=(-60, -120, -98), high=(60, -48, -70)))), Inset(of=lower, margin_mm=11))
    yield Layer(arch, 900, ((3, 380),))
    teeth = _tube((-74, 0, -62, 30, 36), (-58, 0, -62, 30, 36))
    row = Without(Common((teeth, Box(low=(-60, -120, -74), high=(60, -56, -58)))), Inset(of=teeth, margin_mm=8))
    yield Layer(row, 1500)
    for s in (-1.0, 1.0):
        yield Layer(Capsule(start=_at(s, (43, -48, -84)), end=_at(s, (49, -14, -26)), radius=6.5, end_radius=5), 820)
        yield Layer(Capsule(start=_at(s, (43, -48, -84)), end=_at(s, (49, -14, -30)), radius=3), 250)
    yield Layer(Ellipsoid(centre=(0, -58, -70), radii=(24, 34, 20)), 58)
    yield Layer(Ellipsoid(centre=(0, -60, -52), radii=(16, 24, 2.5)), -880)
    yield Layer(_AIRWAY, -985)
    yield Layer(Capsule(start=(-16, -30, -98), end=(16, -30, -98), radius=3.5), 480)


def _neck() -> Iterator[Layer]:
    """Cervical spine, vessels and glands."""
    bodies = _tube((-114, 0, 18, 13, 10), (-44, 0, 14, 12, 9))
    arch = _tube((-114, 0, 38, 18, 15), (-48, 0, 36, 17, 14))
    wings = _tube((-114, 0, 30, 30, 6), (-44, 0, 28, 30, 6))
    process = _tube((-114, 0, 58, 4, 12), (-56, 0, 56, 4, 11))
    stripes = Slabs(pitch=17, half_width=5.5, phase=4, slope=-0.2, bend=0, bounds_mm=_ALL)
    yield Layer(Common((Union((wings, process)), stripes)), 420)
    yield Layer(arch, 400)
    yield Layer(bodies, 480, ((1.8, 230),))
    yield Layer(Common((bodies, Slabs(pitch=17, half_width=2.2, phase=4, slope=0, bend=0, bounds_mm=_ALL))), 80)
    yield Layer(_tube((-114, 0, 38, 11, 9), (-46, 0, 34, 11, 9)), 14)
    yield Layer(_CORD, 38)
    for side, s in _SIDES:
        yield Layer(_PAROTIDS[side], 2)
        yield Layer(Capsule(start=_at(s, (30, 4, -114)), end=_at(s, (30, 8, -30)), radius=5.5), 62)
        yield Layer(Capsule(start=_at(s, (26, -8, -114)), end=_at(s, (22, 0, -24)), radius=3.5), 64)


def _soft_tissue() -> Iterator[Layer]:
    """Couch, head rest, mask, skin, fat and muscle."""
    couch = _tube((-300, 0, 146, 262, 20), (300, 0, 146, 262, 20), exponent=4)
    yield Layer(couch, -180, ((2.5, -945),))
    rest = Without(Box(low=(-100, 60, -114), high=(100, 126, 70)), Inset(of=BODY, margin_mm=-1))
    yield Layer(rest, -930)
    mask = Without(Inset(of=BODY, margin_mm=-3.4), Box(low=(-120, 40, -120), high=(120, 140, 130)))
    yield Layer(mask, -250)
    # a millimetre of air under the mask, then skin, fat, muscle
    yield Layer(Inset(of=BODY, margin_mm=-1), -1000, ((1, 8), (3, -88), (6.5, 54)))
    fat: tuple[Solid, ...] = tuple(
        part
        for s in (-1.0, 1.0)
        for part in (
            Ellipsoid(centre=_at(s, (44, -50, -54)), radii=(9, 20, 24)),
            Capsule(start=_at(s, (34, 8, -114)), end=_at(s, (36, 10, -40)), radius=11),
            Capsule(start=_at(s, (20, 66, -114)), end=_at(s, (24, 62, -40)), radius=2),
        )
    )
    yield Layer(Union(fat), -80)


def skull_base_head(*, lesions: tuple[Layer, ...] = ()) -> Anatomy:
    """A head in a thermoplastic mask, from the vertex to the middle of the neck."""
    organs = [
        Organ(name="External", solid=BODY, kind="EXTERNAL", colour=(0, 190, 0)),
        Organ(name="Brain", solid=BRAIN, kind="ORGAN", colour=(200, 170, 140)),
        Organ(name="Brainstem", solid=BRAINSTEM, kind="ORGAN", colour=(255, 230, 0)),
        Organ(name="OpticChiasm", solid=_CHIASM, kind="ORGAN", colour=(230, 90, 160)),
        Organ(name="SpinalCord", solid=_CORD, kind="ORGAN", colour=(255, 180, 0)),
    ]
    pairs: tuple[tuple[str, dict[str, Ellipsoid] | dict[str, Capsule], tuple[int, int, int]], ...] = (
        ("OpticNrv", _NERVES, (0, 220, 220)),
        ("Eye", _EYES, (90, 160, 255)),
        ("Lens", _LENSES, (255, 150, 200)),
        ("Cochlea", _COCHLEAS, (180, 110, 40)),
        ("Parotid", _PAROTIDS, (120, 220, 120)),
    )
    for name, solids, colour in pairs:
        organs += [Organ(name=f"{name}_{side}", solid=solids[side], kind="ORGAN", colour=colour) for side, _ in _SIDES]
    layers = (*_soft_tissue(), *_skull(), *_face(), *_jaws(), *_neck(), *lesions)
    return Anatomy(body=BODY, layers=layers, organs=tuple(organs), height_mm=HEIGHT_MM, noise_hu=9.0)
