"""A small archive on two filesystem stores: facts, vault, journal and desk of one node."""

import hashlib
import io
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from archive.desk.accounts import Account, Role
from archive.desk.desk import Desk
from archive.desk.releasing import PaperShelf, Printed, Releasing
from archive.facts.decisions import Close
from archive.facts.receipts import PatientKey, Receipt
from archive.facts.store import FactStore
from archive.gate.gate import Gate
from archive.headers import InstanceHeader
from archive.journal.journal import Journal
from archive.model import Dossier
from archive.vault.vault import Vault
from storage.base import ObjectStore
from storage.filesystem import FilesystemStore
from tests.archive.stores import clock, signing_key
from tests.factories import MONDAY, course, da, gate, key_of, receipt, weekdays

DOCTOR = Account(name="dora", role="doctor", password="")
PHYSICIST = Account(name="phil", role="physicist", password="")
FILE_MANAGER = Account(name="fay", role="file-manager", password="")
ADMINISTRATOR = Account(name="adam", role="administrator", password="")
LAST_DAY = weekdays(MONDAY, 5)[-1]


def account(role: Role) -> Account:
    """Return the account that has this role."""
    return next(one for one in (DOCTOR, PHYSICIST, FILE_MANAGER, ADMINISTRATOR) if one.role == role)


def body_of(header: InstanceHeader) -> bytes:
    """Return the bytes that stand for an instance's file."""
    return f"file of {header.sop_instance_uid or header.document_title}\n".encode() * 20


class SmallHouse:
    """Everything a desk needs, on disk; other stores can stand in to die at some moment."""

    def __init__(
        self,
        folder: Path,
        *,
        work: ObjectStore | None = None,
        locked: ObjectStore | None = None,
        until: datetime | None = None,
        judge: Gate | None = None,
    ) -> None:
        self.folder = folder
        self.work_files = FilesystemStore(folder / "work", now=clock)
        self.locked_files = FilesystemStore(folder / "locked", now=clock)
        self.work = work or self.work_files
        self.locked = locked or self.locked_files
        self.refreshed: list[PatientKey] = []
        self.facts = FactStore(self.work, node="n1")
        self.vault = Vault(work=self.work, locked=self.locked)
        self.key = signing_key(folder)
        self.journal = Journal(
            locked=self.locked, site=self.work, node="n1", outbox=folder / "outbox.db", key=self.key, clock=clock
        )
        self.desk = Desk(
            facts=self.facts,
            gate=judge or gate(),
            vault=self.vault,
            journal=self.journal,
            key=self.key,
            clock=clock,
            on_facts=self.refreshed.append,
            retain=lambda *_: until,
        )

    def receive(self, headers: Iterable[InstanceHeader]) -> PatientKey:
        """File instances as the filer does: bytes first, then their receipts, each under its patient's key."""
        receipts: dict[PatientKey, list[Receipt]] = {key_of(): []}
        for header in headers:
            body = body_of(header)
            one = receipt(header, body=body)
            digest = hashlib.sha256(body).hexdigest()
            self.work.put_if_absent(one.key, io.BytesIO(body), sha256=digest, size_bytes=len(body))
            receipts.setdefault(key_of(header.patient), []).append(one)
        for key, arrived in receipts.items():
            if arrived:
                self.facts.write_receipts(key, arrived)
        return key_of()

    def closed(self, *, fractions: int = 5) -> tuple[PatientKey, Dossier]:
        """Receive a whole course and close it."""
        key = self.receive(course("plan", fractions=fractions))
        (dossier,) = self.desk.record(key).dossiers
        last = Close(plan_uids=(), outcome="completed", last_date=da(weekdays(MONDAY, fractions)[-1]))
        return key, self.desk.close(key, dossier.id, last, account=DOCTOR)

    def ready(self, *, fractions: int = 5) -> tuple[PatientKey, Dossier]:
        """Close such a course and release its summary."""
        key, dossier = self.closed(fractions=fractions)
        return key, self.released(key, dossier)

    def released(self, key: PatientKey, dossier: Dossier, *, text: str = "summary") -> Dossier:
        """Release papers that say `text`."""
        releasing = Releasing(desk=self.desk, shelf=PaperShelf(self.work))
        return releasing.release(key, dossier, papers(text), number="N-1", account=DOCTOR)

    def sealed(self, *, fractions: int = 5) -> tuple[PatientKey, Dossier]:
        """Seal such a course."""
        key, dossier = self.ready(fractions=fractions)
        return key, self.desk.seal(key, dossier.id, account=FILE_MANAGER)


def papers(text: str = "summary") -> tuple[Printed, ...]:
    """Return the pages for patient and doctor, as far as an archive looks at them: bytes."""
    audiences = ("patient", "doctor")
    return tuple(Printed(language="zh", audience=one, pdf=f"{text} for {one}".encode()) for one in audiences)


def completed() -> Close:
    """Return the act that closes a course of five fractions."""
    return Close(plan_uids=(), outcome="completed", last_date=da(LAST_DAY))
