"""Facts: write-once objects from which dossiers are folded.

Receipts tell what arrived, decisions what a person settled. They lie under
``facts/<2 hex>/<patient key>/`` (docs/formats.md); nothing else is the truth.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Final, Literal, NewType, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from archive.errors import FactClash, FactDamaged, FormatTooNew
from archive.headers import Attribute, Identifier, InstanceHeader
from storage.base import ObjectStore
from storage.documents import put_document
from storage.errors import KeyTaken

PatientKey = NewType("PatientKey", str)

RECEIPT_FORMAT: Final = "lastgate/receipt/1"
_ATTEMPTS = 1000
_REMEMBERED: Final = 16
"""So many different headers are compared with the next: an association brings one series after the other."""
_SOP_INSTANCE_UID = re.compile(rb'"sop_instance_uid":"([0-9.]*)"')
_T = TypeVar("_T")


def patient_key(identifier: Identifier, study_uid: str) -> PatientKey:
    """Return under which key the facts of a person lie.

    It is the hex SHA-256 of issuer and ID; of the Study UID where the ID is empty.
    """
    if identifier.value:
        return PatientKey(_digest("patient", identifier.issuer, identifier.value))
    return PatientKey(_digest("study", study_uid))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """How an instance came in and from whom.

    Parameters
    ----------
    kind
        ``dicom`` (C-STORE), ``folder``, ``file``, ``zip`` or ``web`` (STOW).
    name
        Calling AE title, or the path as the user gave it.
    called
        Called AE title.
    address
        Peer address.
    certificate
        Subject of the certificate the peer showed over TLS, as RFC 4514 writes it; empty without one.
    user, user_kind
        The user the peer named for its association (PS3.7 D.3.3.7), checked by nobody: ``name``, ``name-passcode``,
        ``kerberos``, ``saml`` or ``jwt``, with a name only for the first two. Never a passcode or token.
    """

    kind: Literal["dicom", "folder", "file", "zip", "web"]
    name: str = ""
    called: str = ""
    address: str = ""
    certificate: str = ""
    user: str = ""
    user_kind: Literal["", "name", "name-passcode", "kerberos", "saml", "jwt"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One arrival of one instance: what it is, where its bytes lie, everything that was read of it.

    Parameters
    ----------
    disposition
        ``stored`` (also for a resend or a variant), or ``conflict``: same SOP Instance UID, other content.
    key
        Where the bytes lie.
    file_sha256, file_sha512
        Hex digests of the complete file, as read back from the store.
    dataset_sha256
        Hex digest of everything after the file meta group; of the whole file for documents.
    content_sha256
        Hex digest of the elements, independent of the native encoding; None where it has no meaning.
    conflicts_with
        Patient keys under which other content with the same SOP Instance UID was known on arrival.
    shared_of
        Only in the stored form: the line of the same object (the first is 0) that tells what `header.shared` holds.
    """

    format: Literal["lastgate/receipt/1"] = RECEIPT_FORMAT
    received_at: datetime
    node: str
    source: Source
    disposition: Literal["stored", "conflict"]
    key: str
    file_sha256: str
    file_sha512: str
    dataset_sha256: str
    size_bytes: int
    header: InstanceHeader
    content_sha256: str | None = None
    transfer_syntax_uid: str = ""
    conflicts_with: tuple[PatientKey, ...] = ()
    shared_of: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waive:
    """A person lets a finding stand, with the reason.

    Parameters
    ----------
    code, subject, plan_uids
        Name the finding and the course it was raised in.
    message
        The finding as it read when it was signed: once its figures change, it must be signed again.
    """

    code: str
    subject: str
    plan_uids: tuple[str, ...]
    message: str
    reason: str
    act: Literal["waive"] = "waive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """A person states that a course has ended; the plans name the course.

    Parameters
    ----------
    last_date
        Day of the last treatment, as DA.
    """

    plan_uids: tuple[str, ...]
    outcome: Literal["completed", "stopped", "died", "transferred", "never-started"]
    last_date: str
    reason: str = ""
    act: Literal["close"] = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDeliveryState:
    """A person states whether a plan was delivered."""

    plan_uid: str
    delivered: bool
    reason: str
    act: Literal["delivery-state"] = "delivery-state"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseDose:
    """A physicist names the dose grid that counts for a plan."""

    plan_uid: str
    dose_uid: str
    reason: str
    act: Literal["choose-dose"] = "choose-dose"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnterSummary:
    """What a person entered for the printed summary of the course with these plans (the form's own JSON)."""

    plan_uids: tuple[str, ...]
    entries: dict[str, object]
    act: Literal["enter-summary"] = "enter-summary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A dossier version was sealed: from now on its id and membership are frozen.

    Parameters
    ----------
    file_sha256s
        All instances of this version, those of earlier versions included.
    version_ids
        The object store's version id of each file this version added, by its path in the OCFL object.
    """

    dossier: str
    version: int
    plan_uids: tuple[str, ...]
    file_sha256s: tuple[str, ...]
    dossier_sha256: str
    version_ids: dict[str, str] = field(default_factory=dict)
    act: Literal["seal"] = "seal"


Act = Annotated[Waive | Close | SetDeliveryState | ChooseDose | EnterSummary | Sealed, Field(discriminator="act")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person settled, signed: the signature covers act, account, role, time and number.

    Parameters
    ----------
    signature, public_key
        Ed25519 over `archive.signing.signed_bytes`, both hex.
    """

    format: Literal["lastgate/decision/1"] = "lastgate/decision/1"
    number: int
    made_at: datetime
    account: str
    role: str
    what: Act
    signature: str = ""
    public_key: str = ""


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


RECEIPT = TypeAdapter(Receipt)
DECISION = TypeAdapter(Decision)


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


def sharing(receipts: Iterable[Receipt]) -> Iterator[Receipt]:
    """Yield receipts as they are stored: what an earlier one tells of its series is not written again.

    Else each slice would repeat every attribute of patient, study and series: half as much again as the receipt itself.
    """
    told: list[tuple[dict[str, Attribute], int]] = []
    for number, receipt in enumerate(receipts):
        shared = receipt.header.shared
        same = next((line for known, line in reversed(told) if known == shared), None)
        if same is not None:
            yield replace(receipt, shared_of=same, header=replace(receipt.header, shared={}))
            continue
        if shared:
            told = [*told[-_REMEMBERED:], (shared, number)]
        yield receipt


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
