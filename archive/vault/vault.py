"""The vault: where sealed dossiers lie, one OCFL object each.

A seal is one put-if-absent of its whole plan under ``sealing/``: whoever puts
it first decides, and winner, losers and restarts carry out the same plan. Each
step is idempotent; content comes first, then the version's inventory, then the
root inventory, and for the first version the declaration last. Until that
stands the dossier is not sealed.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import TypeAdapter

from archive.errors import NotFound
from archive.facts.receipts import PatientKey
from archive.signing.keys import KeyRing
from archive.signing.timestamps import Stamp, TimeStamps
from archive.vault import ocfl, proof
from archive.vault.disposal import Disposals
from archive.vault.fixity import SEAL_FORMAT, Fixity
from archive.vault.locking import hold_object, lock_object, lock_root
from archive.vault.ocfl import Inventory
from storage.base import ObjectStore, Version
from storage.documents import put_document
from storage.errors import BadKey, DigestMismatch, KeyTaken, ObjectMissing, Replaced, StoreUnavailable
from storage.reading import read_back, replicas_of

README = """This folder is an OCFL 1.1 storage root (Oxford Common File Layout).

Each folder that holds a file named 0=ocfl_object_1.1 is one sealed radiotherapy dossier: everything a
radiotherapy department kept of one course of one patient. No program is needed to read it:

  v1/content/dossier.json   patient, course, plans, fractions, list of all files, findings, waivers
  v1/content/dicom/...      the DICOM files, byte for byte as received, by series and SOP Instance UID
  v1/content/documents/...  papers and other files
  v1/content/seal.json      who sealed it and when, with an Ed25519 signature over the digest of dossier.json
  v1/content/seal.tsr       where there is one: a time-stamp of an authority over seal.json (RFC 3161, openssl ts)
  inventory.json            the SHA-512 digest of every file; inventory.json.sha512 is the digest of that file

Folders v2, v3, ... hold what was added later; inventory.json says which files make up each version.
Check a dossier with any OCFL validator, or by hand: sha512sum v1/content/dossier.json and look the digest
up in inventory.json. Nothing here may be changed; new versions are only ever added.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """Where the bytes of one new content file come from."""

    path: str
    source_key: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingPlan:
    """Everything that is needed to carry out one seal, decided once.

    Parameters
    ----------
    patient_key
        Under which facts the seal is recorded, so that whoever finds the plan can bring it to its end.
    inventory, dossier_json, seal_json
        The finished files as text.
    copies
        Content files that are copied: instances from the intake, the papers of the summary from where they were put.
    timestamp, timestamp_problem
        The time-stamp over seal.json (base64 of its DER), or why there is none although one was asked for.
    """

    format: Literal["lastgate/sealing/1"] = "lastgate/sealing/1"
    dossier: str
    version: int
    patient_key: PatientKey
    account: str
    role: str
    made_at: datetime
    plan_uids: tuple[str, ...]
    file_sha256s: tuple[str, ...]
    inventory: str
    dossier_json: str
    seal_json: str
    copies: tuple[SourceFile, ...]
    paper_sha256s: tuple[str, ...] = ()
    rules: int = 0
    timestamp: str = ""
    timestamp_problem: str = ""


_PLAN = TypeAdapter(SealingPlan)
_PLANNED = ".json"
_RECORDED = ".recorded"
_ATTEMPTS = 20


class Vault:
    """Writes and reads sealed dossiers.

    Parameters
    ----------
    work
        Store of the intake, of the sealing plans and of the nodes' public keys.
    locked
        Store of the vault itself, with Object Lock where there is one.
    stamps
        Has seals time-stamped and checks that; None where the site has no authority.
    """

    def __init__(self, *, work: ObjectStore, locked: ObjectStore, stamps: TimeStamps | None = None) -> None:
        self._work = work
        self._locked = locked
        self._stamps = stamps

    def stamp(self, plan: SealingPlan) -> Stamp | None:
        """Have the seal of a plan time-stamped; None where nobody is asked.

        Raises
        ------
        StampMissing
            The authority gave none and one is required.
        """
        if self._stamps is None or not self._stamps.is_asked:
            return None
        return self._stamps.stamp(plan.seal_json.encode())

    def settle(self, plan: SealingPlan) -> SealingPlan:
        """Put the plan of a seal unless somebody was quicker, and return the plan that counts."""
        key = f"sealing/{plan.dossier}/v{plan.version}{_PLANNED}"
        body = _PLAN.dump_json(plan) + b"\n"
        try:
            put_document(self._work, key, body)
        except KeyTaken:
            return _PLAN.validate_json(self._work.read_bytes(key))
        return plan

    def unfinished(self) -> Iterator[SealingPlan]:
        """Yield the plans of seals that were begun and may be neither in the vault nor in the facts yet."""
        keys = {stat.key for stat in self._work.list("sealing/")}
        for key in sorted(keys):
            if key.endswith(_PLANNED) and key.removesuffix(_PLANNED) + _RECORDED not in keys:
                yield _PLAN.validate_json(self._work.read_bytes(key))

    def begun(self, dossier: str) -> Iterator[SealingPlan]:
        """Yield the plans of all seals of one dossier that were ever begun."""
        for stat in self._work.list(f"sealing/{dossier}/"):
            if stat.key.endswith(_PLANNED):
                yield _PLAN.validate_json(self._work.read_bytes(stat.key))

    def plan(self, key: str) -> SealingPlan:
        """Return the plan of a seal that stands under `key`."""
        return _PLAN.validate_json(self._work.read_bytes(key))

    def note_recorded(self, plan: SealingPlan) -> None:
        """Note that a seal stands in the vault and in the facts, so that no start looks at it again."""
        put_document(self._work, f"sealing/{plan.dossier}/v{plan.version}{_RECORDED}", b"recorded\n")

    def carry_out(
        self, plan: SealingPlan, *, retain_until: datetime | None, sealed_in: Iterable[str] = ()
    ) -> dict[str, str]:
        """Bring a seal to its end and return the store's version ids of the files it wrote, by path in the object.

        Parameters
        ----------
        retain_until
            So long all files of the dossier are locked at least; None where nothing is locked.
        sealed_in
            Other dossiers that may hold what the intake has let go of.

        Raises
        ------
        DigestMismatch
            A copy does not have its digest; nothing was declared sealed.
        """
        self._ensure_root()
        folder = ocfl.object_folder(plan.dossier)
        inventory = plan.inventory.encode()
        number = f"v{plan.version}"
        written: dict[str, Version] = {}
        digests = ocfl.content_paths(json.loads(inventory))
        for file in plan.copies:
            path = f"{number}/content/{file.path}"
            if path not in digests:  # the same bytes stand here under another name: OCFL keeps one of them
                continue
            written[path] = self._copied(file, f"{folder}/{path}", sealed_in)
            sha512 = read_back(self._locked, f"{folder}/{path}", sha256=file.sha256, size_bytes=file.size_bytes)
            if sha512 != digests[path][0]:
                raise DigestMismatch(f"{folder}/{path} does not have the SHA-512 its receipt tells")
        own = {
            f"{number}/content/dossier.json": plan.dossier_json.encode(),
            f"{number}/content/seal.json": plan.seal_json.encode(),
            f"{number}/{ocfl.INVENTORY}": inventory,
            f"{number}/{ocfl.SIDECAR}": ocfl.sidecar(inventory),
        }
        if plan.timestamp:
            own[f"{number}/content/{proof.STAMP}"] = base64.b64decode(plan.timestamp)
        for path, body in own.items():
            written[path] = put_document(self._locked, f"{folder}/{path}", body)
        if retain_until is not None:  # files of earlier versions too: an addendum may lengthen how long all is kept
            lock_object(self._locked, plan.dossier, retain_until)
        self._declare(folder, inventory, plan.version)
        if retain_until is not None:
            lock_root(self._locked, plan.dossier, retain_until)
        return {path: version.version_id for path, version in written.items() if version.version_id}

    def _copied(self, file: SourceFile, key: str, sealed_in: Iterable[str]) -> Version:
        """Copy a file from where it was received; from another sealed dossier where the intake let it go or rotted."""
        try:
            return self._locked.copy_if_absent(file.source_key, key, sha256=file.sha256, source=self._work)
        except (ObjectMissing, DigestMismatch):
            for dossier in sealed_in:
                inventory = self.inventory(dossier)
                for path in inventory["fixity"]["sha256"].get(file.sha256, ()) if inventory else ():
                    source_key = f"{ocfl.object_folder(dossier)}/{path}"
                    return self._locked.copy_if_absent(source_key, key, sha256=file.sha256)
            raise

    @property
    def disposals(self) -> Disposals:
        """What destroys dossiers whose retention has ended."""
        return Disposals(work=self._work, locked=self._locked)

    def keep_until(self, dossier: str, until: datetime) -> None:
        """Lock all files of a sealed dossier until `until` (aware UTC) at least."""
        lock_object(self._locked, dossier, until)

    def hold(self, dossier: str, *, is_held: bool) -> bool:
        """Put all files of a sealed dossier under legal hold or let them go; return whether the store itself can."""
        return hold_object(self._locked, dossier, is_held=is_held)

    def inventory(self, dossier: str) -> Inventory | None:
        """Return the newest inventory of a sealed dossier, None if it is not sealed."""
        folder = ocfl.object_folder(dossier)
        try:
            self._locked.stat(f"{folder}/{ocfl.OBJECT_DECLARATION}")
            body = self._locked.read_bytes(f"{folder}/{ocfl.INVENTORY}")
        except ObjectMissing:
            return None
        inventory: Inventory = json.loads(body)
        return inventory

    def content_key(self, dossier: str, logical_path: str) -> str:
        """Return the key of a file of a sealed dossier.

        Raises
        ------
        NotFound
            The dossier is not sealed, or has no such file.
        """
        inventory = self.inventory(dossier)
        paths = ocfl.logical_paths(inventory) if inventory else {}
        if logical_path not in paths:
            raise NotFound(f"The sealed dossier {dossier} has no file {logical_path}")
        return f"{ocfl.object_folder(dossier)}/{paths[logical_path]}"

    def read(self, key: str) -> Iterator[bytes]:
        """Yield the bytes of a file in the vault."""
        return self._locked.read(key)

    @property
    def replicas(self) -> tuple[ObjectStore, ...]:
        """The stores that hold copies of what is sealed, and can be reached now."""
        return replicas_of(self._locked)

    def dossiers(self) -> Iterator[str]:
        """Yield the ids of all sealed dossiers, in order of their place."""
        for stat in self._locked.list(f"{ocfl.ROOT}/"):
            folder, _, name = stat.key.rpartition("/")
            if name == ocfl.OBJECT_DECLARATION:
                yield folder.rpartition("/")[2]

    def check(self, dossier: str) -> Iterator[str]:
        """Read everything of a sealed dossier back, in each store by itself; yield in words what is wrong with it."""
        for number, replica in enumerate(replicas_of(self._locked)):
            for problem in self.fixity(replica).problems(dossier):
                yield f"{problem} (in the second store)" if number else problem

    def fixity(self, replica: ObjectStore, *, full: bool = True, pool: Executor | None = None) -> Fixity:
        """Return what checks the copies of dossiers in one of the stores of the vault; see `Fixity`."""
        return Fixity(
            replica, KeyRing(self._work), underway=self.is_underway, full=full, pool=pool, stamps=self._stamps
        )

    def is_underway(self, dossier: str, version: str) -> bool:
        """Return whether the seal of a version, such as ``v2``, was ever begun."""
        try:
            self._work.stat(f"sealing/{dossier}/{version}{_PLANNED}")
        except (ObjectMissing, BadKey):
            return False
        return True

    def _declare(self, folder: str, inventory: bytes, version: int) -> None:
        self._move_on(folder, ocfl.SIDECAR, ocfl.sidecar(inventory), version)
        self._move_on(folder, ocfl.INVENTORY, inventory, version)
        if version == 1:
            put_document(self._locked, f"{folder}/{ocfl.OBJECT_DECLARATION}", ocfl.declaration())

    def _move_on(self, folder: str, name: str, body: bytes, version: int) -> None:
        """Bring a root file to this version, unless it has got there or beyond: no process, however late, moves back.

        What it replaces is looked at before the version is, so that whoever moved on in between is noticed.
        """
        key = f"{folder}/{name}"
        for _ in range(_ATTEMPTS):
            try:
                current = self._locked.stat(key).version
                if self._locked.read_bytes(key) == body:
                    return
            except ObjectMissing:
                current = None
            if self._head(folder) > version:
                return
            with suppress(Replaced):
                self._locked.replace_if_match(key, body, expected=current)
                return
        raise StoreUnavailable(f"{key} comes and goes while it is written")

    def _head(self, folder: str) -> int:
        """Return the number of the version that the root inventory tells of, 0 without one."""
        try:
            inventory: Inventory = json.loads(self._locked.read_bytes(f"{folder}/{ocfl.INVENTORY}"))
        except ObjectMissing:
            return 0
        return int(inventory["head"][1:])

    def _ensure_root(self) -> None:
        for key, body in ocfl.root_files(README).items():
            put_document(self._locked, key, body)


def seal_body(
    *, dossier: str, version: int, dossier_json: bytes, act: Mapping[str, object], heads: Mapping[str, object]
) -> dict[str, object]:
    """Return what a seal signs: the digest of dossier.json, the act and the heads of the journal (DESIGN section 4)."""
    return {
        "format": SEAL_FORMAT,
        "dossier": dossier,
        "version": version,
        "dossier_sha256": hashlib.sha256(dossier_json).hexdigest(),
        **act,
        "journal_heads": dict(heads),
    }
