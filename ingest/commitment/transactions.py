"""Transactions of Storage Commitment as they are kept: what was asked, what was found, how far the answer has come.

An open one is a folder below ``site/commitment/in/`` (docs/formats.md). What
was asked and what was found are put once; the small document of the state is
replaced only if it is unchanged, so that of several processes and nodes one
works on a transaction at a time. A closed one is one document below
``site/commitment/closed/``, and the folder goes.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from pydantic import TypeAdapter

from ingest.commitment.errors import DuplicateTransaction
from ingest.commitment.references import Failure, Reference
from storage.base import ObjectStore, Version
from storage.documents import put_document
from storage.errors import KeyTaken, ObjectMissing, Replaced

CLAIM: Final = timedelta(minutes=10)
"""Who works on a transaction has it for so long, and claims it again before the time is over."""

_OPEN: Final = "site/commitment/in"
_CLOSED: Final = "site/commitment/closed"
_HEAD_BYTES: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request for commitment, as it came.

    Parameters
    ----------
    transaction_uid
        As the requestor chose it.
    requestor, called, address
        AE titles of the requestor and of ours it called; where it called from.
    node, received_at
        Which of our nodes took it, and when (aware UTC).
    count
        How many instances it names.
    """

    format: Literal["lastgate/commitment/1"] = "lastgate/commitment/1"
    transaction_uid: str
    requestor: str
    called: str
    address: str
    node: str
    received_at: datetime
    count: int

    @property
    def id(self) -> str:
        """Names the folder: two requestors may choose the same UID."""
        return hashlib.sha256(f"{self.requestor}\0{self.transaction_uid}".encode()).hexdigest()


Stage = Literal["waiting", "decided", "told", "refused", "given-up"]
CLOSED: Final = frozenset[Stage]({"told", "refused", "given-up"})


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How far a transaction has come.

    Parameters
    ----------
    stage
        ``waiting`` for what is not found or not read yet, ``decided``, and after that ``told``, ``refused`` (the
        requestor does not want to hear it) or ``given-up`` (it could not be reached for days).
    failed
        How many instances are not committed to, once decided.
    decided_at, closed_at
        When; aware UTC.
    tries, next_at, reason
        How often the requestor was called in vain, when it is called next, and why it did not work last.
    holder, held_until
        The process that works on it now, and how long nobody else may.
    """

    format: Literal["lastgate/commitment-state/1"] = "lastgate/commitment-state/1"
    stage: Stage = "waiting"
    failed: int = 0
    decided_at: datetime | None = None
    closed_at: datetime | None = None
    tries: int = 0
    next_at: datetime | None = None
    reason: str = ""
    holder: str = ""
    held_until: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Return whether something is to be done about it now, by somebody."""
        return self.stage not in CLOSED and (self.next_at is None or self.next_at <= now)

    def is_free(self, now: datetime, holder: str) -> bool:
        """Return whether this holder may work on it."""
        return self.holder in ("", holder) or self.held_until is None or self.held_until <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One transaction with the state it was read in."""

    asked: Asked
    state: State
    version: Version | None

    @property
    def id(self) -> str:
        """Names it among all."""
        return self.asked.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A transaction of which the requestor knows, or of which it could not be told.

    Parameters
    ----------
    failures
        What was not committed to: SOP class, instance, Failure Reason.
    """

    format: Literal["lastgate/commitment-closed/1"] = "lastgate/commitment-closed/1"
    asked: Asked
    state: State
    failures: tuple[Failure, ...] = ()


_ASKED: Final = TypeAdapter(Asked)
_STATE: Final = TypeAdapter(State)
_END: Final = TypeAdapter(Closed)


class Transactions:
    """Keeps transactions in the object store.

    Parameters
    ----------
    store
        Where ``site/`` lies.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def record(self, asked: Asked, references: Iterable[Reference]) -> None:
        """Keep a request; it is durable when this returns.

        Raises
        ------
        DuplicateTransaction
            This requestor has a transaction of this UID already.
        """
        lines = [_ASKED.dump_json(asked), *(_line(one) for one in references)]
        try:
            if not self._stands(_closed_key(asked.id)):
                put_document(self._store, _key(asked.id, "asked.jsonl"), b"\n".join(lines) + b"\n")
                return
        except KeyTaken:
            pass
        raise DuplicateTransaction(f"The transaction UID {asked.transaction_uid} is in use")

    def open(self) -> Iterator[Transaction]:
        """Yield the transactions that are not closed, in order of id, and sweep what a crash left of closed ones."""
        names: dict[str, set[str]] = {}
        for stat in self._store.list(f"{_OPEN}/"):
            _, identity, name = stat.key.rsplit("/", 2)
            names.setdefault(identity, set()).add(name)
        for identity, present in names.items():
            found = self.find(identity) if "asked.jsonl" in present else None
            if found is None:
                self._sweep(identity)
            elif found.state.stage in CLOSED:
                self.close(found)
            else:
                yield found

    def closed(self) -> Iterator[Closed]:
        """Yield the closed transactions that are still kept, in order of id."""
        for stat in self._store.list(f"{_CLOSED}/"):
            try:
                yield _END.validate_json(self._store.read_bytes(stat.key))
            except ObjectMissing:  # forgotten meanwhile
                continue

    def find(self, identity: str) -> Transaction | None:
        """Return an open transaction, None if there is none."""
        state, version = State(), None
        try:
            head = b"".join(self._store.read(_key(identity, "asked.jsonl"), stop=_HEAD_BYTES))
        except ObjectMissing:
            return None
        asked = _ASKED.validate_json(head.split(b"\n", 1)[0])
        try:
            version = self._store.stat(_key(identity, "state.json")).version
            state = _STATE.validate_json(self._store.read_bytes(_key(identity, "state.json")))
        except ObjectMissing:
            pass  # nobody has worked on it yet
        return Transaction(asked=asked, state=state, version=version)

    def references(self, transaction: Transaction) -> Iterator[Reference]:
        """Yield what was asked for."""
        body = self._store.read_bytes(_key(transaction.id, "asked.jsonl"))
        yield from (Reference(*json.loads(line)) for line in body.splitlines()[1:])

    def claim(
        self, transaction: Transaction, holder: str, now: datetime, *, lasting: timedelta = CLAIM
    ) -> Transaction | None:
        """Take a transaction for this holder alone; None if another has it or was quicker."""
        if not transaction.state.is_free(now, holder):
            return None
        return self.save(transaction, replace(transaction.state, holder=holder, held_until=now + lasting))

    def save(self, transaction: Transaction, state: State) -> Transaction | None:
        """Replace the state; None if it is not the one that was read any more, and nothing was written.

        A transaction that is closed by it leaves those that are open.
        """
        body = _STATE.dump_json(state, indent=1) + b"\n"
        key = _key(transaction.id, "state.json")
        try:
            version = self._store.replace_if_match(key, body, expected=transaction.version)
        except Replaced:
            return None
        saved = replace(transaction, state=state, version=version)
        if state.stage in CLOSED:
            self.close(saved)
        return saved

    def put_failures(self, transaction: Transaction, failures: Iterable[Failure]) -> None:
        """Keep for good what is not committed to; who came first decides."""
        head = {"format": "lastgate/commitment-result/1", "transaction_uid": transaction.asked.transaction_uid}
        lines = [json.dumps(head).encode(), *(_line(one) for one in failures)]
        with suppress(KeyTaken):
            put_document(self._store, _key(transaction.id, "result.jsonl"), b"\n".join(lines) + b"\n")

    def failures(self, transaction: Transaction) -> tuple[Failure, ...] | None:
        """Return what is not committed to, None before it is decided."""
        try:
            body = self._store.read_bytes(_key(transaction.id, "result.jsonl"))
        except ObjectMissing:
            return None
        return tuple(Failure(*json.loads(line)) for line in body.splitlines()[1:])

    def close(self, transaction: Transaction) -> None:
        """Keep a closed transaction as one document and let go of its folder; it can be done again after a crash."""
        end = Closed(asked=transaction.asked, state=transaction.state, failures=self.failures(transaction) or ())
        with suppress(KeyTaken):  # another process was quicker
            put_document(self._store, _closed_key(transaction.id), _END.dump_json(end) + b"\n")
        self._sweep(transaction.id)

    def forget(self, before: datetime) -> int:
        """Remove what was closed before that time, and return how many; the journal keeps what came of them."""
        old = [one for one in self.closed() if one.state.closed_at is not None and one.state.closed_at < before]
        for one in old:
            self._store.delete(_closed_key(one.asked.id))
        return len(old)

    def _sweep(self, identity: str) -> None:
        """Remove the folder of a transaction, first what makes it one: half removed, it must not seem new."""
        for name in ("asked.jsonl", "result.jsonl", "state.json"):
            self._store.delete(_key(identity, name))

    def _stands(self, key: str) -> bool:
        try:
            self._store.stat(key)
        except ObjectMissing:
            return False
        return True


def _key(identity: str, name: str) -> str:
    return f"{_OPEN}/{identity}/{name}"


def _closed_key(identity: str) -> str:
    return f"{_CLOSED}/{identity}.json"


def _line(named: Reference | Failure) -> bytes:
    return json.dumps(named, separators=(",", ":")).encode()
