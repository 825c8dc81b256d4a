"""Which copies of an instance the archive has, and reading them back.

What counts as a copy: the object in intake (or ``documents``), and the file in
the vault if a dossier with it is sealed; each of them again in a second store,
unless that is away or known to be behind. A store that hard-links (both on one
filesystem) holds intake and vault as **one** copy. The spool's copy does not count: it
goes after the grace time. All copies are read, and one that is damaged or
missing fails the instance, even where another is whole: the requestor should
not let go of its own while ours need mending.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from archive.facts.disposed import standing_seals
from archive.facts.receipts import Receipt
from archive.facts.store import PatientFacts
from archive.vault import ocfl
from archive.vault.vault import Vault
from storage.base import ObjectStore, Replicated
from storage.errors import DigestMismatch, ObjectMissing, StoreUnavailable
from storage.reading import replicas_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One copy of the bytes of one instance.

    Parameters
    ----------
    place
        ``intake`` or ``vault``.
    key
        In the store of that place.
    store
        1 for the first store of that place, 2 for the second.
    """

    place: str
    key: str
    sha256: str
    size_bytes: int
    store: int = 1


class Pace:
    """Holds reading back to a rate, so that receiving and looking stay quick.

    Parameters
    ----------
    bytes_per_s
        Zero for no limit.
    wait
        Waits so many seconds; returns True when the work is to stop.
    """

    def __init__(self, bytes_per_s: int, wait: Callable[[float], bool]) -> None:
        self._rate = bytes_per_s
        self._wait = wait
        self._free_at = 0.0

    def spend(self, count: int) -> None:
        """Wait until so many bytes fit the rate; a stop ends the waiting."""
        if not self._rate:
            return
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + count / self._rate
        if self._free_at > now:
            self._wait(self._free_at - now)


class Copies:
    """Finds copies and reads them back.

    Parameters
    ----------
    work, locked
        Stores of the intake and of the vault.
    """

    def __init__(self, *, work: ObjectStore, locked: ObjectStore, vault: Vault, pace: Pace) -> None:
        self._stores = {"intake": work, "vault": locked}
        self._is_one_disk = work is locked
        self._vault = vault
        self._pace = pace
        self._inventories: dict[str, Mapping[str, Sequence[str]]] = {}

    def forget(self) -> None:
        """Forget the inventories read so far: others may have sealed since."""
        self._inventories.clear()

    def of(self, receipt: Receipt, facts: PatientFacts) -> Iterator[Copy]:
        """Yield the copies the archive must have of the bytes of this receipt."""
        sealed = tuple(self._sealed(receipt, facts))
        yield from sealed
        if not (sealed and self._is_gone(receipt)):  # after sealing the intake may let go of its own
            yield from self._twice("intake", receipt.key, receipt)

    def count(self, copies: Iterable[Copy]) -> int:
        """Return how many of them stand for themselves."""
        return len({(copy.store, "disk" if self._links(copy) else copy.place) for copy in copies})

    def _links(self, copy: Copy) -> bool:
        return self._is_one_disk and self._replica(copy).capabilities.links_from is not None

    def _replica(self, copy: Copy) -> ObjectStore:
        replicas = replicas_of(self._stores[copy.place])
        if copy.store > len(replicas):
            raise StoreUnavailable("The second store is away")
        return replicas[copy.store - 1]

    def is_whole(self, copy: Copy) -> bool:
        """Read a copy now, to its end, and say whether it is what was received; raises `StoreUnavailable`."""
        digest, size = hashlib.sha256(), 0
        try:
            for piece in self._replica(copy).read(copy.key):
                digest.update(piece)
                size += len(piece)
                self._pace.spend(len(piece))
        except (ObjectMissing, DigestMismatch):
            return False
        return size == copy.size_bytes and digest.hexdigest() == copy.sha256

    def _sealed(self, receipt: Receipt, facts: PatientFacts) -> Iterator[Copy]:
        dossiers = {
            seal.dossier for seal in standing_seals(facts.decisions) if receipt.file_sha256 in seal.file_sha256s
        }
        for dossier in sorted(dossiers):
            folder = ocfl.object_folder(dossier)
            # A seal without inventory, or with one that lacks the file, is damage: that "copy" is never whole.
            paths = self._content(dossier).get(receipt.file_sha256) or [ocfl.INVENTORY]
            for path in paths:
                yield from self._twice("vault", f"{folder}/{path}", receipt)

    def _content(self, dossier: str) -> Mapping[str, Sequence[str]]:
        """Return the paths of a sealed dossier's files by SHA-256."""
        if dossier not in self._inventories:
            inventory = self._vault.inventory(dossier)
            self._inventories[dossier] = inventory["fixity"]["sha256"] if inventory else {}
        return self._inventories[dossier]

    def _is_gone(self, receipt: Receipt) -> bool:
        try:
            self._stores["intake"].stat(receipt.key)
        except ObjectMissing:
            return True
        return False

    def _twice(self, place: str, key: str, receipt: Receipt) -> Iterator[Copy]:
        """Yield the copy in each store that has it, or should have it."""
        pair = self._stores[place]
        for store, _ in enumerate(replicas_of(pair), 1):
            if store == 1 or not (isinstance(pair, Replicated) and pair.is_behind(key)):
                sha256, size_bytes = receipt.file_sha256, receipt.size_bytes
                yield Copy(place=place, key=key, sha256=sha256, size_bytes=size_bytes, store=store)
