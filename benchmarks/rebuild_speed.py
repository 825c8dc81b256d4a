"""How fast an index is built anew from facts alone: made-up patients, each with a thousand instances.

    python -m benchmarks.rebuild_speed --patients 200 --instances 1000

Facts only, as a filer leaves them: receipts of whole courses with plans, structure sets, doses and treatment records
of the sample department, and of setup images on their frame of reference until the number is reached. No instance
stands behind them; a rebuild reads none.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from archive.facts.receipts import patient_key
from archive.headers import Identifier
from lastgate.reception import take_in
from lastgate.sample import write_department
from lastgate.settings import NodeSettings, Settings
from lastgate.wiring import open_house
from storage.base import ObjectStore
from storage.documents import put_document

_UID: Final = re.compile(rb'"2\.25\.[0-9]+"')
_DIGEST: Final = re.compile(rb"[0-9a-f]{128}|[0-9a-f]{64}")
_OWN_OF_A_SERIES: Final = re.compile(rb'"(series_uid|sop_instance_uid)":("2\.25\.[0-9]+")')


def main() -> None:
    """Make the facts, rebuild the index in a process of its own, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--instances", type=int, default=1000, help="of each patient")
    parser.add_argument("--home", type=Path, help="keep the archive here; made if it is not there")
    parser.add_argument("--processes", type=int, default=0, help="0: as many as there are cores")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.once:
        print(json.dumps(_rebuilt(chosen.home, chosen.processes)))
        return
    with tempfile.TemporaryDirectory(prefix="lastgate-rebuild-") as folder:
        home = chosen.home or Path(folder) / "home"
        if not home.exists():
            fill(home, patients=chosen.patients, instances=chosen.instances)
        command = [sys.executable, "-m", "benchmarks.rebuild_speed", "--once", "--home", str(home)]
        told = subprocess.run(
            [*command, "--processes", str(chosen.processes)], check=True, capture_output=True, text=True
        )
    print(json.dumps(_speeds(json.loads(told.stdout), chosen.patients * chosen.instances)))


def fill(home: Path, *, patients: int, instances: int) -> None:
    """Write the facts of `patients` patients with `instances` receipts each into an archive on the filesystem."""
    with tempfile.TemporaryDirectory() as folder:
        templates = _templates(Path(folder))
    with open_house(_settings(home)) as house:
        for number in range(patients):
            _write(house.stores.work, templates[number % len(templates)], number, instances)


def _templates(folder: Path) -> list[list[bytes]]:
    """Return the lines of the receipts of each patient of the sample department."""
    write_department(folder / "sample", scale="small")
    with open_house(_settings(folder / "home")) as house:
        take_in(house, [folder / "sample"])
        names = [house.facts.names(key) for key in house.facts.patients()]
        return [house.stores.work.read_bytes(objects[0]).splitlines(keepends=True) for objects in names]


def _write(store: ObjectStore, template: list[bytes], number: int, instances: int) -> None:
    person = json.loads(template[0])["header"]["patient"]["identifier"]
    value = f"BENCH-{number:06d}"
    lines = [
        _UID.sub(lambda found: _other_uid(found[0], number), line).replace(
            f'"{person["value"]}"'.encode(), f'"{value}"'.encode()
        )
        for line in _lines(template, instances)
    ]
    body = b"".join(_DIGEST.sub(lambda found: _other_digest(found[0], number), line) for line in lines)
    key = patient_key(Identifier(value=value, issuer=person.get("issuer", "")), "")
    put_document(store, f"facts/{key[:2]}/{key}/r-node1-00000000.jsonl", body)


def _lines(template: list[bytes], instances: int) -> Iterator[bytes]:
    """Yield the lines of a patient, and then its slices again and again as further series of that study."""
    yield from template[:instances]
    slices = [line for line in template if b'"modality":"CT"' in line]
    left = instances - len(template)
    for number in range(max(0, left)):
        series, place = divmod(number, len(slices))
        line = _OWN_OF_A_SERIES.sub(
            lambda found: b'"' + found[1] + b'":' + _other_uid(found[2], -1 - series),  # noqa: B023 - called at once
            slices[place],
        )
        yield _DIGEST.sub(lambda found: _other_digest(found[0], -1 - series), line)  # noqa: B023 - called at once


def _other_uid(uid: bytes, number: int) -> bytes:
    digest = hashlib.blake2b(uid + str(number).encode(), digest_size=15).digest()
    return f'"2.25.{int.from_bytes(digest, "big")}"'.encode()


def _other_digest(digest: bytes, number: int) -> bytes:
    return hashlib.blake2b(digest + str(number).encode(), digest_size=len(digest) // 2).hexdigest().encode()


def _settings(home: Path) -> Settings:
    return Settings(home=home, node=NodeSettings(port=0))


def _rebuilt(home: Path, processes: int) -> dict[str, Any]:
    with open_house(_settings(home)) as house:
        began, used = time.monotonic(), os.times()
        documents = house.rebuild(processes=processes)
        wall_s, after = time.monotonic() - began, os.times()
    cpu_s = sum(after[:4]) - sum(used[:4])
    return {"documents": documents, "wall_s": round(wall_s, 2), "cpu_s": round(cpu_s, 2), "processes": processes}


def _speeds(told: dict[str, Any], instances: int) -> dict[str, Any]:
    speeds = {"instances": instances, "per_s": round(instances / told["wall_s"])}
    return {**told, **speeds, "per_cpu_s": round(instances / told["cpu_s"])}


if __name__ == "__main__":
    main()
