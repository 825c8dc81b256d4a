"""The store of facts.

Receipts tell what arrived, decisions what a person settled. They lie under
``facts/<2 hex>/<patient key>/`` (docs/formats.md); nothing else is the truth.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from archive.errors import FactClash, FactDamaged, FormatTooNew
from archive.facts.decisions import DECISION, Decision
from archive.facts.linked import PatientFacts as PatientFacts  # other rooms take it from here
from archive.facts.linked import joined, linked_by, named_by
from archive.facts.memory import Memory
from archive.facts.receipts import RECEIPT, PatientKey, Receipt, sharing
from archive.headers import Attribute
from storage.base import ObjectStore
from storage.documents import put_document
from storage.errors import KeyTaken

REMEMBERED_BYTES: Final = 32 * 1024 * 1024
"""So much of what is stored is remembered as it was read: some 25,000 instances."""

_ATTEMPTS = 1000
_SOP_INSTANCE_UID = re.compile(rb'"sop_instance_uid":"([0-9.]*)"')
_T = TypeVar("_T")


class FactStore:
    """Reads and writes facts. One node writes receipts under its own name; decisions share one row of numbers.

    Fact objects never change: what was read of one is remembered, so that filing a patient in many batches reads each
    object once.
    """

    def __init__(self, store: ObjectStore, *, node: str, remembered_bytes: int = REMEMBERED_BYTES) -> None:
        self._store = store
        self._node = node
        self._read = Memory[tuple[Receipt | Decision, ...]](remembered_bytes)
        self._mended: set[tuple[PatientKey, Decision]] = set()

    @property
    def node(self) -> str:
        """The id of the node in whose name receipts are written."""
        return self._node

    def write_receipts(self, key: PatientKey, receipts: Sequence[Receipt]) -> str:
        """Store receipts of one patient as one object and return its key; durable when it returns."""
        if not receipts:
            raise ValueError("There is nothing to write")
        body = b"".join(map(_line, sharing(receipts)))
        number = self._next_number(f"{_folder(key)}/r-{self._node}-")
        for attempt in range(_ATTEMPTS):
            name = f"{_folder(key)}/r-{self._node}-{number + attempt:08d}.jsonl"
            try:
                put_document(self._store, name, body)
            except KeyTaken:
                continue
            return name
        raise FactClash(f"No free number for receipts under {_folder(key)}: two nodes seem to be called {self._node!r}")

    def write_decision(self, key: PatientKey, decision: Decision) -> str:
        """Store a decision under its number; one that names patients lies under each of them too.

        A crash in between is mended by whoever reads it next.

        Raises
        ------
        FactClash
            Somebody else took this number: look again before deciding.
        """
        name = f"{_folder(key)}/d-{decision.number:08d}.json"
        try:
            put_document(self._store, name, _body(decision))
        except KeyTaken as error:
            raise FactClash("Somebody else decided something about this patient a moment ago") from error
        for other in dict.fromkeys(named_by(decision.what)):
            if other != key:
                self._mirror(other, decision)
        return name

    def _mirror(self, key: PatientKey, decision: Decision) -> None:
        """Put a decision under another patient it names; the digest in its name keeps it clear of that row of numbers.

        The body is the same everywhere, and whoever repeats this writes the same object.
        """
        body = _body(decision)
        digest = hashlib.sha256(body).hexdigest()[:16]
        put_document(self._store, f"{_folder(key)}/d-{decision.number:08d}-{digest}.json", body)

    def read(self, key: PatientKey) -> PatientFacts:
        """Return all facts about a patient and everybody ever linked to it; empty if nothing is known.

        Lists prefixes and never asks the index.
        """
        return self._linked(key, self.read_alone)

    def read_alone(self, key: PatientKey) -> PatientFacts:
        """Return the facts that lie under one key, whoever is linked to it."""
        return self._alone(key, self.receipts)

    def read_some(self, key: PatientKey, instance_uids: Collection[str]) -> PatientFacts:
        """Return what `read` does, but of the receipts those of these instances alone.

        Receipts of other instances are not taken apart: memory and work go with what is asked for.
        """

        def some(name: str) -> tuple[Receipt, ...]:
            return tuple(_receipts(self._store.read_bytes(name), name, instance_uids))

        return self._linked(key, lambda one: self._alone(one, some))

    def decisions(self, key: PatientKey) -> tuple[Decision, ...]:
        """Return what persons settled about a patient and everybody ever linked to it, in order."""
        return self._linked(key, lambda one: self._alone(one, lambda _: ())).decisions

    def linked(self, key: PatientKey) -> tuple[PatientKey, ...]:
        """Return all patients ever linked to one, that one included, in order."""
        found = self._linked(key, lambda one: self._alone(one, lambda _: ()))
        return tuple(member.key for member in found.members) or (key,)

    def names(self, key: PatientKey) -> tuple[str, ...]:
        """Return the keys of all objects that lie under one key, in order; none of them ever changes."""
        return tuple(stat.key for stat in self._store.list(f"{_folder(key)}/"))

    def receipts(self, name: str) -> tuple[Receipt, ...]:
        """Return the receipts one of these objects holds; none if it holds a decision."""
        found = self.content(name) if _is_named(name, "r-") else ()
        return tuple(one for one in found if isinstance(one, Receipt))

    def _linked(self, key: PatientKey, read: Callable[[PatientKey], PatientFacts]) -> PatientFacts:
        found: dict[PatientKey, PatientFacts] = {}
        waiting = [key]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found[one] = read(one)
                waiting.extend(other for decision in found[one].decisions for other in linked_by(decision.what))
        for member in tuple(found.values()):
            for other in self._mend(member):
                if other in found:
                    found[other] = read(other)
        return joined(key, tuple(found.values()))

    def _mend(self, facts: PatientFacts) -> Iterator[PatientKey]:
        """Put what a crash left under one patient alone under the others it names, and yield those."""
        for decision in facts.decisions:
            for other in named_by(decision.what):
                if other == facts.key or (other, decision) in self._mended:
                    continue
                self._mended.add((other, decision))
                if decision not in self._alone(other, lambda _: ()).decisions:
                    self._mirror(other, decision)
                    yield other

    def _alone(self, key: PatientKey, receipts: Callable[[str], tuple[Receipt, ...]]) -> PatientFacts:
        names = self.names(key)
        decided = (one for name in names if _is_named(name, "d-") for one in self.content(name))
        return PatientFacts(
            key=key,
            receipts=tuple(receipt for name in names if _is_named(name, "r-") for receipt in receipts(name)),
            decisions=tuple(one for one in decided if isinstance(one, Decision)),
            names=names,
        )

    def content(self, name: str) -> tuple[Receipt | Decision, ...]:
        """Return what one fact object holds, read at most once while it is remembered."""

        def read() -> tuple[tuple[Receipt | Decision, ...], int]:
            body = self._store.read_bytes(name)
            if _is_named(name, "r-"):
                return tuple(_receipts(body, name)), len(body)
            return (_parse(DECISION, body, name),), len(body)

        return self._read.get(name, read)

    def patients(self) -> Iterator[PatientKey]:
        """Yield the keys of all patients of whom there are facts, in order."""
        last = ""
        for stat in self._store.list("facts/"):
            _, _, key, _ = stat.key.split("/", 3)
            if key != last:
                last = key
                yield PatientKey(key)

    def _next_number(self, prefix: str) -> int:
        # A node called "a" must not count the receipts of one called "a-b".
        numbers = (stat.key.removeprefix(prefix).removesuffix(".jsonl") for stat in self._store.list(prefix))
        return max((int(number) for number in numbers if number.isdigit()), default=-1) + 1


def _body(decision: Decision) -> bytes:
    return DECISION.dump_json(decision) + b"\n"


def _is_named(name: str, beginning: str) -> bool:
    return name.rsplit("/", 1)[-1].startswith(beginning)


def _folder(key: PatientKey) -> str:
    return f"facts/{key[:2]}/{key}"


def _receipts(body: bytes, key: str, instance_uids: Collection[str] | None = None) -> Iterator[Receipt]:
    """Yield the receipts of one stored object, each whole again; of some instances alone, or of all."""
    lines = body.splitlines()
    shared: dict[int, dict[str, Attribute]] = {}
    for line in lines:
        if not line or (instance_uids is not None and not _names_one(line, instance_uids)):
            continue
        receipt = _parse(RECEIPT, line, key)
        if instance_uids is not None and receipt.header.sop_instance_uid not in instance_uids:
            continue
        of = receipt.shared_of
        if of is None:
            yield receipt
            continue
        if of not in shared:
            if not 0 <= of < len(lines):
                raise FactDamaged(f"{key} is not what a Lastgate wrote: a line shares with line {of}, which is missing")
            shared[of] = _parse(RECEIPT, lines[of], key).header.shared
        yield replace(receipt, shared_of=None, header=replace(receipt.header, shared=shared[of]))


def _line(receipt: Receipt) -> bytes:
    values = RECEIPT.dump_python(receipt, mode="json", exclude_defaults=True)
    return json.dumps({"format": receipt.format, **values}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _names_one(line: bytes, instance_uids: Collection[str]) -> bool:
    """Return whether a line of receipts may be that of one of these instances; a damaged line may."""
    told = _SOP_INSTANCE_UID.search(line)
    return bool(line) and (told is None or told[1].decode() in instance_uids)


def _parse(adapter: TypeAdapter[_T], body: bytes, key: str) -> _T:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        if _is_whole(body):
            raise FormatTooNew(f"{key} was written in a format this version does not know") from error
        raise FactDamaged(f"{key} is not what a Lastgate wrote") from error


def _is_whole(body: bytes) -> bool:
    """Return whether it is a document of some version of this program: JSON that names its format."""
    try:
        document = json.loads(body)
    except ValueError:
        return False
    return isinstance(document, dict) and str(document.get("format", "")).startswith("lastgate/")
