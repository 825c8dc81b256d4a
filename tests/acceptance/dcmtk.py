"""DCMTK as the other side: what it can send, and what it received."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# pynetdicom puts scripts of the same names into the virtual environment: always by full path.
STORESCU = "/usr/bin/storescu"
STORESCP = "/usr/bin/storescp"
_SENDING = re.compile(r"^I: Sending file: (.*)$")
_ANSWER = re.compile(r"^I: Received Store Response \((.*)\)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """What became of files given to `storescu`.

    Parameters
    ----------
    answers
        Files that went out, with the peer's answer in DCMTK's words.
    unsendable
        Files DCMTK itself refuses to send.
    """

    answers: dict[Path, str]
    unsendable: tuple[Path, ...]


def storescu(paths: Sequence[Path], *, port: int, aet: str, options: Sequence[str] = ()) -> Shipment:
    """Send files one after the other with `storescu`; where it breaks off, go on behind the file it broke at."""
    answers: dict[Path, str] = {}
    waiting = list(paths)
    unsendable: list[Path] = []
    while waiting:
        command = [STORESCU, "-v", "-nh", "-R", *options, "-aec", aet, "127.0.0.1", str(port), *map(str, waiting)]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        last = _read(told.stdout + told.stderr, answers)
        if last is None:
            break
        waiting = waiting[waiting.index(last) + 1 :] if last not in answers else []
        if last not in answers:
            unsendable.append(last)
    unsendable += [path for path in paths if path not in answers and path not in unsendable]
    return Shipment(answers=answers, unsendable=tuple(unsendable))


def _read(text: str, answers: dict[Path, str]) -> Path | None:
    last = None
    for line in text.splitlines():
        sending, answer = _SENDING.match(line), _ANSWER.match(line)
        if sending:
            last = Path(sending[1])
        elif answer and last is not None:
            answers[last] = answer[1]
    return last


@contextmanager
def storescp(folder: Path, *, port: int = 0) -> Iterator[int]:
    """Run `storescp`, which writes data sets as they come over the wire, and yield its port; 0 takes a free one."""
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
    folder.mkdir(parents=True, exist_ok=True)
    command = [STORESCP, "--bit-preserving", "+uf", "+xa", "-aet", "JUDGE", "-od", str(folder), str(port)]
    with (folder.parent / "storescp.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(port)
            yield port
        finally:
            server.terminate()
            server.wait(timeout=20)


def _wait(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("storescp did not start")


def is_there() -> bool:
    """Return whether DCMTK is installed."""
    return bool(shutil.which(STORESCU) and shutil.which(STORESCP))
