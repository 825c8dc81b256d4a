"""How fast C-STORE is, side by side with other DICOM nodes: `python -m benchmarks.node_speed [--quick] [--write]`.

The targets take turns within each repetition, so that a ratio compares the same minutes of the same machine. Each
turn is a fresh server in an empty folder that takes twice as many other objects before, uncounted. Clients: DCMTK's
storescu as shipped, the same with TCP_NODELAY=1, and a raw sender with whole messages ready in memory, which is never
the slowest part.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.association import Association
from benchmarks.corpus import Item, ct_slices, records
from benchmarks.meter import Meter, cpu_s
from benchmarks.targets import DCMTK, NO_DELAY, OURS, STARTERS, Server, missing, running

CLIENTS = ("storescu as shipped", "storescu no-delay", "raw sender")
KINDS = ("CT", "record")
ACCEPTED_AT = 4
"""Associations at which the acceptance list compares."""
_FILED_S = 120.0
_CLIENT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One thing measured of every target.

    Parameters
    ----------
    objects
        How many are sent, over all associations.
    """

    client: str
    kind: str
    associations: int
    objects: int

    @property
    def no_delay(self) -> bool:
        """Does the server run with TCP_NODELAY=1 too?"""
        return self.client != CLIENTS[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What the clients saw.

    Parameters
    ----------
    latencies_s
        Of each object; only the raw sender tells.
    refused
        Objects answered with another status than success; with storescu, clients that failed.
    """

    elapsed_s: float
    latencies_s: tuple[float, ...] = ()
    refused: int = 0


def cells(*, quick: bool) -> list[Cell]:
    """Return what is measured, the cells of the acceptance list first."""
    shipped, delayless, raw = CLIENTS
    few, many = ((16, 40) if quick else (48, 64), (24, 80) if quick else (120, 320))
    counts = {shipped: dict(zip(KINDS, few, strict=True)), delayless: dict(zip(KINDS, many, strict=True))}
    counts[raw] = counts[delayless]
    at_once = (ACCEPTED_AT,) if quick else (ACCEPTED_AT, 1, 8)
    wanted = itertools.product(at_once, (delayless, raw, shipped), KINDS)
    return [
        Cell(client=client, kind=kind, associations=count, objects=counts[client][kind])
        for count, client, kind in wanted
        if client != shipped or count != 8
    ]


def schedule(wanted: Sequence[Cell], repetitions: int) -> list[tuple[int, Cell]]:
    """Return what is measured when: all repetitions of the acceptance list first, the rest as far as time allows."""
    turns = itertools.product(range(repetitions), wanted)
    return sorted(turns, key=lambda turn: turn[1].associations != ACCEPTED_AT)


def send(cell: Cell, server: Server, items: Sequence[Item]) -> tuple[Sent, Meter]:
    """Send the objects of a cell and measure the server meanwhile."""
    shares = [items[at :: cell.associations] for at in range(cell.associations)]
    if cell.client == CLIENTS[2]:
        return _send_raw(server, shares)
    for item in items:  # the clients shall not wait for the disk
        Path(item.path).read_bytes()
    environment = {key: value for key, value in os.environ.items() if key not in NO_DELAY}
    environment |= NO_DELAY if cell.no_delay else {}
    command = [str(DCMTK / "storescu"), "-q", "-R", "-aec", server.called_ae, "127.0.0.1", str(server.port)]
    with Meter(server.pid) as meter:
        started = time.perf_counter()
        clients = [
            subprocess.Popen(
                [*command, *(item.path for item in share)],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for share in shares
        ]
        failed = sum(client.wait(timeout=_CLIENT_S) != 0 for client in clients)
        elapsed = time.perf_counter() - started
    return Sent(elapsed_s=elapsed, refused=failed), meter


def _send_raw(server: Server, shares: Sequence[Sequence[Item]]) -> tuple[Sent, Meter]:
    context = multiprocessing.get_context("fork")
    ready, answers = context.Barrier(len(shares) + 1), context.Queue()
    senders = [
        context.Process(target=_raw_sender, args=(server.port, server.called_ae, share, ready, answers), daemon=True)
        for share in shares
    ]
    for sender in senders:
        sender.start()
    with Meter(server.pid) as meter:
        ready.wait(_CLIENT_S)
        told = [answers.get(timeout=_CLIENT_S) for _ in senders]
        for sender in senders:
            sender.join()
    elapsed = max(one["ended"] for one in told) - min(one["started"] for one in told)
    latencies = tuple(itertools.chain.from_iterable(one["latencies"] for one in told))
    return Sent(elapsed_s=elapsed, latencies_s=latencies, refused=sum(one["refused"] for one in told)), meter


def _raw_sender(port: int, called: str, items: Sequence[Item], ready: Barrier, answers: Any) -> None:
    contexts = sorted({(item.sop_class_uid, item.transfer_syntax_uid) for item in items})
    with Association(port, called, contexts) as association:
        messages = [
            association.store_message(
                item.sop_class_uid, item.sop_instance_uid, item.transfer_syntax_uid, item.dataset()
            )
            for item in items
        ]
        ready.wait(_CLIENT_S)
        latencies, refused, started = [], 0, time.perf_counter()
        for message in messages:
            begun = time.perf_counter()
            refused += association.exchange(message) != 0
            latencies.append(time.perf_counter() - begun)
        ended = time.perf_counter()
        answers.put({"started": started, "ended": ended, "latencies": latencies, "refused": refused})


def warm_up(server: Server, cell: Cell, items: Sequence[Item], *, is_ours: bool) -> None:
    """Send twice as many other objects as are measured, in two rounds: a department's node was not started just now."""
    for part in (items[::2], items[1::2]):
        _send_raw(server, [part[at :: cell.associations] for at in range(cell.associations)])
        if is_ours:
            server.wait_until_filed(_FILED_S)
    os.sync()


def measure(name: str, cell: Cell, items: Sequence[Item], warm: Sequence[Item], work: Path) -> dict[str, Any]:
    """Return what one cell gave for one target, after it took the objects of `warm`."""
    with running(name, work, no_delay=cell.no_delay) as server:
        warm_up(server, cell, warm, is_ours=name in OURS)
        begun_cpu = cpu_s(server.pid)
        sent, meter = send(cell, server, items)
        filed_s = server.wait_until_filed(_FILED_S) if name in OURS else 0.0
        all_cpu = cpu_s(server.pid) - begun_cpu
    megabytes = sum(item.size_bytes for item in items) / 1e6
    line = {
        "objects_per_s": len(items) / sent.elapsed_s,
        "mb_per_s": megabytes / sent.elapsed_s,
        "p50_ms": 1e3 * percentile(sent.latencies_s, 0.5),
        "p99_ms": 1e3 * percentile(sent.latencies_s, 0.99),
        "cpu_ms_per_object": 1e3 * meter.cpu_s / len(items),
        "cpu_s_per_gb": 1e3 * meter.cpu_s / megabytes,
        "filed_cpu_ms_per_object": 1e3 * all_cpu / len(items),
        "filed_cpu_s_per_gb": 1e3 * all_cpu / megabytes,
        "filed_after_s": filed_s,
        "peak_mb": meter.peak_mb,
        "others_cores": meter.others_cores,
        "refused": sent.refused,
    }
    return {"target": name, **asdict(cell), **{key: round(value, 3) for key, value in line.items()}}


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value below which `part` of the values lie; 0 if there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def run(args: argparse.Namespace, out: Path) -> list[dict[str, Any]]:
    """Measure until all repetitions are done or the time is over, and return the lines."""
    names = [name for name in args.targets.split(",") if name]
    for name in [name for name in names if missing(name)]:
        print(f"left out: {name}: {missing(name)}")
        names.remove(name)
    corpus, deadline, lines = args.work / "corpus", time.monotonic() + 60 * args.minutes, []
    wanted = cells(quick=args.quick)
    stock = {"CT": ct_slices(corpus, 3 * most(wanted, "CT")), "record": records(corpus, 3 * most(wanted, "record"))}
    with out.open("w") as file:
        for repetition, cell in schedule(wanted, args.repetitions):
            if time.monotonic() > deadline:
                print(f"time is over before {cell.client}, {cell.kind} x{cell.associations}, turn {repetition + 1}")
                break
            for name in names:
                try:
                    items = stock[cell.kind]
                    warm = items[-2 * cell.objects :]
                    line = measure(name, cell, items[: cell.objects], warm, args.work / "run")
                except (RuntimeError, TimeoutError, OSError, subprocess.TimeoutExpired) as error:
                    line = {"target": name, **asdict(cell), "error": str(error)[:300]}
                lines.append(line | {"repetition": repetition})
                file.write(json.dumps(lines[-1]) + "\n")
                file.flush()
                print(said(lines[-1]), flush=True)
    return lines


def most(wanted: Sequence[Cell], kind: str) -> int:
    """Return how many objects of a kind the largest cell needs."""
    return max(cell.objects for cell in wanted if cell.kind == kind)


def said(line: dict[str, Any]) -> str:
    """Return one line of progress."""
    head = f"{line['repetition']} {line['client']:20} {line['kind']:6} x{line['associations']} {line['target']:22}"
    if "error" in line:
        return f"{head} {line['error']}"
    return (
        f"{head} {line['objects_per_s']:8.1f}/s {line['mb_per_s']:7.1f} MB/s p99 {line['p99_ms']:6.1f} ms "
        f"CPU {line['cpu_ms_per_object']:6.2f} ms ({line['filed_cpu_ms_per_object']:.2f} filed) "
        f"{line['peak_mb']:6.1f} MB refused {line['refused']} others {line['others_cores']:.2f}"
    )


def tables(lines: Sequence[dict[str, Any]]) -> str:
    """Return the tables of the page, one for each client and kind of object."""
    good = [line for line in lines if "error" not in line]
    parts = []
    for client, kind in itertools.product(CLIENTS, KINDS):
        chosen = [line for line in good if (line["client"], line["kind"]) == (client, kind)]
        if chosen:
            parts.append(f"### {client}, {kind}\n\n" + _table(chosen))
    return "\n\n".join(parts)


def _table(lines: Sequence[dict[str, Any]]) -> str:
    counts = sorted({line["associations"] for line in lines})
    head = ["target", *(f"×{count} objects/s (MB/s), ratio" for count in counts), "p50 / p99 ms"]
    head += ["CPU ms/object (s/GB)", "the same until filed", "peak memory MB"]
    rows = []
    for name in dict.fromkeys(line["target"] for line in lines):
        own = [line for line in lines if line["target"] == name]
        main = [line for line in own if line["associations"] == (ACCEPTED_AT if ACCEPTED_AT in counts else counts[-1])]
        row = [name, *(_speed(own, lines, count) for count in counts)]
        row += [_latency(main), _pair(main, "cpu_ms_per_object", "cpu_s_per_gb")]
        row += [_pair(main, "filed_cpu_ms_per_object", "filed_cpu_s_per_gb") if name in OURS else "–"]
        rows.append([*row, f"{max(line['peak_mb'] for line in own):.0f}"])
    return page.table(head, rows)


def _speed(own: Sequence[dict[str, Any]], lines: Sequence[dict[str, Any]], count: int) -> str:
    mine = {line["repetition"]: line for line in own if line["associations"] == count}
    base = {
        line["repetition"]: line["objects_per_s"]
        for line in lines
        if line["associations"] == count and line["target"] == "Orthanc"
    }
    if not mine:
        return "–"
    speed, megabytes = (statistics.median(line[key] for line in mine.values()) for key in ("objects_per_s", "mb_per_s"))
    ratios = [line["objects_per_s"] / base[number] for number, line in mine.items() if number in base]
    refused = sum(line["refused"] for line in mine.values())
    ratio = f", {statistics.median(ratios):.2f}" if ratios else ""
    return f"{speed:.0f} ({megabytes:.1f}){ratio}" + (f", {refused} refused" if refused else "")


def _latency(lines: Sequence[dict[str, Any]]) -> str:
    p50, p99 = (page.median(lines, key) for key in ("p50_ms", "p99_ms"))
    return f"{p50:.1f} / {p99:.1f}" if p99 else "–"


def _pair(lines: Sequence[dict[str, Any]], first: str, second: str) -> str:
    return f"{page.median(lines, first):.2f} ({page.median(lines, second):.1f})" if lines else "–"


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    options = page.parser(__doc__ or "", minutes=11.5, repetitions=3)
    options.add_argument("--targets", default=",".join(STARTERS), help="names with commas between")
    return options


def main() -> None:
    """Measure, print the tables and write them to the page if asked to."""
    args = page.with_quick(parser().parse_args(), minutes=1.2)
    args.work.mkdir(parents=True, exist_ok=True)
    text = tables(run(args, args.work / "node_speed.jsonl"))
    sys.stdout.write("\n" + text + "\n")
    if args.write:
        page.write("C-STORE", text)


if __name__ == "__main__":
    main()
