"""The journal: the append-only, hash-chained record of who did what.

One chain per node under ``journal/<node>/<epoch>/<sequence>.jsonl``. Every
line carries the SHA-256 over the hash of the line before and its own canonical
JSON, so nothing can be changed, dropped or put in between without breaking the
chain; signed heads in ``site/journal/`` name a missing tail. Events wait in a
durable outbox on the node's own disk until a segment is closed. Nothing is
rebuilt from the journal: it is evidence.
"""

import fcntl
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from archive.errors import ChainBroken
from archive.journal.audit import Audit, Auditor, Witness
from archive.journal.chain import HEAD_FORMAT, SEGMENT_FORMAT, START, head_key, link, parsed, written
from archive.journal.memory import Chained, remember, remembered
from archive.journal.outbox import Outbox, Owed
from archive.signing.keys import KeyRing
from archive.signing.signing import SigningKey, canonical
from storage.base import ObjectStore
from storage.documents import put_document
from storage.errors import ObjectMissing

SEGMENT_EVENTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something somebody did.

    Parameters
    ----------
    act
        ``receive``, ``view``, ``sign``, ``close``, ``seal``, ``print``, ``send``, ``refuse``, ...
    account
        Who; the AE title for what came over the network.
    subject
        What it was done to: ids and UIDs.
    """

    act: str
    account: str
    subject: Mapping[str, object] = field(default_factory=dict)
    outcome: str = "done"


class Journal:
    """Appends to the chain of one node and checks the chains of all.

    Parameters
    ----------
    locked
        Store of the segments (with Object Lock where there is one).
    site
        Store of the signed heads and of the nodes' public keys.
    outbox
        SQLite file on the node's own disk.
    retain
        Until when a segment closed now is locked; None where nothing is.
    """

    def __init__(
        self,
        *,
        locked: ObjectStore,
        site: ObjectStore,
        node: str,
        outbox: Path,
        key: SigningKey,
        clock: Callable[[], datetime],
        retain: Callable[[], datetime | None] = lambda: None,
    ) -> None:
        self._locked = locked
        self._site = site
        self._node = node
        self._outbox = Outbox(outbox)
        self._lock_path = outbox.with_suffix(".lock")
        self._key = key
        self._keys = KeyRing(site)
        self._clock = clock
        self._retain = retain

    def append(self, *events: Event) -> None:
        """Record events; they survive a power cut when this returns, and join the chain at the next `flush`."""
        at = self._clock().isoformat()
        self._outbox.append([_line(event, at) for event in events])

    def append_once(self, event: Event, *, subject: str, mark: str) -> bool:
        """Record an event unless this node recorded the same a moment ago, and return whether it was recorded.

        Parameters
        ----------
        subject, mark
            What it is about, and what tells this event from the next one about the same.
        """
        return self._outbox.append_once(_line(event, self._clock().isoformat()), subject=subject, mark=mark)

    def owe(self, event: Event, *, patient: str, decision: int, signature: str) -> int:
        """Note an act before its fact is stored, so that no crash leaves the fact without its event.

        Returns
        -------
        int
            To `pay` once the fact is stored, and to `strike` once the index knows it too.
        """
        at = self._clock()
        body = _line(event, at.isoformat())
        return self._outbox.owe(body, patient=patient, decision=decision, signature=signature, at=at)

    def pay(self, owed: int) -> None:
        """Record the event of a noted act; done once, however often it is asked for."""
        self._outbox.pay(owed)

    def strike(self, owed: int) -> None:
        """Take a note off: all that it was for is done, or its fact will never be stored."""
        self._outbox.strike(owed)

    def owed(self) -> list[Owed]:
        """Return the notes of this node's acts that are under way, or were interrupted."""
        return self._outbox.owed()

    def close(self) -> None:
        """Let go of the outbox; it is opened again when it is needed."""
        self._outbox.close()

    def flush(self) -> int:
        """Chain all waiting events into closed segments and return how many there were."""
        with self._alone(), self._outbox.opened() as outbox:
            self._keys.publish(self._key, node=self._node, at=self._clock())
            epoch = self._epoch(outbox)
            chained = 0
            while True:
                last = self._last_segment(epoch, outbox)
                outbox.execute("DELETE FROM events WHERE id <= ?", (last.through,))
                outbox.commit()
                rows = outbox.execute("SELECT id, body FROM events ORDER BY id LIMIT ?", (SEGMENT_EVENTS,)).fetchall()
                if not rows:
                    self._mend_head(epoch, last)
                    return chained
                end = self._close_segment(epoch, last, rows)
                remember(outbox, end, previous=last.hash)
                chained += len(rows)

    def heads(self) -> dict[str, dict[str, Any]]:
        """Return the newest signed head of every node's chain, by node.

        Raises
        ------
        ChainBroken
            A head can't be read.
        """
        found = {}
        for stat in self._site.list("site/journal/"):
            head = parsed(stat.key, self._site.read_bytes(stat.key))
            if stat.key != head_key(str(head.get("node"))):
                raise ChainBroken(f"{stat.key} is not the head of that node's journal")
            found[str(head["node"])] = head
        return found

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield all chained events of all nodes, node by node in order."""
        for stat in self._locked.list("journal/"):
            for line in self._locked.read_bytes(stat.key).splitlines():
                entry = parsed(stat.key, line)
                if "act" in entry:
                    yield {"node": stat.key.split("/")[1], **entry}

    def events_since(self, day: date) -> Iterator[dict[str, Any]]:
        """Yield the chained events of all nodes from this day (UTC) on, node by node; older segments are not read."""
        keys: dict[str, list[str]] = {}
        for stat in self._locked.list("journal/"):
            keys.setdefault(stat.key.split("/")[1], []).append(stat.key)
        for node, own in keys.items():
            read: list[list[dict[str, Any]]] = []
            for key in reversed(own):
                read.append([parsed(key, line) for line in self._locked.read_bytes(key).splitlines()])
                if any(entry["at"] < day.isoformat() for entry in read[-1] if "act" in entry):
                    break
            events = (entry for segment in reversed(read) for entry in segment if "act" in entry)
            yield from ({"node": node, **entry} for entry in events if entry["at"] >= day.isoformat())

    def audit(self, witnesses: Iterable[Witness] = ()) -> Audit:
        """Return all that is wrong with the chain of any node; nodes may go on writing meanwhile.

        Parameters
        ----------
        witnesses
            Hashes of the chains that stand elsewhere, as in seals. What this node remembers itself is added.

        Raises
        ------
        FormatTooNew
            A newer Lastgate wrote a segment.
        """
        auditor = Auditor(locked=self._locked, site=self._site, keys=self._keys)
        return auditor.audit([*self._own_witnesses(), *witnesses])

    def verify(self, witnesses: Iterable[Witness] = ()) -> int:
        """Check every chain from its first line to its signed head and return the number of events.

        Raises
        ------
        ChainBroken
            The first thing that `audit` finds wrong.
        """
        found = self.audit(witnesses)
        for problem in found.problems:
            raise ChainBroken(problem.message, hint=problem.advice)
        return found.events

    def _own_witnesses(self) -> list[Witness]:
        with self._outbox.opened() as outbox:
            ends = remembered(outbox)
        return [Witness(kind="memory", name=self._node, node=self._node, hash=end.hash) for end in ends]

    def _close_segment(self, epoch: int, last: Chained, rows: Sequence[tuple[int, str]]) -> Chained:
        sequence = last.sequence + 1
        header = {
            "format": SEGMENT_FORMAT,
            "node": self._node,
            "epoch": epoch,
            "sequence": sequence,
            "previous": last.hash,
            "heads": self._heads_of_others(),
            "through": rows[-1][0],
            "events": len(rows),
        }
        lines, end = [], last.hash
        for entry in (header, *(json.loads(body) for _, body in rows)):
            end = link(end, entry)
            lines.append(written({**entry, "hash": end}))
        body = b"\n".join(lines) + b"\n"
        name = self._segment_key(epoch, sequence)
        version = put_document(self._locked, name, body)
        until = self._retain()
        if until is not None:
            self._locked.retain_until(version, until)
        self._sign_head(epoch, sequence, end)
        return Chained(sequence=sequence, hash=end, through=rows[-1][0])

    def _heads_of_others(self) -> dict[str, str]:
        """Return the hashes other nodes signed; a head that can't be read is told by `audit` and stops nobody."""
        found = {}
        for stat in self._site.list("site/journal/"):
            with suppress(ChainBroken, ObjectMissing):
                head = parsed(stat.key, self._site.read_bytes(stat.key))
                if stat.key == head_key(str(head.get("node"))) and stat.key != head_key(self._node):
                    found[str(head["node"])] = str(head.get("hash"))
        return found

    def _mend_head(self, epoch: int, last: Chained) -> None:
        """Sign the head again where a crash came between a segment and its head."""
        try:
            head = parsed(head_key(self._node), self._site.read_bytes(head_key(self._node)))
        except ObjectMissing:
            head = {}
        if last.sequence and head.get("hash") != last.hash:
            self._sign_head(epoch, last.sequence, last.hash)

    def _sign_head(self, epoch: int, sequence: int, end: str) -> None:
        head: dict[str, object] = {
            "format": HEAD_FORMAT,
            "node": self._node,
            "epoch": epoch,
            "sequence": sequence,
            "hash": end,
            "at": self._clock().isoformat(),
        }
        signed = {**head, "signature": self._key.sign(head), "public_key": self._key.public_key}
        key = head_key(self._node)
        try:
            version = self._site.stat(key).version
        except ObjectMissing:
            version = None
        self._site.replace_if_match(key, canonical(signed) + b"\n", expected=version)

    def _last_segment(self, epoch: int, outbox: sqlite3.Connection) -> Chained:
        newest = self._newest_key(epoch)
        if newest is None:
            return Chained(sequence=0, hash=START, through=0)
        try:
            lines = self._locked.read_bytes(newest).splitlines()
        except ObjectMissing:
            return self._signed_end(outbox)
        header, end = parsed(newest, lines[0]), parsed(newest, lines[-1])["hash"]
        # Rows of an outbox that was lost with its disk were counted in another epoch.
        through = header["through"] if header["epoch"] == epoch else 0
        return Chained(sequence=header["sequence"], hash=end, through=through)

    def _signed_end(self, outbox: sqlite3.Connection) -> Chained:
        """Return the end of a segment that is lost, from its signed head: the chain goes on, `audit` names the gap."""
        head = parsed(head_key(self._node), self._site.read_bytes(head_key(self._node)))
        known = {end.hash: end.through for end in remembered(outbox)}
        return Chained(sequence=head["sequence"], hash=head["hash"], through=known.get(head["hash"], 0))

    def _newest_key(self, epoch: int) -> str | None:
        """Return the key of the newest segment, None if there is none.

        It is the one the head names, or one after it: after a crash, or if an old head was put back. A list of all
        segments of thirty years is asked for only where there is no head.
        """
        try:
            head = parsed(head_key(self._node), self._site.read_bytes(head_key(self._node)))
        except ObjectMissing:
            return max((stat.key for stat in self._locked.list(self._folder)), default=None)
        key, begun, sequence = self._segment_key(head["epoch"], head["sequence"]), head["epoch"], head["sequence"]
        while later := self._key_of(sequence + 1, range(begun, epoch + 1)):
            key, sequence = later, sequence + 1
            begun = int(later.split("/")[2])
        return key

    def _key_of(self, sequence: int, epochs: Iterable[int]) -> str | None:
        """Return the key of the segment with this number, None if it is not there."""
        for epoch in epochs:
            with suppress(ObjectMissing):
                return self._locked.stat(self._segment_key(epoch, sequence)).key
        return None

    def _segment_key(self, epoch: int, sequence: int) -> str:
        return f"{self._folder}{epoch:04d}/{sequence:08d}.jsonl"

    @property
    def _folder(self) -> str:
        return f"journal/{self._node}/"

    def _epoch(self, outbox: sqlite3.Connection) -> int:
        row = outbox.execute("SELECT epoch FROM identity").fetchone()
        if row:
            return int(row[0])
        past = [int(stat.key.split("/")[2]) for stat in self._locked.list(self._folder)]
        epoch = max(past, default=0) + 1
        outbox.execute("INSERT INTO identity (epoch) VALUES (?)", (epoch,))
        outbox.commit()
        return epoch

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one process of the node chain at a time."""
        with self._lock_path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _line(event: Event, at: str) -> str:
    line = {
        "at": at,
        "act": event.act,
        "account": event.account,
        "outcome": event.outcome,
        "subject": dict(event.subject),
    }
    return json.dumps(line, ensure_ascii=False)
