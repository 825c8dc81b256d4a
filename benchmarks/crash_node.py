"""Kill a node, or cut its power, while it receives; then ask for everything it acknowledged.

``python -m benchmarks.crash_node --how kill --rounds 50 --subjects lastgate,orthanc,dcmqrscp,storescp --work DIR``

A power cut is a loop-mounted ext4 that is shut down without writing anything
back (``EXT4_IOC_SHUTDOWN``), so it needs root. Every round starts the server
on what the round before left (with power cuts: on a disk of its own), loads it
with four associations and strikes at a random moment. After ten kills, or each
power cut, it is started again and asked for all it acknowledged.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.crash_peers import PEERS
from tests.faults.disks import Disk
from tests.hostile.crash import Acknowledged, Lastgate, Load, Subject, Tally, free_port, kill, running

SUBJECTS: Final[dict[str, Subject]] = {"lastgate": Lastgate(), **PEERS}
_DISK_BYTES: Final = 6 << 30
_LONGEST_LOAD_S: Final = 5.0
_LIVES: Final = 10


@dataclass(slots=True, kw_only=True)
class Result:
    """What became of one subject under one kind of blow."""

    subject: str
    how: str
    rounds: int = 0
    tally: Tally = field(default_factory=Tally)
    failed_starts: int = 0
    slowest_restart_s: float = 0.0

    def row(self) -> dict[str, object]:
        """Return it as JSON."""
        return {
            "subject": self.subject,
            "how": self.how,
            "rounds": self.rounds,
            "acknowledged": self.tally.acknowledged,
            "missing": len(self.tally.missing),
            "unreadable": len(self.tally.unreadable),
            "failed_starts": self.failed_starts,
            "slowest_restart_s": round(self.slowest_restart_s, 1),
        }


def killed(subject: Subject, work: Path, *, rounds: int, chance: Random) -> Result:
    """Kill a server again and again, ten times on one archive; return what it lost of all it ever acknowledged."""
    result = Result(subject=subject.name, how="kill -9")
    for first in range(0, rounds, _LIVES):
        folder = work / f"archive-{first}"
        folder.mkdir()
        told: list[Acknowledged] = []
        for number in range(first, min(first + _LIVES, rounds)):
            told += _one_kill(subject, folder, f"1.{number}", chance)
            result.rounds += 1
        _ask(subject, folder, told, result)
        _report(result)
        shutil.rmtree(folder)
    return result


def unplugged(subject: Subject, work: Path, *, rounds: int, chance: Random) -> Result:
    """Cut the power under a server, each time on a fresh disk; return what it lost."""
    result = Result(subject=subject.name, how="power cut")
    disk = Disk(work, size_bytes=_DISK_BYTES)
    for number in range(rounds):
        with disk.fresh():
            folder = disk.mounted / "server"
            folder.mkdir()
            told = _one_cut(subject, disk, folder, f"2.{number}", chance)
            result.rounds += 1
            disk.power_up()
            _ask(subject, folder, told, result)
        _report(result)
    return result


def _one_kill(subject: Subject, folder: Path, serial: str, chance: Random) -> list[Acknowledged]:
    port = free_port()
    load = Load(port, subject.called, serial=serial, chance=chance)
    with running(subject, folder, port) as process, load:
        load.wait_until_acknowledged(1)
        time.sleep(chance.uniform(0, _LONGEST_LOAD_S))
        kill(process)
    return load.acknowledged


def _one_cut(subject: Subject, disk: Disk, folder: Path, serial: str, chance: Random) -> list[Acknowledged]:
    """Return what was acknowledged before the power went; answers read later are none: the machine was dead."""
    port = free_port()
    load = Load(port, subject.called, serial=serial, chance=chance)
    with running(subject, folder, port) as process:
        disk.settle()
        with load:
            load.wait_until_acknowledged(1)
            time.sleep(chance.uniform(0, _LONGEST_LOAD_S))
            at_s = time.monotonic()
            disk.cut()
            kill(process)
    return [one for one in load.acknowledged if one.at_s < at_s]


def _ask(subject: Subject, folder: Path, told: list[Acknowledged], result: Result) -> None:
    started = time.monotonic()
    try:
        with running(subject, folder, free_port()):
            result.slowest_restart_s = max(result.slowest_restart_s, time.monotonic() - started)
            result.tally.add(told, subject.fates(folder))
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        print(f"{subject.name} did not come back: {error}", file=sys.stderr)
        result.failed_starts += 1
        result.tally.add(told, lambda _instance, _digest: "missing")


def _report(result: Result) -> None:
    print(json.dumps(result.row()), flush=True)


def main() -> None:
    """Run what the command line asks for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--how", choices=("kill", "power"), default="kill")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--subjects", default="lastgate", help=f"of {', '.join(SUBJECTS)}")
    parser.add_argument("--work", type=Path, required=True, help="an empty folder; left as it is")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    strike = killed if asked.how == "kill" else unplugged
    rows = []
    for name in asked.subjects.split(","):
        work = asked.work / f"{name}-{asked.how}"
        work.mkdir(parents=True)
        rows.append(strike(SUBJECTS[name], work, rounds=asked.rounds, chance=Random(asked.seed)).row())
    if asked.out:
        asked.out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print("| server | blow | times | acknowledged | missing | unreadable |\n|---|---|---|---|---|---|")
    for row in rows:
        print("| {subject} | {how} | {rounds} | {acknowledged} | {missing} | {unreadable} |".format(**row))
    if any(row["missing"] or row["unreadable"] for row in rows if row["subject"] == Lastgate.name):
        sys.exit("Lastgate lost what it had acknowledged")


if __name__ == "__main__":
    main()
