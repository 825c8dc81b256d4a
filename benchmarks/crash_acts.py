"""Kill an archive, or cut its power, at each step of everything it does; then ask for everything it promised.

``python -m benchmarks.crash_acts --how kill --times 100 --work EMPTY-FOLDER``

What `tests/faults/test_killed_acts.py` and `test_power_cut.py` do some twenty
times for each act is done here as often as one likes. Power cuts need root.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from lastgate.sample import write_department
from tests.faults.acts import ACTS, struck_while_receiving
from tests.faults.disks import Disk, why_no_power_cut
from tests.faults.lives import Toll, build_states
from tests.faults.prepared import prepared

_DISK_BYTES = 6 << 30


@contextmanager
def place(work: Path, how: str) -> Iterator[Path | Disk]:
    """Yield where archives are struck: a folder, or a disk whose power can be cut."""
    if how == "kill":
        (work / "struck").mkdir()
        yield work / "struck"
    else:
        disk = Disk(work, size_bytes=_DISK_BYTES)
        with disk.fresh():
            yield disk


def struck(work: Path, how: str, *, times: int, chance: Random) -> Iterator[tuple[str, Toll]]:
    """Strike each act so many times; yield its name and what it cost."""
    department = write_department(work / "sample", scale="small")
    course = department.patient("SAMPLE-0003").courses[0]
    with prepared() as process, place(work, how) as where:
        states = build_states(process, work / "states", course)
        for deed in ("receive", "receive and file"):
            yield deed, struck_while_receiving(process, where, deed, times=times, chance=chance)
        for act in ACTS:
            yield act.name, act.struck(process, where, states, times=times, chance=chance)


def main() -> None:
    """Run what the command line asks for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--how", choices=("kill", "power"), default="kill")
    parser.add_argument("--times", type=int, default=20, help="for each act")
    parser.add_argument("--work", type=Path, required=True, help="an empty folder; left as it is")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    if asked.how == "power" and why_no_power_cut():
        sys.exit(why_no_power_cut())
    asked.work.mkdir(parents=True, exist_ok=True)
    print("| act | times | at the start after it | asked for again | wrong |\n|---|---|---|---|---|")
    wrongs: list[str] = []
    for name, toll in struck(asked.work, asked.how, times=asked.times, chance=Random(asked.seed)):
        cells = (name, toll.blows, toll.second_blows, toll.acknowledged, len(toll.wrongs))
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
        wrongs += toll.wrongs
    if wrongs:
        sys.exit("\n".join(wrongs))


if __name__ == "__main__":
    main()
