"""How fast C-MOVE and C-GET are beside other archives: `python -m benchmarks.retrieve_speed [--quick] [--write]`.

Each archive holds the same studies of CT slices and treatment records. C-GET is DCMTK's getscu, C-MOVE goes to DCMTK's
storescp; as shipped, and with TCP_NODELAY=1 for server, client and destination alike. The archives take turns.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.association import IMPLICIT, STUDY_ROOT_FIND, STUDY_ROOT_MOVE, Association, PeerBroke, identifier
from benchmarks.corpus import Item, courses
from benchmarks.meter import Meter
from benchmarks.targets import DCMTK, DESTINATION_AE, NO_DELAY, Server, free_port, missing, running

ARCHIVES = ("Orthanc", "dcmqrscp", "lastgate serve")
WAYS = ("C-GET", "C-MOVE")
_FILED_S = 120.0
_CLIENT_S = 180.0
_ARRIVES_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """An archive that holds the studies."""

    server: Server
    no_delay: bool

    @property
    def name(self) -> str:
        """Name of the target."""
        return f"{self.server.name}, no-delay" if self.no_delay else self.server.name


def fill(server: Server, items: Sequence[Item]) -> None:
    """Store the studies and wait until they can be retrieved."""
    contexts = sorted({(item.sop_class_uid, item.transfer_syntax_uid) for item in items})
    with Association(server.port, server.called_ae, contexts) as association:
        for item in items:
            message = association.store_message(
                item.sop_class_uid, item.sop_instance_uid, item.transfer_syntax_uid, item.dataset()
            )
            if association.exchange(message):
                raise PeerBroke(f"{server.name} refused an object")
    _wait_until_found(server, items)


def _wait_until_found(server: Server, items: Sequence[Item]) -> None:
    """Wait until every series is whole: ours tells the index after it has answered the sender."""
    ends = time.monotonic() + _FILED_S
    with Association(server.port, server.called_ae, [(STUDY_ROOT_FIND, IMPLICIT)]) as association:
        for (study, series), count in Counter((item.study_uid, item.series_uid) for item in items).items():
            keys = {(0x0008, 0x0018): "", (0x0020, 0x000D): study, (0x0020, 0x000E): series}
            while association.find(identifier("IMAGE", keys)).hits < count:
                if time.monotonic() > ends:
                    raise TimeoutError(f"{server.name} does not find all objects after {_FILED_S:.0f} s")
                time.sleep(0.2)


def retrieve(way: str, archive: Archive, studies: Sequence[str], folder: Path, destination: int) -> float:
    """Fetch the studies into a folder and return how long it took."""
    environment = {key: value for key, value in os.environ.items() if key not in NO_DELAY}
    environment |= NO_DELAY if archive.no_delay else {}
    if way == "C-MOVE":
        with _destination(folder, destination, environment):
            return _move(archive.server, studies)
    started = time.perf_counter()
    for study in studies:
        command = [str(DCMTK / "getscu"), "-q", "-S", "+B", "-pdu", "131072", "-aec", archive.server.called_ae]
        command += ["-od", str(folder), "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
        command += ["127.0.0.1", str(archive.server.port)]
        subprocess.run(command, env=environment, capture_output=True, timeout=_CLIENT_S, check=False)
    return time.perf_counter() - started


def _move(server: Server, studies: Sequence[str]) -> float:
    contexts = [(STUDY_ROOT_MOVE, IMPLICIT)]
    with Association(server.port, server.called_ae, contexts, calling=DESTINATION_AE) as association:
        started = time.perf_counter()
        for study in studies:
            association.move(identifier("STUDY", {(0x0020, 0x000D): study}), DESTINATION_AE)
        return time.perf_counter() - started


@contextmanager
def _destination(folder: Path, port: int, environment: dict[str, str]) -> Iterator[None]:
    """Run DCMTK's storescp, which keeps what it is sent in `folder`."""
    command = [str(DCMTK / "storescp"), "--fork", "+B", "-pdu", "131072", "-aet", DESTINATION_AE]
    command += ["-od", str(folder), str(port)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        _wait_for(port)
        yield
        _settle(folder)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            Association(port, DESTINATION_AE, [("1.2.840.10008.1.1", IMPLICIT)], timeout_s=5).release()
        except (OSError, PeerBroke):
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("The destination of C-MOVE did not start")


def _settle(folder: Path) -> None:
    """Wait until nothing arrives any more: an archive may answer before the last object is written."""
    before, ends = -1, time.monotonic() + _ARRIVES_S
    while (now := len(list(folder.iterdir()))) != before and time.monotonic() < ends:
        before = now
        time.sleep(0.1)


def measure(way: str, archive: Archive, items: Sequence[Item], work: Path, destination: int) -> dict[str, Any]:
    """Return what one retrieval of everything gave."""
    folder = work / "fetched"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with Meter(archive.server.pid) as meter:
        took = retrieve(way, archive, sorted({item.study_uid for item in items}), folder, destination)
    arrived = len(list(folder.iterdir()))
    shutil.rmtree(folder)
    megabytes = sum(item.size_bytes for item in items) / 1e6
    return {
        "target": archive.name,
        "way": way,
        "no_delay": archive.no_delay,
        "expected": len(items),
        "arrived": arrived,
        "objects_per_s": round(arrived / took, 3),
        "mb_per_s": round(megabytes * arrived / len(items) / took, 3),
        "cpu_ms_per_object": round(1e3 * meter.cpu_s / max(1, arrived), 3),
        "peak_mb": round(meter.peak_mb, 1),
        "others_cores": round(meter.others_cores, 3),
    }


def run(args: argparse.Namespace, out: Path) -> list[dict[str, Any]]:
    """Fill all archives, then fetch from one after the other, and return the lines."""
    count, slices = (1, 12) if args.quick else (2, 90)
    items = courses(args.work / "corpus", count, slices=slices)
    deadline, destination, lines = time.monotonic() + 60 * args.minutes, free_port(), []
    with ExitStack() as stack, out.open("w") as file:
        archives = []
        for name in [name for name in ARCHIVES if not missing(name)]:
            for no_delay in (False, True):
                work = args.work / "retrieve" / ("no-delay" if no_delay else "as-shipped")
                server = stack.enter_context(running(name, work, no_delay=no_delay, destination=destination))
                archives.append(Archive(server=server, no_delay=no_delay))
                fill(server, items)
                print(f"{archives[-1].name} holds {len(items)} objects", flush=True)
        for repetition in range(args.repetitions):
            if time.monotonic() > deadline:
                print(f"time is over in repetition {repetition + 1}", flush=True)
                break
            for way in WAYS:
                for archive in archives:
                    line = measure(way, archive, items, args.work / "retrieve", destination)
                    lines.append(line | {"repetition": repetition})
                    file.write(json.dumps(lines[-1]) + "\n")
                    print(said(lines[-1]), flush=True)
    return lines


def said(line: dict[str, Any]) -> str:
    """Return one line of progress."""
    return (
        f"{line['repetition']} {line['way']:6} {line['target']:24} {line['arrived']}/{line['expected']} "
        f"{line['objects_per_s']:7.1f}/s {line['mb_per_s']:7.1f} MB/s CPU {line['cpu_ms_per_object']:.2f} ms "
        f"{line['peak_mb']:.0f} MB others {line['others_cores']:.2f}"
    )


def tables(lines: Sequence[dict[str, Any]]) -> str:
    """Return a table for each way of retrieving."""
    parts = []
    for way in WAYS:
        rows = []
        for name in dict.fromkeys(line["target"] for line in lines):
            own = [line for line in lines if (line["target"], line["way"]) == (name, way)]
            if own:
                rows.append(_row(name, own, lines))
        head = ["target", "objects/s (MB/s)", "ratio to Orthanc alike", "CPU ms/object", "peak memory MB", "arrived"]
        parts.append(f"### {way}\n\n{page.table(head, rows)}")
    return "\n\n".join(parts)


def _row(name: str, own: Sequence[dict[str, Any]], lines: Sequence[dict[str, Any]]) -> list[str]:
    alike = "Orthanc, no-delay" if own[0]["no_delay"] else "Orthanc"
    base = {
        line["repetition"]: line["objects_per_s"]
        for line in lines
        if (line["target"], line["way"]) == (alike, own[0]["way"])
    }
    ratios = [line["objects_per_s"] / base[line["repetition"]] for line in own if base.get(line["repetition"])]
    whole = sum(line["arrived"] == line["expected"] for line in own)
    return [
        name,
        f"{page.median(own, 'objects_per_s'):.0f} ({page.median(own, 'mb_per_s'):.1f})",
        f"{statistics.median(ratios):.2f}" if ratios else "–",
        f"{page.median(own, 'cpu_ms_per_object'):.2f}",
        f"{max(line['peak_mb'] for line in own):.0f}",
        "all" if whole == len(own) else f"all in {whole} of {len(own)}",
    ]


def main() -> None:
    """Measure, print the tables and write them to the page if asked to."""
    args = page.with_quick(page.parser(__doc__ or "", minutes=11, repetitions=5).parse_args(), minutes=1)
    args.work.mkdir(parents=True, exist_ok=True)
    text = tables(run(args, args.work / "retrieve_speed.jsonl"))
    sys.stdout.write("\n" + text + "\n")
    if args.write:
        page.write("retrieve", text)


if __name__ == "__main__":
    main()
