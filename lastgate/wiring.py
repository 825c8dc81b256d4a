"""Where all parts are chosen and joined: one `House` is built from one `Settings`.

Rooms read no settings and no environment; they are handed what they need here.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archive.derived import DerivedFiles
from archive.desk.accounts import Accounts
from archive.desk.corrections import CorrectionsDesk
from archive.desk.desk import Desk
from archive.desk.identity import IdentityDesk
from archive.desk.releasing import PaperShelf
from archive.desk.transcribing import TranscribingDesk
from archive.errors import Ambiguous, NotFound
from archive.evidence import EvidenceStore
from archive.facts.decisions import Decision
from archive.facts.receipts import PatientKey
from archive.facts.store import FactStore
from archive.gate.gate import Gate
from archive.gate.rulebook import StoredRules
from archive.gate.stored import RuleStore
from archive.journal.journal import Journal
from archive.model import Dossier, PatientRecord
from archive.signing.keys import KeyRing
from archive.signing.signing import SigningKey
from archive.vault.places import Places
from archive.vault.retention import years_after
from archive.vault.vault import Vault
from lastgate.folding import folds_of
from lastgate.keeping import retained, timestamps_of
from lastgate.moves import Moves
from lastgate.ruling import judge_anew, rules_in_force
from lastgate.settings import Settings
from lastgate.storing import Stores, open_stores
from search.base import Engine, Hit
from search.kinds import Kind
from search.query import Query
from search.refresh import Refresher

if TYPE_CHECKING:
    from courses.biology import Biology
    from courses.reading import Reader
    from ingest.query.trail import Trail
    from reports.fonts import Typeface

MOST_NAMED = 3
"""So many of several fitting names are shown."""


def utc_now() -> datetime:
    """Return the time as aware UTC."""
    return datetime.now(UTC)


class House:
    """All parts of a running Lastgate, made when they are first asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.acting = settings.node.id  # whoever gives an account at the command line acts from then on
        self.home = settings.home.absolute()
        self._is_judged = False

    @cached_property
    def stores(self) -> Stores:
        """The object stores the settings name."""
        # Once this node signed something there is an archive: a folder without its mark is then a disk not mounted.
        must_exist = self.key_path.exists()
        return open_stores(self.settings.store, default_root=self.home / "archive", must_exist=must_exist)

    @cached_property
    def key(self) -> SigningKey:
        """The node's private key, made on first use."""
        ring = KeyRing(self.stores.work)  # opened first: whether there must be an archive, the file of the key tells
        key = SigningKey.load_or_create(self.key_path)
        ring.publish(key, node=self.settings.node.id, at=utc_now())
        return key

    @property
    def key_path(self) -> Path:
        """Where the node's private key lies."""
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
            retain=self.end_of_retention,
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
        return Vault(work=self.stores.work, locked=self.stores.locked, stamps=timestamps_of(self.settings.seal))

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
    def biology(self) -> "Biology":
        """Tissues, limits and rules of recovery: the program's tables with the department's over them."""
        from courses.biology import read_biology  # arrays come with it: only what computes dose waits for them

        own = self.settings.dose
        return read_biology(tissues=own.tissues, recovery=own.recovery, limits=own.limits)

    @cached_property
    def rules(self) -> StoredRules:
        """The rules of the gate and of assembly that are in force."""
        return rules_in_force(self._rule_store, self.settings.gate.rules, self.journal, account=self.acting)

    @cached_property
    def gate(self) -> Gate:
        """What judges dossiers: those that are sealed by the rules they were sealed under."""
        return Gate(self.rules, earlier=self._rule_store.read, evidence=self.evidence.of)

    @cached_property
    def evidence(self) -> EvidenceStore:
        """What was found out about planned doses."""
        return EvidenceStore(self.stores.work)

    @cached_property
    def derived(self) -> DerivedFiles:
        """Results of ours, by their digest."""
        return DerivedFiles(self.stores.work)

    @property
    def _rule_store(self) -> RuleStore:
        return RuleStore(self.stores.work)

    @cached_property
    def desk(self) -> Desk:
        """Where people settle things."""
        return Desk(
            facts=self.facts,
            gate=self.gate,
            vault=self.vault,
            journal=self.journal,
            key=self.key,
            clock=utc_now,
            on_facts=self.on_facts,
            retain=self._retain,
            rules=self.rules.rulebook.courses,
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

    @staticmethod
    def clock() -> datetime:
        """Return the time as aware UTC."""
        return utc_now()

    def _retain(self, dossier: Dossier, decisions: Sequence[Decision], sealed_on: date) -> datetime:
        return retained(self.settings, dossier, decisions, sealed_on).lock_until

    def end_of_retention(self) -> datetime:
        """Return until when evidence that is written now is locked: the journal, certificates of disposal."""
        now = utc_now()
        return datetime.combine(years_after(now.date(), self.settings.retention_years), now.timetz())

    def on_facts(self, *keys: PatientKey) -> None:
        """Fold patients again and write the index: the port the archive calls after every new fact."""
        folds = list(folds_of(self.desk, keys))
        with self.moves.told(folds, account=self.acting):
            Refresher(self.index).write(*folds)

    def rebuild(self, *, processes: int = 0) -> int:
        """Build the index anew from the object store alone and return how many documents it holds.

        Parameters
        ----------
        processes
            How many share the work; 0 for one on each core.
        """
        from lastgate.rebuilding import folds_of_all

        self.evidence.forget()
        return Refresher(self.index).rebuild(folds_of_all(self, processes=processes))

    def patients_with(self, instance_uid: str) -> frozenset[PatientKey]:
        """Return under which patients an instance is known, by the index."""
        query = Query(kind=Kind.SERIES, instance_uids=(instance_uid,))
        return frozenset(PatientKey(hit.patient_key) for hit in self.index.search(query).hits)

    def hits(self, query: Query) -> Iterator[Hit]:
        """Yield all hits of a query, page by page; what was judged under other rules is judged anew before."""
        if not self._is_judged:
            self._is_judged = True
            judge_anew(self)
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
