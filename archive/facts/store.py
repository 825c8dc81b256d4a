"""The store of facts.

Receipts tell what arrived, decisions what a person settled. They lie under
``facts/<2 hex>/<patient key>/`` (docs/formats.md); nothing else is the truth.
"""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from archive.errors import FactClash, FactDamaged, FormatTooNew
from archive.facts.decisions import DECISION, Decision
from archive.facts.receipts import RECEIPT, PatientKey, Receipt, sharing
from archive.headers import Attribute
from storage.base import ObjectStore
from storage.documents import put_document
from storage.errors import KeyTaken

_ATTEMPTS = 1000
_SOP_INSTANCE_UID = re.compile(rb'"sop_instance_uid":"([0-9.]*)"')
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientFacts:
    """All facts of one patient, in order of name."""

    key: PatientKey
    receipts: tuple[Receipt, ...]
    decisions: tuple[Decision, ...]

    @property
    def count(self) -> int:
        """How many facts there are: the version of everything folded from them."""
        return len(self.receipts) + len(self.decisions)


class FactStore:
    """Reads and writes facts. One node writes receipts under its own name; decisions share one row of numbers."""

    def __init__(self, store: ObjectStore, *, node: str) -> None:
        self._store = store
        self._node = node

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
        """Store a decision under its number.

        Raises
        ------
        FactClash
            Somebody else took this number: look again before deciding.
        """
        name = f"{_folder(key)}/d-{decision.number:08d}.json"
        try:
            put_document(self._store, name, DECISION.dump_json(decision) + b"\n")
        except KeyTaken as error:
            raise FactClash("Somebody else decided something about this patient a moment ago") from error
        return name

    def read(self, key: PatientKey) -> PatientFacts:
        """Return all facts of a patient; empty if nothing is known. Lists prefixes and never asks the index."""
        names = self.names(key)
        receipts = tuple(receipt for name in names for receipt in self.receipts(name))
        return PatientFacts(key=key, receipts=receipts, decisions=tuple(self._decisions(names)))

    def names(self, key: PatientKey) -> tuple[str, ...]:
        """Return the keys of all objects that hold facts of a patient, in order; none of them ever changes."""
        return tuple(stat.key for stat in self._store.list(f"{_folder(key)}/"))

    def receipts(self, name: str) -> tuple[Receipt, ...]:
        """Return the receipts one of these objects holds; none if it holds a decision."""
        if not _is_named(name, "r-"):
            return ()
        body = self._store.read_bytes(name)
        return tuple(_receipts(body, name))

    def decisions(self, key: PatientKey) -> tuple[Decision, ...]:
        """Return what persons settled about a patient, in order of number."""
        return tuple(self._decisions(self.names(key)))

    def _decisions(self, names: Sequence[str]) -> Iterator[Decision]:
        return (_parse(DECISION, self._store.read_bytes(name), name) for name in names if _is_named(name, "d-"))

    def read_some(self, key: PatientKey, instance_uids: Collection[str]) -> PatientFacts:
        """Return all decisions of a patient, and of the receipts those of these instances alone.

        Receipts of other instances are not taken apart: memory and work go with what is asked for.
        """
        receipts: list[Receipt] = []
        decisions: list[Decision] = []
        for stat in self._store.list(f"{_folder(key)}/"):
            name = stat.key.rsplit("/", 1)[-1]
            body = self._store.read_bytes(stat.key)
            if name.startswith("r-"):
                receipts.extend(_receipts(body, stat.key, instance_uids))
            elif name.startswith("d-"):
                decisions.append(_parse(DECISION, body, stat.key))
        return PatientFacts(key=key, receipts=tuple(receipts), decisions=tuple(decisions))

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
