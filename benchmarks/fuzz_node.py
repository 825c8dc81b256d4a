"""Fuzz a node from a seeded corpus of real files: data sets and PDUs with damage at random places.

``python -m benchmarks.fuzz_node --minutes 10 --corpus FOLDER --work DIR``

The corpus is every small DICOM file below the given folders and pydicom's own
test files. Each case has a number and comes from it and the seed alone, so
``--only NUMBER`` plays it again. A case fails when the node dies, hangs beyond
its deadlines, acknowledges what does not lie safely in its spool, answers an
unknown status, or grows; its bytes are then kept in ``DIR/failed``. What came
in is filed as it would be, and the filer must neither raise nor lose any of it.
"""

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Final

import pydicom

from ingest.dataset.part10 import find_dataset
from ingest.dataset.walker import Walker
from ingest.errors import IngestError
from tests.hostile.conversations import conversation, hold, mutated
from tests.hostile.nodes import BRISK, LiveNode, Posture, live_node
from tests.hostile.wire import Offer, association, data, pieces, store_command

PATIENCE_S: Final = 15.0
KNOWN_STATUS: Final = frozenset({"0000", "0110", "0122", "0124", "0211", "A700", "A900", "C000", "aborted", "closed"})
_MOST_SEED_BYTES: Final = 200_000
_FILED_EVERY: Final = 400
_LOOKED_EVERY: Final = 100
_MOST_GROWTH: Final = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """A data set of the corpus: its bytes, its transfer syntax, and what it says it is."""

    body: bytes
    syntax: str
    sop_class: str
    instance: str


@dataclass(slots=True, kw_only=True)
class Findings:
    """What came of a run."""

    seed: int
    seeds: int
    cases: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    filed: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    vitals: list[dict[str, int]] = field(default_factory=list)

    def as_json(self) -> str:
        """Return all of it."""
        told = {name: getattr(self, name) for name in self.__slots__}  # `asdict` would spoil the counters
        return json.dumps(told, indent=1)


class Failed(Exception):
    """The node did what it must not."""


def corpus(folders: Sequence[Path]) -> Iterator[Seed]:
    """Yield the data sets of small sound DICOM files, in the order of their paths."""
    own = Path(pydicom.__file__).parent / "data" / "test_files"
    for folder in (own, *folders):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and 200 < path.stat().st_size <= _MOST_SEED_BYTES:
                yield from _seed(path)


def _seed(path: Path) -> Iterator[Seed]:
    try:
        with path.open("rb") as stream:
            layout = find_dataset(stream)
            if layout is None or not layout.transfer_syntax_uid.startswith("1.2."):
                return
            stream.seek(layout.dataset_offset)
            names = Walker(stream, layout.transfer_syntax_uid).walk().names
            names.check()
    except IngestError:
        return
    body = path.read_bytes()[layout.dataset_offset :]
    yield Seed(
        body=body,
        syntax=layout.transfer_syntax_uid,
        sop_class=names.sop_class_uid,
        instance=names.sop_instance_uid,
    )


def play(node: LiveNode, number: int, chance: Random, seeds: Sequence[Seed]) -> Counter[str]:
    """Play one case; return what the node answered.

    Raises
    ------
    Failed
        The node did what it must not.
    """
    before = max((held.number for held in node.held()), default=0)
    if chance.random() < 0.5:
        said = _store(node, chance.choice(seeds), chance)
    else:
        talk = conversation(chance, broken=0.5, serial=f"3.{number}")
        outcome = hold(node.port, talk, patience_s=PATIENCE_S)
        if not outcome.has_ended:
            raise Failed("the node hangs")
        said = [(one.word, one.instance) for one in outcome.heard]
    _check(node, said, before)
    return Counter(word for word, _ in said)


def _store(node: LiveNode, seed: Seed, chance: Random) -> list[tuple[str, str]]:
    """Store a damaged data set over a sound association."""
    body = mutated(seed.body, chance)
    with association(node.port, Offer(abstract=seed.sop_class, syntaxes=(seed.syntax,))) as opened:
        command = store_command(instance=seed.instance, sop_class=seed.sop_class)
        opened.say(data(command, command=True), *pieces(body, size=chance.choice((2_000, 16_000, 100_000))))
        heard = opened.hear(within_s=PATIENCE_S)
    if heard.word not in KNOWN_STATUS:
        raise Failed(f"the answer to a data set is {heard.word}")
    return [(heard.word, heard.instance)]


def _check(node: LiveNode, said: list[tuple[str, str]], before: int) -> None:
    stored = [instance for word, instance in said if word == "0000" and instance]
    if not stored:
        return
    held = node.journal.pending(after=before)
    names = Counter(one.arrival.names.sop_instance_uid for one in held if one.arrival.kind == "dicom")
    if missing := Counter(stored) - names:
        raise Failed(f"acknowledged and not in the spool: {sorted(missing)}")
    for one in held:
        kept = hashlib.sha256(one.path.read_bytes()).hexdigest()
        if one.arrival.file_sha256 and one.arrival.file_sha256 != kept:
            raise Failed(f"the spool holds other bytes than it says: {one.path.name}")


def fuzz(work: Path, findings: Findings, seeds: Sequence[Seed], numbers: Iterator[int], ends: float) -> None:
    """Play case after case until the time is over."""
    with live_node(work / "node", Posture(settings=BRISK)) as node:
        first = node.vitals()
        for number in numbers:
            if time.monotonic() > ends:
                break
            _one(node, work, findings, seeds, number)
            if findings.cases % _LOOKED_EVERY == 0:
                _look(node, findings, first.memory_bytes)
            if findings.cases % _FILED_EVERY == 0:
                _file(node, findings)
        _file(node, findings)
        _look(node, findings, first.memory_bytes)


def _one(node: LiveNode, work: Path, findings: Findings, seeds: Sequence[Seed], number: int) -> None:
    findings.cases += 1
    try:
        findings.answers.update(play(node, number, Random(f"{findings.seed}.{number}"), seeds))
    except (Failed, AssertionError, OSError) as error:
        findings.failures.append(f"case {number}: {type(error).__name__}: {error}")
        (work / "failed").mkdir(exist_ok=True)
        (work / "failed" / f"{number}.txt").write_text(f"{findings.failures[-1]}\n")
        print(findings.failures[-1], flush=True)


def _look(node: LiveNode, findings: Findings, memory_bytes: int) -> None:
    now = node.vitals()
    findings.vitals.append({"case": findings.cases, **asdict(now)})
    if now.memory_bytes > memory_bytes + _MOST_GROWTH:
        findings.failures.append(f"after case {findings.cases}: memory grew to {now.memory_bytes}")
    if not node.is_alive():
        findings.failures.append(f"after case {findings.cases}: no answer to C-ECHO")


def _file(node: LiveNode, findings: Findings) -> None:
    waiting = len(node.held())
    try:
        became = Counter(node.file())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what we are looking for
        findings.failures.append(f"after case {findings.cases}: the filer raised {type(error).__name__}: {error}")
        return
    findings.filed += became
    if waiting and not became:
        findings.failures.append(f"after case {findings.cases}: {waiting} things were not filed")
    if became["lost"]:
        findings.failures.append(f"after case {findings.cases}: {became['lost']} things were lost")


def main() -> None:
    """Run what the command line asks for and print a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--only", type=int, action="append", help="play this case; may be given several times")
    parser.add_argument("--corpus", type=Path, action="append", default=[])
    parser.add_argument("--work", type=Path, required=True, help="an empty folder; left as it is")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    seeds = tuple(corpus(asked.corpus))
    findings = Findings(seed=asked.seed, seeds=len(seeds))
    numbers = iter(asked.only) if asked.only else iter(range(sys.maxsize))
    fuzz(asked.work, findings, seeds, numbers, time.monotonic() + asked.minutes * 60)
    text = findings.as_json()
    print(text)
    if asked.out:
        asked.out.write_text(text)
    if findings.failures:
        sys.exit(f"{len(findings.failures)} failures")


if __name__ == "__main__":
    main()
