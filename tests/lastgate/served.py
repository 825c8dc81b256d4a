"""Runs `lastgate serve` as an administrator does: the installed program in processes of its own."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lastgate.program import PROGRAM, environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A node that runs."""

    process: subprocess.Popen[str]
    port: int

    def children(self) -> dict[str, int]:
        """Return the processes of the node by their place: worker-1, worker-2 ..., filer."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        by_age = sorted(map(int, found))
        return {name: pid for pid in by_age if (name := _name(pid))}

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Tell it to stop and return its exit code and what it printed meanwhile."""
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=60)
        return self.process.returncode, out


@contextmanager
def served(home: Path, **settings: str) -> Iterator[Served]:
    """Start the program and wait until it says that it listens; at the end no process of it is left."""
    process = started(home, **settings)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        told = re.search(r" listens on \S+:(\d+);", line)
        assert told, line + process.stdout.read()
        yield Served(process=process, port=int(told[1]))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=60)
            finally:
                process.kill()
        process.stdout.close()


def started(home: Path, **settings: str) -> subprocess.Popen[str]:
    """Start the program; what it prints and logs comes on one pipe."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LASTGATE_")}
    return subprocess.Popen(
        [PROGRAM, "serve"],
        env={**plain, **environment(home, **settings)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _name(pid: int) -> str:
    """Return which process of the node this is, by the name it bears."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip().removeprefix("lg-")
    except FileNotFoundError:
        return ""
