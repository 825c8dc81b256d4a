"""The audit of all journals: every chain from its first line to its signed head, and what others have seen of it.

A chain proves that nothing was changed within it; a signed head, that nothing
was cut off its end. Whoever rewrites a chain and signs it anew, or puts back
an old copy of the whole store, is found by witnesses: hashes of the chain that
stand elsewhere, in segments of other nodes, in seals, and on the node's own disk.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from archive.errors import ChainBroken
from archive.journal.chain import START, parsed
from archive.journal.problems import Problem
from archive.journal.segments import Segment, clock_note, place_of, read_segment
from archive.signing.keys import KeyRing
from archive.signing.signing import is_signed, key_id
from storage.base import ObjectStore
from storage.errors import ObjectMissing

_HEADS: Final = "site/journal/"
_SEEN_BY: Final = {
    "seal": "the seal of {} names",
    "journal": "{} names",
    "memory": "node {} itself remembers on its own disk",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A hash of a node's chain that stands somewhere else.

    Parameters
    ----------
    kind, name
        What kind of place it is, and which one: ``seal`` and dossier with version, ``journal`` and the key of a
        segment, ``memory`` and the node whose disk it is.
    """

    kind: str
    name: str
    node: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What an audit found.

    Parameters
    ----------
    events
        How many events can be read.
    notes
        What breaks nothing and is worth knowing.
    """

    events: int
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]

    @property
    def is_whole(self) -> bool:
        """Whether every chain is what was written, to its signed end."""
        return not self.problems


@dataclass(slots=True, kw_only=True)
class _Chain:
    """A node's chain as far as it was followed."""

    node: str
    sequence: int = 0
    epoch: int = 0
    end: str | None = START
    last_key: str = ""
    at: datetime | None = None
    events: int = 0
    ends: dict[int, str] = field(default_factory=dict)
    damaged: set[int] = field(default_factory=set)
    seen: dict[tuple[str, str], str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    def tell(self, kind: str, message: str, *, segment: str = "", line: int | None = None) -> None:
        self.problems.append(Problem(kind=kind, node=self.node, segment=segment, line=line, message=message))

    def note(self, kind: str, message: str, *, segment: str = "") -> None:
        self.notes.append(Problem(kind=kind, node=self.node, segment=segment, message=message))

    def follow(self, segment: Segment) -> None:
        """Go on by one segment."""
        self._examine_place(segment)
        if segment.epoch != self.epoch and self.epoch:
            self.note("outbox-new", f"{segment.key} begins with a new outbox", segment=segment.key)
        self.problems.extend(segment.problems)
        self.notes.extend(segment.notes)
        self._examine_clock(segment)
        if segment.problems:
            self.damaged.add(segment.sequence)
        self.events += segment.events
        for node, end in segment.heads.items():
            self.seen.setdefault((node, str(end)), segment.key)
        self.sequence, self.epoch = segment.sequence, segment.epoch
        self.end, self.last_key = segment.end, segment.key
        if segment.end:
            self.ends[segment.sequence] = segment.end

    def _examine_clock(self, segment: Segment) -> None:
        if segment.times:
            first, last = segment.times
            note = clock_note(segment.key, self.node, 2, before=self.at, after=first) if self.at else None
            self.notes.extend([note] if note else [])
            self.at = last

    def _examine_place(self, segment: Segment) -> None:
        expected = self.sequence + 1
        if segment.sequence > expected:
            self.tell("segment-missing", f"{_range(expected, segment.sequence - 1)} of node {self.node!r} missing")
        elif segment.sequence < expected:
            message = f"{segment.key} bears a number that a segment before it bears"
            self.tell("segment-forked", message, segment=segment.key)
        elif segment.previous is not None and segment.previous != self.end and self.sequence not in self.damaged:
            message = f"{segment.key} does not follow {self.last_key or 'the start of a chain'}"
            self.tell("segment-link", message, segment=segment.key, line=1)


class Auditor:
    """Examines the journals of all nodes; they may go on writing meanwhile."""

    def __init__(self, *, locked: ObjectStore, site: ObjectStore, keys: KeyRing) -> None:
        self._locked = locked
        self._site = site
        self._keys = keys

    def audit(self, witnesses: Iterable[Witness]) -> Audit:
        """Return all that is wrong.

        Parameters
        ----------
        witnesses
            Read before anything of the chains is, so that nothing they name can be too new.

        Raises
        ------
        FormatTooNew
            A newer Lastgate wrote a segment.
        """
        told = list(witnesses)
        heads, unreadable = self._heads()
        chains: dict[str, _Chain] = {}
        read = self._follow(chains, ())
        told += [
            Witness(kind="journal", name=key, node=other, hash=end)
            for chain in chains.values()
            for (other, end), key in chain.seen.items()
        ]
        last = {node: chain.sequence for node, chain in chains.items()}
        signed_later, _ = self._heads()
        self._follow(chains, read)
        problems = [*unreadable, *(one for chain in chains.values() for one in chain.problems)]
        notes = [one for chain in chains.values() for one in chain.notes]
        problems += self._head_problems(heads, chains)
        for node, sequence in last.items():
            _examine_tail(node, sequence, signed_later.get(node), problems, notes)
        problems += _contradictions(told, chains)
        return Audit(
            events=sum(chain.events for chain in chains.values()), problems=tuple(problems), notes=tuple(notes)
        )

    def _heads(self) -> tuple[dict[str, Mapping[str, Any]], list[Problem]]:
        found: dict[str, Mapping[str, Any]] = {}
        problems = []
        for stat in self._site.list(_HEADS):
            node = stat.key.removeprefix(_HEADS).removesuffix(".json")
            try:
                head = parsed(stat.key, self._site.read_bytes(stat.key))
            except (ChainBroken, ObjectMissing):
                head = {}
            if head.get("node") == node and isinstance(head.get("sequence"), int):
                found[node] = head
            else:
                message = f"{stat.key} can't be read as the head of that node's journal"
                problems.append(Problem(kind="head-changed", node=node, message=message))
        return found, problems

    def _follow(self, chains: dict[str, _Chain], done: Collection[str]) -> set[str]:
        """Read the segments that are not `done` into their nodes' chains and return the keys of all there are."""
        keys = [stat.key for stat in self._locked.list("journal/")]
        for key in keys:
            if key in done:
                continue
            node = key.split("/")[1]
            chain = chains.setdefault(node, _Chain(node=node))
            try:
                place_of(key)
                chain.follow(read_segment(key, self._locked.read_bytes(key)))
            except ChainBroken as error:
                chain.tell("segment-foreign", str(error), segment=key)
        return set(keys)

    def _head_problems(self, heads: Mapping[str, Mapping[str, Any]], chains: Mapping[str, _Chain]) -> Iterator[Problem]:
        for node, head in heads.items():
            kind, what = self._signature_problem(node, head)
            if kind:
                yield Problem(kind=kind, node=node, message=f"The head of the journal of node {node!r} is {what}")
                continue
            chain = chains.get(node, _Chain(node=node))
            sequence = int(head["sequence"])
            if sequence > chain.sequence:
                gone = _range(chain.sequence + 1, sequence)
                message = f"{gone} of node {node!r} missing at the end: its signed head names them"
                yield Problem(kind="segment-missing", node=node, message=message)
            elif chain.ends.get(sequence) != head.get("hash") and sequence not in chain.damaged:
                message = f"Segment {sequence} of node {node!r} is not the one its signed head names"
                yield Problem(kind="tail-changed", node=node, message=message)

    def _signature_problem(self, node: str, head: Mapping[str, Any]) -> tuple[str, str]:
        """Return kind and words of what ails a head's signature, both empty where nothing does."""
        body = {name: value for name, value in head.items() if name not in {"signature", "public_key"}}
        public_key = str(head.get("public_key", ""))
        if not is_signed(body, signature=str(head.get("signature", "")), public_key=public_key):
            return "head-changed", "not what was signed"
        if self._keys.owner(public_key) != node:
            return "head-foreign", "signed by a key that is not this node's"
        return ("head-foreign", "signed with a revoked key") if self._is_revoked(head) else ("", "")

    def _is_revoked(self, head: Mapping[str, Any]) -> bool:
        """Return whether the key of a head counts no more; its other dates don't matter: no clock orders a chain."""
        key = self._keys.of_id(key_id(str(head["public_key"])))
        try:
            at = datetime.fromisoformat(str(head.get("at")))
            return key is None or key.is_unclear or (key.revoked_at is not None and at >= key.revoked_at)
        except (ValueError, TypeError):
            return True


def _examine_tail(
    node: str, last: int, head: Mapping[str, Any] | None, problems: list[Problem], notes: list[Problem]
) -> None:
    """Tell a chain that goes on after its head: by one segment after a crash, which is closed before it is signed."""
    signed = int(head["sequence"]) if head else 0
    if last > signed + 1:
        kind = "head-outdated" if head else "head-missing"
        what = f"ends at segment {signed}" if head else "is gone"
        message = f"The signed head of node {node!r} {what}, its journal goes on to segment {last}"
        problems.append(Problem(kind=kind, node=node, message=message))
    elif last == signed + 1:
        message = f"Segment {last} of node {node!r} is not signed yet"
        notes.append(Problem(kind="head-behind", node=node, message=message))


def _contradictions(witnesses: Iterable[Witness], chains: Mapping[str, _Chain]) -> Iterator[Problem]:
    """Yield for each node and kind of witness what its chain lacks."""
    held = {node: set(chain.ends.values()) for node, chain in chains.items()}
    lacking: dict[tuple[str, str], list[str]] = {}
    for one in witnesses:
        if one.hash not in held.get(one.node, ()):
            lacking.setdefault((one.node, one.kind), []).append(one.name)
    for (node, kind), names in lacking.items():
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        message = f"The journal of node {node!r} lacks what {_SEEN_BY[kind].format(names[0])} of it{more}"
        yield Problem(kind="contradicted", node=node, message=message)


def _range(first: int, last: int) -> str:
    return f"Segment {first}" if first == last else f"Segments {first} to {last}"
