"""The page docs/benchmarks.md: each benchmark writes its own section of it and leaves the others alone."""

import argparse
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
WORK = "BENCHMARKS_FOLDER"
"""The variable that names the folder for corpora and servers."""


def parser(about: str, *, minutes: float, repetitions: int) -> argparse.ArgumentParser:
    """Return the options all benchmarks have."""
    options = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="small numbers, one repetition: does it run?")
    options.add_argument("--write", action="store_true", help="write the tables to docs/benchmarks.md")
    options.add_argument("--minutes", type=float, default=minutes, help="begin nothing new after so long")
    options.add_argument("--repetitions", type=int, default=repetitions)
    options.add_argument(
        "--work", type=Path, default=Path(os.environ.get(WORK, "bench-work")), help="folder to work in"
    )
    return options


def with_quick(args: argparse.Namespace, *, minutes: float) -> argparse.Namespace:
    """Return the options with what `--quick` means."""
    if args.quick:
        args.minutes, args.repetitions = min(args.minutes, minutes), 1
    args.work = args.work.absolute()
    return args


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def median(lines: Sequence[dict[str, Any]], key: str) -> float:
    """Return the median of a figure over the repetitions; 0 without any."""
    values = [line[key] for line in lines if key in line]
    return float(statistics.median(values)) if values else 0.0


def write(section: str, text: str) -> None:
    """Put a section into the page in the place of the one of the same name."""
    start, end = f"<!-- {section}: measured -->", f"<!-- {section}: end -->"
    body = PAGE.read_text("utf-8")
    if start not in body or end not in body:
        raise ValueError(f"{PAGE.name} has no place for '{section}'")
    stamp = f"Measured on {datetime.now(UTC):%Y-%m-%d} on {machine()}."
    fresh = f"{start}\n\n{stamp}\n\n{text}\n\n{end}"
    PAGE.write_text(re.sub(re.escape(start) + ".*?" + re.escape(end), lambda _: fresh, body, flags=re.DOTALL), "utf-8")


def machine() -> str:
    """Say in general words what was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    peers = ", ".join(filter(None, (version("orthanc", "Orthanc"), version("dcmtk", "DCMTK"))))
    return f"{os.cpu_count()} cores, {memory:.0f} GB of memory, Linux, Python {platform.python_version()}; {peers}"


def version(package: str, name: str) -> str:
    """Return the version of a Debian package; empty without it."""
    told = subprocess.run(
        ["/usr/bin/dpkg-query", "-W", "-f=${Version}", package], capture_output=True, text=True, check=False
    )
    return f"{name} {told.stdout.split('+')[0].split('-')[0]}" if told.returncode == 0 else ""
