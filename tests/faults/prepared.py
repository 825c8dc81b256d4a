"""A prepared process: it has loaded the program and forks a child for each deed, which may be killed at any moment.

Starting Python anew for each of hundreds of kills would cost a second each;
what is forked here has opened nothing yet, so a deed does all that a command does.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

from tests.faults.disks import cut_power

_ROOT: Final = Path(__file__).parents[2]
_LONGEST_S: Final = 120.0
Say = Callable[[Any], None]
Deed = Callable[[Path, Say, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a deed ended.

    Parameters
    ----------
    how
        ``done``, ``killed``, or ``failed`` with the traceback in `why`.
    said
        What the child told before it ended, in order.
    steps
        Names of the durable steps it made; only of one that was done.
    seconds
        From fork to end.
    """

    how: Literal["done", "killed", "failed"]
    said: tuple[Any, ...]
    steps: tuple[str, ...]
    why: str
    seconds: float


class Prepared:
    """Asks the prepared process for deeds, one at a time."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(
        self,
        deed: str,
        home: Path,
        *,
        at: int | None = None,
        after_s: float | None = None,
        disk: Path | None = None,
        on_said: Callable[[Any], None] | None = None,
        **values: Any,
    ) -> Ended:
        """Have a deed of `tests.faults.deeds` done in a process of its own, killed before step `at` or after a time.

        With a `disk` the power of what is mounted there is cut as soon as it is dead.
        """
        blow = {"at": at, "after_s": after_s, "disk": str(disk) if disk else None}
        order = {"deed": deed, "home": str(home), "values": values, **blow}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        said: list[Any] = []
        for line in self._process.stdout:
            told = json.loads(line)
            if "said" not in told:
                return Ended(said=tuple(said), **{**told, "steps": tuple(told["steps"])})
            said.append(told["said"])
            if on_said is not None:
                on_said(told["said"])
        raise AssertionError("the prepared process ended")

    def done(self, deed: str, home: Path, **values: Any) -> Ended:
        """Have a deed done to its end; fails if it is not."""
        ended = self.run(deed, home, **values)
        assert ended.how == "done", ended.why
        return ended


@contextmanager
def prepared() -> Iterator[Prepared]:
    """Run a prepared process until the block ends."""
    foreign = {key: value for key, value in os.environ.items() if not key.startswith("LASTGATE_")}
    process = subprocess.Popen(
        [sys.executable, "-c", "from tests.faults.prepared import main; main()"],
        cwd=_ROOT,
        env=foreign,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Prepared(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        process.wait()


def main() -> None:
    """Fork a child for each order on the standard input and tell of it on the standard output."""
    from tests.faults.deeds import DEEDS

    for line in sys.stdin:
        order = json.loads(line)
        hear, tell = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(hear)
            _be_child(DEEDS[order["deed"]], order, tell)
        os.close(tell)
        _watch(child, hear, order)


def _be_child(deed: Deed, order: Mapping[str, Any], tell: int) -> NoReturn:
    """Do the deed and leave by `os._exit`, so that nothing of the prepared process runs twice."""
    from tests.faults.steps import arm

    out = os.fdopen(tell, "w", buffering=1)
    os.dup2(2, 1)  # what is logged must not come among the answers
    code = 0
    try:
        steps = arm(at=order["at"])
        deed(Path(order["home"]), lambda what: print(json.dumps({"said": what}), file=out), order["values"])
        print(json.dumps({"steps": steps}), file=out)
    except BaseException:  # noqa: BLE001 - told, and judged by the test
        print(json.dumps({"why": traceback.format_exc()}), file=out)
        code = 1
    out.close()
    os._exit(code)


def _watch(child: int, hear: int, order: Mapping[str, Any]) -> None:
    began = time.monotonic()
    ends = began + (_LONGEST_S if order["after_s"] is None else order["after_s"])
    last: dict[str, Any] = {}
    with os.fdopen(hear, "rb", buffering=0) as stream:
        for line in _lines(stream.fileno(), child, ends):
            told = json.loads(line)
            if "said" in told:
                sys.stdout.write(f"{line.decode()}\n")
                sys.stdout.flush()
            else:
                last = told
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and order["disk"]:
        cut_power(Path(order["disk"]))  # only now: nothing may be acknowledged by a machine without power
    how = "killed" if os.WIFSIGNALED(status) else "failed" if os.WEXITSTATUS(status) else "done"
    answer = {
        "how": how,
        "steps": last.get("steps", []),
        "why": last.get("why", how),
        "seconds": time.monotonic() - began,
    }
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


def _lines(descriptor: int, child: int, ends: float) -> Iterator[bytes]:
    """Yield whole lines of a child until it has ended; it is killed when its time is over."""
    taken = b""
    while True:
        left_s = max(ends - time.monotonic(), 0.0)
        readable, _, _ = select.select([descriptor], [], [], left_s)
        if not readable:
            os.kill(child, signal.SIGKILL)
            ends = time.monotonic() + _LONGEST_S
            continue
        piece = os.read(descriptor, 65536)
        if not piece:
            return
        taken += piece
        *whole, taken = taken.split(b"\n")
        yield from whole
