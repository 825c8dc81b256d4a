"""Feeding in again what lies in quarantine: a later version of this program may understand it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO
from uuid import uuid4

from archive.errors import Ambiguous, NotFound
from archive.headers import Identifier
from archive.journal.journal import Event
from ingest.filing.quarantine import Quarantine, QuarantineNote
from ingest.judge import Judge, judge_again
from ingest.spool.arrival import Arrival, Outcome
from lastgate.peering import peers_of
from lastgate.reception import filer_of, spool_of
from lastgate.wiring import House
from storage.reading import read_back


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What became of one thing from quarantine: `disposition` as for an import."""

    sha256: str
    disposition: str
    reason: str


def retry(house: House, names: Sequence[str] = (), *, patient: Identifier | None = None) -> list[Retried]:
    """Judge and file again what lies in quarantine, as on the day it came; what is filed leaves the quarantine.

    Parameters
    ----------
    names
        Beginnings of SHA-256 digests; none means everything.
    patient
        Whose files are that are not DICOM.

    Raises
    ------
    NotFound, Ambiguous
        Nothing in quarantine, or more than one thing, is called so.
    DigestMismatch
        The bytes in quarantine are not those that came.
    FilerBusy
        The filer on duty had not filed them within ten minutes.
    """
    quarantine = Quarantine(house.stores.work)
    notes = _named(list(quarantine.list()), names)
    with spool_of(house, f"import-{uuid4().hex}") as spool:
        filer, numbers = filer_of(house), dict[int, QuarantineNote]()
        for note in notes:
            read_back(house.stores.work, note.key, sha256=note.sha256, size_bytes=note.size_bytes)
            held = spool.receive(
                house.stores.work.read(note.key),
                _as_it_came(house, note, judge_again(note.source, limits=spool.dataset_limits, patient=patient)),
                source=note.source,
                batch=f"retry-{uuid4().hex}",
            )
            numbers[held.number] = note
        if numbers:
            filer.settle(spool.folder.journal, list(numbers))
        outcomes = spool.outcomes(list(numbers))
        return [_ended(house, quarantine, note, outcomes.get(number)) for number, note in numbers.items()]


def _ended(house: House, quarantine: Quarantine, note: QuarantineNote, outcome: Outcome | None) -> Retried:
    if outcome is None:
        return Retried(sha256=note.sha256, disposition="waiting", reason="Safe in the spool; it will be filed")
    if outcome.disposition not in ("quarantined", "lost"):
        subject = {"key": note.key, "reason": note.reason, "became": outcome.disposition}
        house.journal.append(Event(act="retry", account=house.acting, subject=subject))
        quarantine.remove(note)
    return Retried(sha256=note.sha256, disposition=outcome.disposition, reason=outcome.reason)


def _as_it_came(house: House, note: QuarantineNote, judge: Judge) -> Judge:
    """Judge it as of the time it came, with what is known of its sender today."""
    settings = house.settings.node
    rule = peers_of(settings).find(note.source.name) if note.source.kind == "dicom" else None
    issuer = settings.issuer if rule is None or rule.issuer is None else rule.issuer
    character_set = rule.character_set if rule is not None else ""

    def judged(stream: BinaryIO, draft: Arrival) -> Arrival:
        known = replace(draft, received_at=note.received_at, issuer=issuer, character_set=character_set)
        return judge(stream, known)

    return judged


def _named(notes: list[QuarantineNote], names: Sequence[str]) -> list[QuarantineNote]:
    if not names:
        return notes
    chosen: dict[str, QuarantineNote] = {}
    for name in names:
        found = [note for note in notes if name and note.sha256.startswith(name.lower())]
        if not found:
            raise NotFound(
                f"Nothing in quarantine is called {name!r}", hint="`lastgate quarantine` lists what is there."
            )
        if len(found) > 1:
            raise Ambiguous(f"{name!r} fits {len(found)} things in quarantine", hint="Write more characters of it.")
        chosen[found[0].sha256] = found[0]
    return list(chosen.values())
