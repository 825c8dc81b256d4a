"""What a process and its children use: CPU seconds and memory, read from /proc (Linux only)."""

import contextlib
import itertools
import os
import threading
import time
from pathlib import Path
from types import TracebackType

_TICKS = os.sysconf("SC_CLK_TCK")
_EVERY_S = 0.03
_MEMORY_EVERY = 5


def tree(pid: int) -> list[int]:
    """Return a process and all its living descendants."""
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        for children in Path(f"/proc/{found[-1]}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # a thread that has just ended
                waiting += [int(child) for child in children.read_text().split()]
    return found


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, its living descendants, and all children they have waited for."""
    return sum(sum(_ticks(one)) for one in tree(pid)) / _TICKS


def _ticks(pid: int) -> tuple[int, int]:
    """Return the clock ticks of a process, and those of the children it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0, 0
    # the name in brackets may hold spaces; what follows the last bracket begins with field 3, the state
    return int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])


def pss_mb(pid: int) -> float:
    """Return the proportional memory of a process and its descendants, in MB."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total * 1024 / 1e6


def busy_s() -> float:
    """Return the CPU seconds the whole machine has spent working since it started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICKS


def own_cpu_s() -> float:
    """Return the CPU seconds of this process and the children it has waited for."""
    return sum(os.times()[:4])


class Meter:
    """CPU and peak memory of a server while a block runs; `others_cores` is what neither it nor we kept busy.

    A server that forks for each association and never waits for its children (dcmqrscp) leaves no account of them:
    what was last seen of every process is added up too, and the larger sum counts.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._seen: dict[int, int] = {}
        self.cpu_s = 0.0
        self.others_cores = 0.0
        self.peak_mb = 0.0

    def __enter__(self) -> "Meter":
        self._look()
        self._before = cpu_s(self._pid), sum(self._seen.values()), busy_s(), own_cpu_s(), time.monotonic()
        self.peak_mb = pss_mb(self._pid)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._look()
        accounted, seen, busy, own, began = self._before
        self.cpu_s = max(cpu_s(self._pid) - accounted, (sum(self._seen.values()) - seen) / _TICKS)
        others_s = busy_s() - busy - (own_cpu_s() - own) - self.cpu_s
        self.others_cores = max(0.0, others_s) / (time.monotonic() - began)
        self.peak_mb = max(self.peak_mb, pss_mb(self._pid))

    def _sample(self) -> None:
        for number in itertools.count(1):
            if self._stop.wait(_EVERY_S):
                return
            self._look()
            if number % _MEMORY_EVERY == 0:
                self.peak_mb = max(self.peak_mb, pss_mb(self._pid))

    def _look(self) -> None:
        self._seen |= {pid: ticks for pid in tree(self._pid) if (ticks := _ticks(pid)[0])}
