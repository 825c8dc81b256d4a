"""Registrations of CT that were moved and bent by known maps: how far places are from where they belong, and CPU time.

``python -m benchmarks.registration_quality [--quick] [--write]``. Bodies, bends and a real CT of seeds no setting was
chosen on. Errors are those of places spread over the body; the real CT lies in ``../shared/data``.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import page
from dose.registering.deformable import register_deformable
from dose.registering.images import BODY_HU
from dose.registering.quality import body_of, jacobian_range
from dose.registering.rigid import register_rigid
from tests.dose.registering.held_out import Case, made_cases, real_cases

SECTION = "registration"
HEAD = ("kind", "case", "before: mean mm", "mean mm", "p95 mm", "max mm", "Jacobian", "CPU s")
BENDS_MM = (4.0, 8.0, 12.0)
REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


def cases(*, is_quick: bool) -> Iterator[Case]:
    """Yield the cases, rigid ones before those that bend."""
    seeds = range(1, 2 if is_quick else 4)
    yield from made_cases("rigid", seeds, 5)
    for most_mm in BENDS_MM:
        yield from made_cases("deformable", seeds, most_mm)
    if is_quick or not REAL_DATA.is_dir():
        return
    yield from real_cases(REAL_DATA, "rigid", range(1, 3), 5, by=2)
    for most_mm in BENDS_MM[:2]:
        yield from real_cases(REAL_DATA, "deformable", range(1, 3), most_mm, by=2)


def row(case: Case) -> tuple[str, ...]:
    """Return the line of a case; before is the error of its best rigid map, where it bends."""
    began = time.process_time()
    search = register_rigid if case.kind == "rigid" else register_deformable
    found = search(case.fixed, case.moving).transform
    used = time.process_time() - began
    wanted = case.truth(case.places)
    start = case.places if case.kind == "rigid" else found.matrices_alone.to_moving(case.places)
    before, off = (np.linalg.norm(one - wanted, axis=1) for one in (start, found.to_moving(case.places)))
    jacobian = jacobian_range(found, body_of(case.fixed, BODY_HU), case.fixed.geometry)
    errors = (off.mean(), np.percentile(off, 95), off.max())
    told = "to ".join(f"{value:.2f} " for value in jacobian).strip() if jacobian else "not measured"
    return (case.kind, case.name, f"{before.mean():.2f}", *(f"{one:.2f}" for one in errors), told, f"{used:.1f}")


def main() -> None:
    """Measure, print, and write the page if asked."""
    args = page.with_quick(page.parser(str(__doc__), minutes=5, repetitions=1).parse_args(), minutes=1)
    text = page.table(HEAD, [row(case) for case in cases(is_quick=args.quick)])
    print(text)
    if args.write:
        page.write(SECTION, text)


if __name__ == "__main__":
    main()
