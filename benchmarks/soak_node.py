"""Open and drop associations at every point for long, mixed with good ones, and see that nothing grows.

``python -m benchmarks.soak_node --minutes 20 --work DIR``

It runs `lastgate serve` with all its processes. Every ten seconds their open
files, threads and memory (proportional set size) are counted; at the end the
last quarter is compared with the second: the first is warming up.
"""

import argparse
import json
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from tests.hostile.crash import Lastgate, free_port, running
from tests.hostile.drops import DROPS, drop, echo, find, store_well
from tests.hostile.nodes import vitals_of

_SAMPLE_S: Final = 10.0
_PAUSE_S: Final = 0.05
_CLIENTS: Final = 4
_MOST_FILES: Final = 8
_MOST_THREADS: Final = 4
_MOST_GROWTH: Final = 0.10
"""Of memory, as a part of what it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """All processes of the node at a moment.

    Parameters
    ----------
    processes
        Memory of each in MB by its name and number; one that was started anew has another number.
    """

    at_s: float
    memory_mb: float
    files: int
    threads: int
    processes: dict[str, float]


class Clients:
    """What goes on at the node's port until it is told to stop; counts what was done and what was answered."""

    def __init__(self, port: int, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._go_on, args=(seed, n)) for n in range(_CLIENTS)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, seed: int, client: int) -> None:
        chance, turn = Random(f"{seed}.{client}"), 0
        while not self._stop.wait(_PAUSE_S):
            turn += 1
            try:
                self._do(chance, serial=client * 10_000_000 + turn)
            except (OSError, AssertionError) as error:
                self.wrong[f"{type(error).__name__}: {error}"[:100]] += 1

    def _do(self, chance: Random, *, serial: int) -> None:
        what = chance.random()
        if what < 0.7:
            at = chance.choice(DROPS)
            drop(self._port, at, reset=chance.random() < 0.5)
            self.done[at.__name__.strip("_")] += 1
        elif what < 0.85:
            self._check("store", *store_well(self._port, serial, chance))
        elif what < 0.95:
            self._check("echo", echo(self._port))
        else:
            self._check("find", find(self._port, f"S{chance.randrange(serial + 1)}"))

    def _check(self, what: str, *words: str) -> None:
        self.done[what] += len(words)
        for word in words:
            if word != "0000":
                self.wrong[f"{what} answered {word}"] += 1


def processes(parent: int) -> tuple[int, ...]:
    """Return a process and all its descendants."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text("ascii").split()
    return (parent, *(one for child in children for one in processes(int(child))))


def sample(parent: int, at_s: float) -> Sample:
    """Return how all processes are now."""
    found = processes(parent)
    names = [Path(f"/proc/{one}/comm").read_text("utf-8").strip() for one in found]
    vitals = [vitals_of(one) for one in found]
    return Sample(
        at_s=round(at_s, 1),
        memory_mb=round(sum(one.memory_bytes for one in vitals) / 1e6, 1),
        files=sum(one.files for one in vitals),
        threads=sum(one.threads for one in vitals),
        processes={
            f"{name} {number}": round(one.memory_bytes / 1e6, 1)
            for name, number, one in zip(names, found, vitals, strict=True)
        },
    )


def soak(work: Path, *, minutes: float, seed: int) -> tuple[list[Sample], Clients]:
    """Let it run for so long and return what was seen."""
    samples: list[Sample] = []
    node, folder, port = Lastgate(), work / "node", free_port()
    folder.mkdir(parents=True)
    began = time.monotonic()
    with running(node, folder, port) as process, Clients(port, seed) as clients:
        while (passed := time.monotonic() - began) < minutes * 60:
            time.sleep(_SAMPLE_S)
            try:
                samples.append(sample(process.pid, passed))
            except (FileNotFoundError, ProcessLookupError):
                continue  # one ended while it was looked at
            print(json.dumps(asdict(samples[-1])), flush=True)
    return samples, clients


def verdict(samples: list[Sample]) -> list[str]:
    """Return what grew between the second quarter and the last; empty if nothing did."""
    quarter = max(1, len(samples) // 4)
    before, after = samples[quarter : 2 * quarter], samples[-quarter:]
    grown = []
    if median(s.files for s in after) > median(s.files for s in before) + _MOST_FILES:
        grown.append("open files")
    if median(s.threads for s in after) > median(s.threads for s in before) + _MOST_THREADS:
        grown.append("threads")
    if median(s.memory_mb for s in after) > (1 + _MOST_GROWTH) * median(s.memory_mb for s in before):
        grown.append("memory")
    if not before[0].processes.keys() >= after[-1].processes.keys():
        grown.append("number of processes, or one was started anew")
    return grown


def main() -> None:
    """Run what the command line asks for and print a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--work", type=Path, required=True, help="an empty folder; left as it is")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    samples, clients = soak(asked.work, minutes=asked.minutes, seed=asked.seed)
    grown = verdict(samples)
    summary = {
        "minutes": asked.minutes,
        "done": dict(clients.done),
        "wrong": dict(clients.wrong),
        "first": asdict(samples[0]),
        "last": asdict(samples[-1]),
        "grown": grown,
    }
    print(json.dumps(summary, indent=1))
    if asked.out:
        asked.out.write_text(json.dumps(summary | {"samples": [asdict(one) for one in samples]}, indent=1))
    if grown or clients.wrong:
        sys.exit("The node does not stay as it was")


if __name__ == "__main__":
    main()
