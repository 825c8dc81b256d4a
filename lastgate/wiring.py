"""Where all parts are chosen and joined: one `House` is built from one `Settings`.

Rooms read no settings and no environment; they are handed what they need here.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archive.desk.accounts import Accounts
from archive.desk.corrections import CorrectionsDesk
from archive.desk.desk import Desk
from archive.desk.identity import IdentityDesk
from archive.desk.releasing import PaperShelf
from archive.desk.transcribing import TranscribingDesk
from archive.errors import Ambiguous, NotFound
from archive.facts.receipts import PatientKey
from archive.facts.store import FactStore
from archive.gate.gate import Gate
from archive.journal.journal import Journal
from archive.model import Dossier, PatientRecord
from archive.signing.signing import SigningKey
from archive.vault.places import Places
from archive.vault.vault import Vault
from lastgate.folding import folds_of
from lastgate.moves import Moves
from lastgate.settings import Settings, SettingsError
from search.base import Engine, Hit
from search.kinds import Kind
from search.query import Query
from search.refresh import Refresher
from storage.base import ObjectStore
from storage.filesystem import FilesystemStore

if TYPE_CHECKING:
    from courses.reading import Reader
    from ingest.query.trail import Trail
    from reports.fonts import Typeface

MOST_NAMED = 3
"""So many of several fitting names are shown."""


def utc_now() -> datetime:
    """Return the time as aware UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The object stores of a site: one for what may change place, one that locks."""

    work: ObjectStore
    locked: ObjectStore


class House:
    """All parts of a running Lastgate, made when they are first asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.acting = settings.node.id  # whoever gives an account at the command line acts from then on
        self.home = settings.home.absolute()

    @cached_property
    def stores(self) -> Stores:
        """The object stores the settings name."""
        if self.settings.store.kind == "s3":
            return self._s3_stores()
        # Once this node signed something there is an archive: a folder without its mark is then a disk not mounted.
        store = FilesystemStore(self.settings.store.root or self.home / "archive", must_exist=self._key_path.exists())
        return Stores(work=store, locked=store)

    def _s3_stores(self) -> Stores:
        from storage.s3 import S3Store, connect, ensure_bucket

        settings = self.settings.store
        client = connect(
            settings.endpoint_url or None,
            settings.region,
            _secret("store.access_key_file", settings.access_key_file),
            _secret("store.secret_key_file", settings.secret_key_file),
        )
        ensure_bucket(client, settings.bucket, lock=False)
        ensure_bucket(client, settings.vault_bucket, lock=True)
        return Stores(work=S3Store(client, settings.bucket), locked=S3Store(client, settings.vault_bucket))

    @cached_property
    def key(self) -> SigningKey:
        """The node's private key, made on first use."""
        return SigningKey.load_or_create(self._key_path)

    @property
    def _key_path(self) -> Path:
        return self.home / "keys" / f"{self.settings.node.id}.pem"

    @cached_property
    def facts(self) -> FactStore:
        """Receipts and decisions."""
        return FactStore(self.stores.work, node=self.settings.node.id)

    @cached_property
    def accounts(self) -> Accounts:
        """Who may act."""
        return Accounts(self.stores.work)

    @cached_property
    def journal(self) -> Journal:
        """Who did what."""
        return Journal(
            locked=self.stores.locked,
            site=self.stores.work,
            node=self.settings.node.id,
            outbox=self.home / "spool" / "journal-outbox.db",
            key=self.key,
            clock=utc_now,
            retain=self._end_of_retention,
        )

    @cached_property
    def trail(self) -> "Trail":
        """Hands queries to the journal."""
        from ingest.query.trail import Trail
        from lastgate.querying import query_event

        return Trail(lambda asked: self.journal.append(query_event(asked)))

    @cached_property
    def vault(self) -> Vault:
        """Sealed dossiers."""
        return Vault(work=self.stores.work, locked=self.stores.locked)

    @cached_property
    def places(self) -> Places:
        """Where the bytes of instances lie."""
        return Places(work=self.stores.work, vault=self.vault, facts=self.facts)

    @cached_property
    def index(self) -> Engine:
        """The engine that makes dossiers findable."""
        if self.settings.index.kind == "elasticsearch":
            from search.elastic import connect

            return connect([self.settings.index.url], name=self.settings.index.name)
        from search.sqlite import SqliteEngine

        self.home.mkdir(parents=True, exist_ok=True)
        return SqliteEngine(self.home / "index.sqlite")

    @cached_property
    def desk(self) -> Desk:
        """Where people settle things."""
        return Desk(
            facts=self.facts,
            gate=Gate(),
            vault=self.vault,
            journal=self.journal,
            key=self.key,
            clock=utc_now,
            on_facts=self.on_facts,
            retain=self._retain,
        )

    @cached_property
    def papers(self) -> PaperShelf:
        """Where released papers lie."""
        return PaperShelf(self.stores.work)

    @cached_property
    def identity(self) -> IdentityDesk:
        """Where people settle who is who."""
        return IdentityDesk(desk=self.desk)

    @cached_property
    def corrections(self) -> CorrectionsDesk:
        """Where people correct what was assembled."""
        return CorrectionsDesk(desk=self.desk)

    @cached_property
    def transcribing(self) -> TranscribingDesk:
        """Where treatment sheets are copied and compared."""
        return TranscribingDesk(desk=self.desk)

    @cached_property
    def moves(self) -> Moves:
        """Tells the journal how dossiers move from state to state."""
        return Moves(self.index, self.journal, self.home / "spool" / "moves.lock")

    @cached_property
    def typeface(self) -> "Typeface":
        """The embedded typeface, opened once for all papers."""
        from reports.fonts import Typeface

        return Typeface()

    @cached_property
    def reader(self) -> "Reader":
        """Reads instances as data sets."""
        from courses.reading import Reader

        return Reader(self.places)

    def _retain(self, _: Dossier) -> datetime:
        return self._end_of_retention()

    def _end_of_retention(self) -> datetime:
        now = utc_now()
        try:
            return now.replace(year=now.year + self.settings.retention_years)
        except ValueError:  # 29 February
            return now.replace(year=now.year + self.settings.retention_years, day=28)

    def on_facts(self, *keys: PatientKey) -> None:
        """Fold patients again and write the index: the port the archive calls after every new fact."""
        folds = list(folds_of(self.desk, keys))
        with self.moves.told(folds, account=self.acting):
            Refresher(self.index).write(*folds)

    def rebuild(self) -> int:
        """Build the index anew from the object store alone and return how many documents it holds."""
        return Refresher(self.index).rebuild(folds_of(self.desk, self.facts.patients()))

    def patients_with(self, instance_uid: str) -> frozenset[PatientKey]:
        """Return under which patients an instance is known, by the index."""
        query = Query(kind=Kind.SERIES, instance_uids=(instance_uid,))
        return frozenset(PatientKey(hit.patient_key) for hit in self.index.search(query).hits)

    def hits(self, query: Query) -> Iterator[Hit]:
        """Yield all hits of a query, page by page."""
        while True:
            page = self.index.search(query)
            yield from page.hits
            if page.next_cursor is None:
                return
            query = replace(query, cursor=page.next_cursor)

    def dossier(self, name: str) -> tuple[PatientKey, Dossier]:
        """Return the dossier with this id, an alias, or the beginning of one.

        A plan that came under two patients gives two dossiers of one id: ``DOSSIER@PATIENT`` tells them apart.

        Raises
        ------
        NotFound, Ambiguous
            None or several begin so.
        """
        if not name.strip():
            raise NotFound("No dossier is named")
        beginning, _, whose = name.partition("@")
        persons = self._persons(whose) if whose else None
        found = {}
        for hit in self.hits(Query(kind=Kind.DOSSIER, text=beginning)):
            known = (hit.body["id"], *hit.body.get("aliases", ()))
            is_meant = persons is None or PatientKey(hit.patient_key) in persons
            if is_meant and any(one.startswith(beginning.lower()) for one in known):
                found[hit.body["id"], PatientKey(hit.patient_key)] = hit.body
        if not found:
            raise NotFound(f"There is no dossier {name!r}")
        if len({key for _, key in found}) > 1 and len({identity for identity, _ in found}) == 1:
            raise Ambiguous(
                f"{len(found)} patients have a dossier {name!r}",
                hint="Add the patient: DOSSIER@ID or DOSSIER@ISSUER/ID.",
            )
        if len(found) > 1:
            named = sorted({identity for identity, _ in found})[:MOST_NAMED]
            raise Ambiguous(f"{name!r} fits {len(found)} dossiers: {', '.join(named)} ...")
        ((identity, key),) = found
        return key, self.desk.dossier(key, identity)

    def patient(self, name: str) -> PatientRecord:
        """Return the patient with this identifier, or the one of a dossier whose id begins so.

        Raises
        ------
        Ambiguous
            The identifier fits two persons: they are told apart by its issuer (``ISSUER/ID``).
        NotFound
            Nobody has it.
        """
        keys = self._persons(name)
        if not keys:
            return self.desk.record(self.dossier(name)[0])
        if len(keys) > 1:
            raise Ambiguous(
                f"{len(keys)} patients have the identifier {name!r}", hint="Name its issuer: ISSUER/ID, or a dossier."
            )
        return self.desk.record(PatientKey(keys.pop()))

    def _persons(self, name: str) -> set[str]:
        """Return the keys of those who bear this identifier; a ``/`` parts issuer and ID, or belongs to the ID."""
        if not name.strip():
            raise NotFound("No patient is named")
        issuer, _, value = name.rpartition("/")
        return {
            hit.patient_key
            for wanted, by in {(name, ""), (value, issuer)}
            for hit in self.hits(Query(kind=Kind.PATIENT, patient_id=wanted, issuer=by))
            if any(  # the index takes * and ? for wildcards; who is composed is named letter by letter
                one["value"] == wanted and by in ("", one["issuer"]) for one in hit.body["patient"]["ids"]
            )
        }

    def quarantined(self) -> list[dict[str, Any]]:
        """Return what lies in quarantine, with the reasons."""
        from ingest.filing.quarantine import Quarantine

        return [
            {
                "sha256": note.sha256,
                "bytes": note.size_bytes,
                "reason": note.reason,
                "message": note.message,
                "hint": note.hint,
                "name": note.names.sop_instance_uid or note.source.name,
                "since": note.received_at.date().isoformat(),
            }
            for note in Quarantine(self.stores.work).list()
        ]

    def close(self) -> None:
        """Chain what waits in the journal and let go of files and connections."""
        with ExitStack() as stack:
            if "index" in self.__dict__:
                stack.callback(self.index.close)
            if "journal" in self.__dict__:
                stack.callback(self.journal.close)
                stack.callback(self.journal.flush)
            if "trail" in self.__dict__:
                stack.callback(self.trail.close)


@contextmanager
def open_house(settings: Settings) -> Iterator[House]:
    """Build a house and close it at the end."""
    house = House(settings)
    try:
        yield house
    finally:
        house.close()


def _secret(name: str, path: Path | None) -> str:
    if path is None:
        raise SettingsError(f"{name} is not set: with S3 it names the file that holds the credential")
    try:
        if path.stat().st_mode & 0o007:
            raise SettingsError(f"{name}: {path} can be read by anybody on this machine; run chmod 0400 {path}")
        secret = path.read_text("utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{name}: {path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{name}: {path} is no text") from error
    if not secret:
        raise SettingsError(f"{name}: {path} is empty")
    return secret
