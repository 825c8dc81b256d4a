"""Mends damaged copies from good ones.

Only bytes whose digest is known from a signed seal, from a receipt, from the
name of the object or from the hash chain of the journal are ever put back. The
bad copy's bytes are kept under ``damaged/`` first. Where more is damaged than
one would expect of single rotten sectors the repairer stops: it may be a
controller, or a person, and then every further write makes it worse.
"""

import hashlib
import io
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, Final, cast

from archive.errors import TooMuchDamage
from archive.journal.journal import Event
from archive.signing.keys import KeyRing
from archive.vault import ocfl
from archive.vault.expected import Expected, Telling, expected
from archive.vault.fixity import Flaw
from archive.vault.vault import Vault
from storage.base import ObjectStore, Version
from storage.errors import StorageError
from storage.reading import PieceReader, replicas_of

FOLDER: Final = "damaged/"
_HELD_BYTES: Final = 32 << 20
_PIECE_BYTES: Final = 1 << 20
_VERSION: Final = re.compile(r"(v[0-9]+)/")
_WHERE_RECEIVED: Final = ("intake/dicom", "intake/documents", "conflict")


class Repairer:
    """Mends copies, at most `most` of them in its life.

    Parameters
    ----------
    work, locked
        Stores of the intake and of the vault; where they are pairs, a copy in one store is mended from the other.
    record
        Takes the events: each repair, and what could not be mended.
    """

    def __init__(
        self, *, work: ObjectStore, locked: ObjectStore, vault: Vault, record: Callable[[Event], None], most: int
    ) -> None:
        self._work = work
        self._locked = locked
        self._vault = vault
        self._record = record
        self._most = most
        self._count = 0

    def dossier(self, dossier: str, store: ObjectStore, flaws: Iterable[Flaw]) -> int:
        """Mend the copy of a sealed dossier in one store; return how many files were mended or moved away.

        Raises
        ------
        TooMuchDamage
            The repairer has done as much as it may.
        """
        keys = KeyRing(self._work)
        plans = [
            (
                plan.version,
                Telling(
                    dossier_json=plan.dossier_json.encode(),
                    seal_json=plan.seal_json.encode(),
                    inventory=plan.inventory.encode(),
                ),
            )
            for plan in self._vault.begun(dossier)
        ]
        whole = expected(dossier, replicas=replicas_of(self._locked), plans=plans, keys=keys)
        if whole is None:
            return 0
        bad = list(flaws)
        return sum(self._mended(dossier, store, whole, path) for path in _suspect(whole, bad)) + sum(
            self._moved(f"{ocfl.object_folder(dossier)}/{flaw.path}", store) for flaw in bad if _is_foreign(flaw, whole)
        )

    def object(self, store: ObjectStore, key: str, sha256: str, *, among: ObjectStore) -> bool:
        """Mend one object in one store from the replicas of `among`, or from an older version of its own."""
        return self._put(store, key, sha256, self._copies(among, store, (key,)))

    def _mended(self, dossier: str, store: ObjectStore, whole: Expected, path: str) -> bool:
        key = f"{ocfl.object_folder(dossier)}/{path}"
        body = whole.bodies.get(path)
        if body is not None:
            if _is(store, key, body):
                return False
            sha256 = hashlib.sha256(body).hexdigest()
            return self._put(store, key, sha256, iter([(len(body), lambda: cast(BinaryIO, io.BytesIO(body)))]))
        sha256 = whole.sha256s[path]
        received = tuple(f"{folder}/{sha256[:2]}/{sha256}" for folder in _WHERE_RECEIVED)
        copies = (*self._copies(self._locked, store, (key,)), *self._copies(self._work, None, received))
        return self._put(store, key, sha256, iter(copies))

    def _put(
        self, store: ObjectStore, key: str, sha256: str, copies: "Iterator[tuple[int, Callable[[], BinaryIO]]]"
    ) -> bool:
        self._allow(key)
        for size_bytes, opened in copies:
            try:
                with opened() as source:
                    if _sha256(source) != sha256:
                        continue
                kept = self._keep(store, key)
                with opened() as source:
                    store.repair(key, source, sha256=sha256, size_bytes=size_bytes)
            except StorageError as error:
                self._tell("repair", key, outcome="refused", reason=str(error))
                continue
            self._tell("repair", key, sha256=sha256, kept=kept)
            return True
        return False

    def _moved(self, key: str, store: ObjectStore) -> bool:
        """Take a file that nothing names out of a sealed dossier; its bytes are kept."""
        self._allow(key)
        try:
            kept = self._keep(store, key)
            if not kept:
                return False
            store.delete(key)
        except StorageError as error:  # such as a lock that was set on it
            self._tell("set-aside", key, outcome="refused", reason=str(error))
            return False
        self._tell("set-aside", key, kept=kept)
        return True

    def _keep(self, store: ObjectStore, key: str) -> str:
        """Keep the bytes of a bad copy and return where; empty if nothing of it can be read."""
        with tempfile.SpooledTemporaryFile(max_size=_HELD_BYTES) as held:
            digest, size_bytes = hashlib.sha256(), 0
            try:
                for piece in store.read(key):
                    held.write(piece)
                    digest.update(piece)
                    size_bytes += len(piece)
            except StorageError:
                if not size_bytes:
                    return ""
            held.seek(0)
            sha256 = digest.hexdigest()
            place = f"{FOLDER}{sha256[:2]}/{sha256}"
            self._work.put_if_absent(place, cast(BinaryIO, held), sha256=sha256, size_bytes=size_bytes)
            return place

    def _copies(
        self, among: ObjectStore, but: ObjectStore | None, keys: Sequence[str]
    ) -> "Iterator[tuple[int, Callable[[], BinaryIO]]]":
        """Yield length and opener of all copies there may be, older versions too."""
        for store in replicas_of(among):
            for key in keys:
                try:
                    found = [stat for stat in store.list_versions(key) if stat.key == key and not stat.is_delete_marker]
                except StorageError:
                    continue
                for number, stat in enumerate(found):
                    if store is not but or number or stat.version.version_id:
                        yield stat.size_bytes, _opener(store, key, stat.version)

    def _allow(self, key: str) -> None:
        if self._count >= self._most:
            raise TooMuchDamage(
                f"{self._count} copies were damaged in one run; {key} and what follows is left as it is"
            )
        self._count += 1

    def _tell(self, act: str, key: str, *, outcome: str = "done", **told: str) -> None:
        subject = {"key": key, **{name: value for name, value in told.items() if value}}
        self._record(Event(act=act, account="", subject=subject, outcome=outcome))


def _suspect(whole: Expected, flaws: Sequence[Flaw]) -> list[str]:
    """Return which files are to be looked at: all small ones that tell of the object, and content that was named."""
    named = {flaw.path for flaw in flaws if flaw.kind in ("missing", "changed", "unread")}
    if any(flaw.path in ("", ocfl.INVENTORY) for flaw in flaws):  # then the content could not be checked
        named |= set(whole.sha256s)
    return [*(path for path in whole.sha256s if path in named), *whole.bodies]


def _is_foreign(flaw: Flaw, whole: Expected) -> bool:
    """Return whether a file can belong to nothing: not to a later version that could not be proved."""
    version = _VERSION.match(flaw.path)
    is_known = version is None or version[1] in whole.versions
    return flaw.kind == "foreign" and is_known and flaw.path not in {*whole.bodies, *whole.sha256s}


def _opener(store: ObjectStore, key: str, version: Version) -> Callable[[], BinaryIO]:
    return lambda: cast(BinaryIO, io.BufferedReader(PieceReader(store.read(key, version=version))))


def _sha256(source: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := source.read(_PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def _is(store: ObjectStore, key: str, body: bytes) -> bool:
    try:
        return store.read_bytes(key) == body
    except StorageError:
        return False
