"""How fast sealed dossiers are read back, beside ``sha256sum`` over the same files.

``.venv/bin/python -m benchmarks.verify_speed --write``

Before each turn the files are put out of the page cache, so that every program
reads the disk; the programs take turns within each repetition.
"""

import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from archive.facts.receipts import PatientKey
from archive.vault import ocfl
from archive.vault.ocfl import ContentFile
from archive.vault.vault import SealingPlan, SourceFile, seal_body
from benchmarks import page
from lastgate.auditing import verify
from lastgate.found import Found
from lastgate.settings import Settings
from lastgate.wiring import House, open_house
from storage.documents import put_document

SLICE_BYTES = 526_000
DOSE_BYTES = 8_000_000
SECTION = "Reading back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One program, once over all files."""

    program: str
    seconds: float
    cpu_s: float


def fill(house: House, dossiers: int, slices: int) -> None:
    """Seal dossiers of CT slices and a dose, whose bytes are random; the intake's names of them go."""
    numbers = random.Random(5)
    for _ in range(dossiers):
        name = f"{numbers.getrandbits(250):052x}"[:52]
        sizes = [SLICE_BYTES] * slices + [DOSE_BYTES]
        sources = [_put(house, numbers.randbytes(size)) for size in sizes]
        house.vault.carry_out(_plan(house, name, sources), retain_until=None)
        for key, _, _, _ in sources:
            house.stores.work.delete(key)


def _put(house: House, body: bytes) -> tuple[str, str, str, int]:
    short, long = hashlib.sha256(body).hexdigest(), hashlib.sha512(body).hexdigest()
    key = f"intake/dicom/{short[:2]}/{short}"
    put_document(house.stores.work, key, body)
    return key, short, long, len(body)


def _plan(house: House, name: str, sources: list[tuple[str, str, str, int]]) -> SealingPlan:
    made_at = datetime.now(UTC)
    files = [
        ContentFile(path=f"dicom/2.25.1/2.25.{number}.dcm", sha512=long, sha256=short, size_bytes=size)
        for number, (_, short, long, size) in enumerate(sources)
    ]
    told = _json({"files": [{"path": file.path, "receipt": {"file_sha256": file.sha256}} for file in files]})
    act = {"act": "seal", "account": "bench", "role": "file-manager", "made_at": made_at.isoformat()}
    body = seal_body(dossier=name, version=1, dossier_json=told, act=act, heads={})
    seal = _json({**body, "signature": house.key.sign(body), "public_key": house.key.public_key})
    own = [
        ContentFile(
            path=path,
            sha512=hashlib.sha512(text).hexdigest(),
            sha256=hashlib.sha256(text).hexdigest(),
            size_bytes=len(text),
        )
        for path, text in (("dossier.json", told), ("seal.json", seal))
    ]
    inventory = ocfl.next_inventory(
        name, None, [*files, *own], created=made_at.isoformat(), message="Sealed", account="bench"
    )
    return SealingPlan(
        dossier=name,
        version=1,
        patient_key=PatientKey("0" * 64),
        account="bench",
        role="file-manager",
        made_at=made_at,
        plan_uids=(),
        file_sha256s=tuple(file.sha256 for file in files),
        inventory=ocfl.encode(inventory).decode(),
        dossier_json=told.decode(),
        seal_json=seal.decode(),
        copies=tuple(
            SourceFile(path=file.path, source_key=key, sha256=file.sha256, size_bytes=file.size_bytes)
            for file, (key, _, _, _) in zip(files, sources, strict=True)
        ),
    )


def _json(body: object) -> bytes:
    return json.dumps(body, indent=1).encode() + b"\n"


def read_back(house: House, *, full: bool) -> None:
    """Read everything back, and end if anything is wrong: only a check that finds nothing is a measurement."""
    found = Found()
    for outcome in verify(house, full=full):
        found.add(outcome)
    if found.problems or not found.dossiers:
        sys.exit(f"the archive is not whole: {found.problems[:3]}")


def hashed(files: list[Path], *program: str, at_once: int) -> None:
    """Run a program over the files, so many processes at once."""
    names = b"\0".join(bytes(path) for path in files)
    subprocess.run(
        ["xargs", "-0", "-n", "64", "-P", str(at_once), *program],
        input=names,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def forget(files: list[Path]) -> None:
    """Put the files out of the page cache."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def measured(program: str, files: list[Path], act: Callable[[], None]) -> Turn:
    """Run a program over files that are not in memory."""
    forget(files)
    before, began = _cpu_s(), time.monotonic()
    act()
    return Turn(program=program, seconds=time.monotonic() - began, cpu_s=_cpu_s() - before)


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def turns(house: House, files: list[Path], *, repetitions: int) -> Iterator[list[Turn]]:
    """Yield the turns of each repetition."""
    programs: dict[str, Callable[[], None]] = {
        "sha256sum": lambda: hashed(files, "sha256sum", at_once=1),
        "sha256sum, two at once": lambda: hashed(files, "sha256sum", at_once=2),
        "openssl dgst -sha256, two at once": lambda: hashed(files, "openssl", "dgst", "-sha256", at_once=2),
        "lastgate verify": lambda: read_back(house, full=False),
        "lastgate verify --full": lambda: read_back(house, full=True),
    }
    for _ in range(repetitions):
        yield [measured(name, files, act) for name, act in programs.items()]


def report(repeated: list[list[Turn]], size_bytes: int) -> str:
    """Return the table: medians, and ratios of the turns of one repetition."""
    rows = []
    for number, first in enumerate(repeated[0]):
        mine = [turn[number] for turn in repeated]
        to_one = [turn[0].seconds / turn[number].seconds for turn in repeated]
        to_two = [turn[1].seconds / turn[number].seconds for turn in repeated]
        speed = sorted(size_bytes / 1e6 / turn.seconds for turn in mine)[len(mine) // 2]
        cpu = sorted(turn.cpu_s / (size_bytes / 1e9) for turn in mine)[len(mine) // 2]
        ratios = [f"{sorted(one)[len(one) // 2]:.2f}" for one in (to_one, to_two)]
        rows.append((first.program, f"{speed:.0f}", *ratios, f"{cpu:.2f}"))
    head = ("program", "MB/s", "× sha256sum", "× two at once", "CPU s/GB")
    return page.table(head, rows)


def main() -> None:
    """Measure, print, and write the page if asked."""
    options = page.parser(str(__doc__), minutes=5, repetitions=5)
    args = page.with_quick(options.parse_args(), minutes=1)
    folder = args.work / "verify"
    shutil.rmtree(folder, ignore_errors=True)
    dossiers, slices = (2, 40) if args.quick else (16, 120)
    try:
        with open_house(Settings(home=folder)) as house:
            fill(house, dossiers, slices)
            files = [path for path in (folder / "archive" / ocfl.ROOT).rglob("*") if path.is_file()]
            size_bytes = sum(path.stat().st_size for path in files)
            os.sync()
            text = report(list(turns(house, files, repetitions=args.repetitions)), size_bytes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    about = (
        f"{dossiers} sealed dossiers, {len(files)} files, {size_bytes / 1e9:.2f} GB; {args.repetitions} repetitions."
    )
    print(about, text, sep="\n\n")
    if args.write:
        page.write(SECTION, f"{about}\n\n{text}")


if __name__ == "__main__":
    main()
