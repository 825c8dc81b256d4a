"""Where the bytes of an instance lie, and how they are read with proof.

An instance lies in the intake, and once it is sealed in the vault as well; the
intake's copy may then go. Whoever reads instances asks here and need not know.
Bytes leave only after their digest was compared: where the intake's copy is
gone or rotten, or its store does not answer, the one in a second store or the
sealed one stands in.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from archive.facts.decisions import Sealed
from archive.facts.receipts import PatientKey, Receipt, patient_key
from archive.facts.store import FactStore
from archive.vault import ocfl
from archive.vault.vault import Vault
from storage.base import ObjectStore
from storage.errors import DigestMismatch, ObjectMissing, StorageError, StoreUnavailable
from storage.reading import mismatch, replicas_of

IN_MEMORY_BYTES: Final = 16 * 1024 * 1024
"""An instance up to this length is held whole while it is read; longer ones never are."""

_PATIENTS_REMEMBERED: Final = 16
_Copy = Callable[[], Iterator[bytes]]


class Places:
    """Finds and reads the bytes of instances.

    Parameters
    ----------
    work
        Store of the intake, where the keys of receipts lie.
    vault
        Sealed dossiers.
    facts
        Tells which dossier an instance was sealed in.
    """

    def __init__(self, *, work: ObjectStore, vault: Vault, facts: FactStore) -> None:
        self._work = work
        self._vault = vault
        self._facts = facts
        self._sealed: OrderedDict[PatientKey, dict[str, str]] = OrderedDict()
        self._lock = threading.Lock()

    def whole(self, receipt: Receipt) -> bytes:
        """Return the file as it was received.

        Raises
        ------
        DigestMismatch
            No copy has the digest of the receipt.
        ObjectMissing
            There is no copy.
        """
        return b"".join(self._first_good(receipt, lambda copy: _held(copy, receipt)))

    def pieces(self, receipt: Receipt) -> Iterator[bytes]:
        """Yield the file as it was received, in pieces; memory does not grow with its length.

        What is longer than `IN_MEMORY_BYTES` is read through once before its
        first piece is given, and compared again on the way: its last piece is
        held back until the digest is right.

        Raises
        ------
        DigestMismatch, ObjectMissing
            As `whole`; before the first piece, unless a copy rots while it is read.
        """
        return self._first_good(receipt, lambda copy: _proven(copy, receipt))

    def _first_good(self, receipt: Receipt, read: Callable[[_Copy], Iterator[bytes]]) -> Iterator[bytes]:
        failures: list[StorageError] = []
        for copy in self._copies(receipt):
            try:
                return read(copy)
            except (ObjectMissing, DigestMismatch, StoreUnavailable) as error:
                failures.append(error)
        # A rotten copy says more than one that does not answer, and that more than one that is gone.
        for kind in (DigestMismatch, StoreUnavailable, ObjectMissing):
            for failure in failures:
                if isinstance(failure, kind):
                    raise failure
        raise ObjectMissing(f"{receipt.key} is nowhere")

    def _copies(self, receipt: Receipt) -> Iterator[_Copy]:
        yield from (partial(store.read, receipt.key) for store in replicas_of(self._work))
        key = self._sealed_key(receipt)
        if key is not None:
            yield from (partial(store.read, key) for store in self._vault.replicas)

    def _sealed_key(self, receipt: Receipt) -> str | None:
        """Return the key of the sealed copy, None if it was never sealed."""
        patient = patient_key(receipt.header.patient.identifier, receipt.header.study_uid)
        with self._lock:
            known = self._sealed.get(patient, {})
            if receipt.file_sha256 not in known:
                known = self._sealed_keys(patient)
                self._sealed[patient] = known
                self._sealed.move_to_end(patient)
                while len(self._sealed) > _PATIENTS_REMEMBERED:
                    self._sealed.popitem(last=False)
        return known.get(receipt.file_sha256)

    def _sealed_keys(self, patient: PatientKey) -> dict[str, str]:
        seals = (decision.what for decision in self._facts.decisions(patient))
        dossiers = dict.fromkeys(seal.dossier for seal in seals if isinstance(seal, Sealed))
        found: dict[str, str] = {}
        for dossier in dossiers:
            inventory = self._vault.inventory(dossier)
            if inventory is not None:
                folder = ocfl.object_folder(dossier)
                paths = ocfl.content_paths(inventory)
                found.update({sha256: f"{folder}/{path}" for path, (_, sha256) in paths.items()})
        return found


def _held(copy: _Copy, receipt: Receipt) -> Iterator[bytes]:
    """Return the pieces of a copy, all of them read and compared."""
    pieces = list(copy())
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    _compare(receipt, digest.hexdigest(), sum(map(len, pieces)))
    return iter(pieces)


def _proven(copy: _Copy, receipt: Receipt) -> Iterator[bytes]:
    if receipt.size_bytes <= IN_MEMORY_BYTES:
        return _held(copy, receipt)
    digest, size = hashlib.sha256(), 0
    for piece in copy():
        digest.update(piece)
        size += len(piece)
    _compare(receipt, digest.hexdigest(), size)
    return _again(copy, receipt)


def _again(copy: _Copy, receipt: Receipt) -> Iterator[bytes]:
    digest, size, waiting = hashlib.sha256(), 0, b""
    for piece in copy():
        if waiting:
            yield waiting
        digest.update(piece)
        size += len(piece)
        waiting = piece
    _compare(receipt, digest.hexdigest(), size)
    yield waiting


def _compare(receipt: Receipt, sha256: str, size_bytes: int) -> None:
    if (sha256, size_bytes) != (receipt.file_sha256, receipt.size_bytes):
        found = (sha256, size_bytes)
        told = mismatch(receipt.key, found=found, sha256=receipt.file_sha256, size_bytes=receipt.size_bytes)
        raise DigestMismatch(f"{receipt.key} does not have the digest of its receipt: {told}")
