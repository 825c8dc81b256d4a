"""How fast C-FIND is beside Orthanc: `python -m benchmarks.query_speed [--quick] [--write]`.

The same studies of one small object each in both, the same queries over one association, query by query in turns.
Orthanc runs twice on what it stored, as shipped and with TCP_NODELAY=1. Ours is asked once it has filed everything;
above what is loaded over DICOM its index is filled directly (`benchmarks.fill_index`), for time's sake.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from pydicom import dcmwrite
from pydicom.dataset import Dataset

from benchmarks import page
from benchmarks.association import IMPLICIT, STUDY_ROOT_FIND, Association, PeerBroke, identifier
from benchmarks.fill_index import documents, fill
from benchmarks.node_speed import percentile
from benchmarks.targets import Server, missing, running
from search.kinds import Kind

TARGETS = {"Orthanc": False, "Orthanc, no-delay": True, "lastgate serve": False}
"""Name, and whether it runs with TCP_NODELAY=1."""

Keys = dict[tuple[int, int], str]

_STUDY: Keys = dict.fromkeys(
    [
        (0x0008, 0x0020),
        (0x0008, 0x0030),
        (0x0008, 0x0050),
        (0x0008, 0x0061),
        (0x0008, 0x1030),
        (0x0010, 0x0010),
        (0x0010, 0x0020),
        (0x0010, 0x0030),
        (0x0020, 0x000D),
    ],
    "",
)
_SERIES: Keys = dict.fromkeys([(0x0008, 0x0060), (0x0020, 0x000D), (0x0020, 0x000E), (0x0020, 0x0011)], "")
_IMAGE: Keys = dict.fromkeys(
    [(0x0008, 0x0016), (0x0008, 0x0018), (0x0020, 0x000D), (0x0020, 0x000E), (0x0020, 0x0013)], ""
)


def _study(**keys: str) -> bytes:
    tags = {
        "uid": (0x0020, 0x000D),
        "patient": (0x0010, 0x0020),
        "name": (0x0010, 0x0010),
        "accession": (0x0008, 0x0050),
        "date": (0x0008, 0x0020),
    }
    return identifier("STUDY", {**_STUDY, **{tags[name]: value for name, value in keys.items()}})


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study of one series of one instance, by its attributes."""

    told: dict[str, str]

    def __getitem__(self, keyword: str) -> str:
        return self.told[keyword]

    def encoded(self) -> bytes:
        """Return it as a data set in implicit little endian."""
        dataset = Dataset()
        dataset.SpecificCharacterSet = "ISO_IR 192"
        for keyword, value in self.told.items():
            setattr(dataset, keyword, value)
        stream = BytesIO()
        dcmwrite(stream, dataset, implicit_vr=True, little_endian=True, enforce_file_format=False)
        return stream.getvalue()


def studies(count: int) -> Iterator[Study]:
    """Yield the studies that `benchmarks.fill_index` puts into an index."""
    told: dict[str, str] = {}
    for document in documents(count, series=1, slices=1):
        if document.kind in (Kind.STUDY, Kind.SERIES):
            attributes = document.body["attributes"]
            told |= {key: attributes[key] for key in attributes if "Related" not in key and "InStudy" not in key}
        elif document.kind is Kind.INSTANCES:
            told |= {"SOPClassUID": document.body["alike"]["SOPClassUID"], "InstanceNumber": "1"}
            yield Study(told=told | {"SOPInstanceUID": document.body["each"]["SOPInstanceUID"][0]})


QUERIES: dict[str, Callable[[Study], bytes]] = {
    "study by its UID": lambda one: _study(uid=one["StudyInstanceUID"]),
    "studies by patient ID": lambda one: _study(patient=one["PatientID"]),
    "study by accession number": lambda one: _study(accession=one["AccessionNumber"]),
    "studies by patient ID with a wildcard": lambda _: _study(patient="P000001*"),
    "studies of a year by a name with a wildcard": lambda _: _study(date="20120101-20121231", name="Wang*"),
    "all studies": lambda _: _study(),
    "series of a study": lambda one: identifier("SERIES", {**_SERIES, (0x0020, 0x000D): one["StudyInstanceUID"]}),
    "images of a series": lambda one: identifier(
        "IMAGE", {**_IMAGE, (0x0020, 0x000D): one["StudyInstanceUID"], (0x0020, 0x000E): one["SeriesInstanceUID"]}
    ),
}
_CT = "1.2.840.10008.5.1.4.1.1.2"
_LOADERS = 4
_ASKED_FOR = 200
_FEW = ("wildcard", "all")
_QUERY_S = 25.0


def load(server: Server, start: int, stop: int, deadline: float) -> int:
    """Send studies over several associations until `deadline` and return up to which number they are there."""
    waiting, lock, reached = islice(enumerate(studies(stop)), start, stop), threading.Lock(), [start]

    def send() -> None:
        with Association(server.port, server.called_ae, [(_CT, IMPLICIT)]) as association:
            while time.monotonic() < deadline:
                with lock:
                    number, study = next(waiting, (stop, None))
                    reached[0] = max(reached[0], number)
                if study is None:
                    return
                message = association.store_message(_CT, study["SOPInstanceUID"], IMPLICIT, study.encoded())
                if association.exchange(message):
                    raise PeerBroke(f"{server.name} refused study {number}")
            with lock:  # whoever comes late has taken none, so all before were sent
                reached[0] = max(reached[0], number + 1)

    threads = [threading.Thread(target=send) for _ in range(_LOADERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return reached[0]


def wait_until_found(server: Server, count: int, most_s: float = 300.0) -> None:
    """Wait until ours finds all studies: it tells the index after it has answered the sender."""
    everything, ends = identifier("STUDY", {(0x0020, 0x000D): ""}), time.monotonic() + most_s
    with Association(server.port, server.called_ae, [(STUDY_ROOT_FIND, IMPLICIT)]) as association:
        while association.find(everything).hits < count:
            if time.monotonic() > ends:
                raise TimeoutError(f"{server.name} does not find all {count} studies after {most_s:.0f} s")
            time.sleep(1)


def ask(servers: Sequence[tuple[str, Server]], items: Sequence[Study], repetitions: int) -> list[dict[str, Any]]:
    """Ask every query of every server in turns and return a line for each pair."""
    chosen = random.Random(1)
    lines = []
    with ExitStack() as stack:
        peers = [
            (name, stack.enter_context(Association(one.port, one.called_ae, [(STUDY_ROOT_FIND, IMPLICIT)])))
            for name, one in servers
        ]
        for query, make in QUERIES.items():
            took: dict[str, list[float]] = {name: [] for name, _ in peers}
            hits: dict[str, list[int]] = {name: [] for name, _ in peers}
            ends = time.monotonic() + _QUERY_S
            for number in range(min(repetitions, 5) if any(word in query for word in _FEW) else repetitions):
                if number and time.monotonic() > ends:
                    break
                wanted = make(chosen.choice(items))
                for name, association in peers:
                    begun = time.perf_counter()
                    found = association.find(wanted)
                    took[name].append(time.perf_counter() - begun)
                    hits[name].append(found.hits if found.status == 0 else -1)
            lines += [_line(query, name, took[name], hits[name]) for name, _ in peers]
            print("  " + query + ": " + "; ".join(said(line) for line in lines[-len(peers) :]), flush=True)
    return lines


def _line(query: str, name: str, took: Sequence[float], hits: Sequence[int]) -> dict[str, Any]:
    return {
        "query": query,
        "target": name,
        "hits": statistics.median(hits),
        "asked": len(took),
        "p50_ms": round(1e3 * percentile(took, 0.5), 3),
        "p99_ms": round(1e3 * percentile(took, 0.99), 3),
    }


def said(line: dict[str, Any]) -> str:
    """Return one line of progress."""
    return f"{line['target']} {line['p50_ms']:.1f}/{line['p99_ms']:.1f} ms, {line['hits']:g} hits"


def run(args: argparse.Namespace, out: Path) -> list[dict[str, Any]]:
    """Measure with one number of studies after the other, and return the lines."""
    base, deadline, there, lines = args.work / "query", time.monotonic() + 60 * args.minutes, 0, []
    shutil.rmtree(base, ignore_errors=True)
    with out.open("w") as file:
        for count in args.studies:
            asked_at = time.monotonic()
            reached = bring(base, there, count, deadline, directly=count > args.over_dicom)
            print(f"{reached} studies are there after {time.monotonic() - asked_at:.0f} s", flush=True)
            for line in compare(base, reached, args.asked):
                lines.append({"studies": reached, **line})
                file.write(json.dumps(lines[-1]) + "\n")
            file.flush()
            there = reached
            if reached < count:
                print("time is over", flush=True)
                break
    shutil.rmtree(base, ignore_errors=True)
    return lines


def bring(base: Path, start: int, stop: int, deadline: float, *, directly: bool) -> int:
    """Bring both archives to `stop` studies, Orthanc as far as time allows, and return how many there are."""
    with running("Orthanc without fsync", base, no_delay=True, folder=base / "orthanc") as orthanc:
        reached = load(orthanc, start, stop, deadline)
    if directly:
        shutil.rmtree(base / "lastgate", ignore_errors=True)
        (base / "lastgate" / "home").mkdir(parents=True)
        fill(base / "lastgate" / "home" / "index.sqlite", reached, series=1, slices=1)
        return reached
    with running("lastgate serve", base, no_delay=False, folder=base / "lastgate") as ours:
        load(ours, start, reached, float("inf"))
        wait_until_found(ours, reached)
    return reached


def compare(base: Path, count: int, asked: int) -> list[dict[str, Any]]:
    """Ask the queries of Orthanc as shipped, Orthanc without delay and ours, all on the same studies."""
    items = random.Random(2).sample(list(studies(count)), min(count, _ASKED_FOR))
    second = base / "orthanc-as-shipped"
    shutil.rmtree(second, ignore_errors=True)
    shutil.copytree(base / "orthanc" / "db", second / "db", copy_function=_linked)
    folders = {"Orthanc": second, "Orthanc, no-delay": base / "orthanc", "lastgate serve": base / "lastgate"}
    with ExitStack() as stack:
        servers = [
            (name, stack.enter_context(running(name.split(",")[0], base, no_delay=nd, folder=folders[name])))
            for name, nd in TARGETS.items()
        ]
        return ask(servers, items, asked)


def _linked(source: str, target: str) -> None:
    """Copy what Orthanc writes to, and link the files of its instances, which it does not change."""
    (shutil.copy if Path(source).name.startswith("index") else os.link)(source, target)


def tables(lines: Sequence[dict[str, Any]]) -> str:
    """Return a table for each number of studies."""
    parts = []
    for count, group in groupby(lines, key=lambda line: line["studies"]):
        rows = []
        for query, answers in groupby(group, key=lambda line: line["query"]):
            by = {line["target"]: line for line in answers}
            ratio = by["Orthanc, no-delay"]["p50_ms"] / max(by["lastgate serve"]["p50_ms"], 1e-3)
            hits = " / ".join(dict.fromkeys(f"{line['hits']:g}" for line in by.values()))
            speeds = [f"{by[name]['p50_ms']:.1f} / {by[name]['p99_ms']:.1f}" for name in TARGETS]
            rows.append([query, hits, *speeds, f"{ratio:.1f}"])
        head = ["query", "hits", *(f"{name}: p50 / p99 ms" for name in TARGETS), "times faster than Orthanc, no-delay"]
        parts.append(f"### {count} studies\n\n{page.table(head, rows)}")
    return "\n\n".join(parts)


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    options = page.parser(__doc__ or "", minutes=7.5, repetitions=1)
    options.add_argument("--studies", type=lambda text: [int(one) for one in text.split(",")], default=[])
    options.add_argument("--over-dicom", type=int, default=5000, help="above that the index of ours is filled directly")
    options.add_argument("--asked", type=int, default=40, help="how often each query is asked")
    return options


def main() -> None:
    """Measure, print the tables and write them to the page if asked to."""
    args = page.with_quick(parser().parse_args(), minutes=1)
    args.studies = args.studies or ([100, 300] if args.quick else [1000, 5000, 100_000])
    args.work.mkdir(parents=True, exist_ok=True)
    if absent := missing("Orthanc"):
        sys.exit(f"There is nothing to compare with: {absent}")
    text = tables(run(args, args.work / "query_speed.jsonl"))
    sys.stdout.write("\n" + text + "\n")
    if args.write:
        page.write("C-FIND", text)


if __name__ == "__main__":
    main()
