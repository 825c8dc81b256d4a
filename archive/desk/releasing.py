"""Releases the summary of a course: its papers are kept, and what they tell is signed by a doctor or physicist.

The papers lie under ``papers/<2 hex>/<sha256>`` from the release on, whatever
becomes of the program that printed them; a seal takes them into the vault.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from archive.desk.accounts import Account
from archive.desk.desk import Desk
from archive.errors import Refused
from archive.facts.decisions import Paper, Release
from archive.facts.receipts import PatientKey
from archive.figures import digest_of
from archive.journal.journal import Event
from archive.model import Dossier, Released, Severity
from storage.base import ObjectStore
from storage.documents import put_document
from storage.errors import DigestMismatch

RELEASING_ROLES = ("doctor", "physicist")


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """A paper as it was printed."""

    language: Literal["zh", "en"]
    audience: str
    pdf: bytes


class PaperShelf:
    """Where released papers lie: each under its digest, for good."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put(self, printed: Printed) -> Paper:
        """Keep a paper and return how a release names it."""
        sha256 = hashlib.sha256(printed.pdf).hexdigest()
        key = f"papers/{sha256[:2]}/{sha256}"
        put_document(self._store, key, printed.pdf)
        return Paper(
            language=printed.language,
            audience=printed.audience,
            sha256=sha256,
            sha512=hashlib.sha512(printed.pdf).hexdigest(),
            size_bytes=len(printed.pdf),
            key=key,
        )

    def read(self, paper: Paper) -> bytes:
        """Return a paper as it was released.

        Raises
        ------
        ObjectMissing
            It is not there.
        DigestMismatch
            What is there is another one.
        """
        pdf = self._store.read_bytes(paper.key)
        if hashlib.sha256(pdf).hexdigest() != paper.sha256:
            raise DigestMismatch(f"{paper.key} is not the paper that was released")
        return pdf


@dataclass(frozen=True, slots=True, kw_only=True)
class Releasing:
    """Releases summaries at a desk."""

    desk: Desk
    shelf: PaperShelf

    def check(self, dossier: Dossier, account: Account) -> None:
        """Return if this account may release the summary of this dossier as it stands, before anything is printed.

        Raises
        ------
        Refused
            The role may not, the course has not ended, or an urgent finding stands.
        """
        if account.role not in RELEASING_ROLES:
            hint = f"Ask a {' or a '.join(RELEASING_ROLES)}."
            raise Refused(f"{account.name!r} is {account.role} and may not release a summary", hint=hint)
        if dossier.close is None:
            hint = "Close it first: lastgate close DOSSIER --outcome OUTCOME --last-date DATE --as USER"
            raise Refused("Nobody has stated that the course has ended", hint=hint)
        urgent = [one.id for one in dossier.findings if one.severity is Severity.URGENT and one.blocks]
        if urgent:
            hint = "Settle them first: what they doubt may stand on the paper."
            raise Refused(f"{len(urgent)} urgent finding(s) stand: {', '.join(urgent)}", hint=hint)

    def release(
        self, key: PatientKey, dossier: Dossier, printed: Sequence[Printed], *, number: str, account: Account
    ) -> Dossier:
        """Let these papers go out and return the dossier as it is then.

        Parameters
        ----------
        dossier
            As it was folded for printing: should something change meanwhile, the gate says so at once.
        number
            What is printed on all of them.

        Raises
        ------
        Refused
            As `check`; or the very same papers are released already.
        FactClash
            Somebody else settled something at this moment.
        """
        self.check(dossier, account)
        papers = tuple(self.shelf.put(one) for one in printed)
        if is_current(dossier) and dossier.released and dossier.released.what.papers == papers:
            raise Refused("These papers are released already", hint="Print them: lastgate summary DOSSIER -o FILE.pdf")
        act = Release(
            plan_uids=dossier.plan_uids,
            figures_sha256=digest_of(dossier.figures),
            papers=papers,
            figures=dossier.figures,
            number=number,
        )
        subject = {"dossier": dossier.id, "number": number, "papers": [paper.sha256 for paper in papers]}
        event = Event(act="release", account=account.name, subject=subject)
        self.desk.settle(key, act, account=account, event=event)
        return self.desk.dossier(key, dossier.id)


def is_current(dossier: Dossier) -> bool:
    """Return whether the released papers may be handed out: they agree, or a doctor signed that they may stand."""
    released: Released | None = dossier.released
    if released is None:
        return False
    if released.what.figures_sha256 == digest_of(dossier.figures):
        return True
    return any(one.code == "SUMMARY-OUTDATED" and one.is_waived for one in dossier.findings)
