"""Sends that wait to be tried: one small document each below ``site/sends/``, so that no restart forgets one.

Who asked, what, where to, and what is not stored there yet. A document is
replaced only if nobody else replaced it: of several processes and nodes one
works on a send at a time, and a cancel is never lost.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import uuid4

from pydantic import TypeAdapter

from archive.facts.receipts import PatientKey
from ingest.patience import pause_after
from storage.base import ObjectStore, Version
from storage.errors import ObjectMissing, Replaced

CLAIM: Final = timedelta(minutes=10)
"""Who works on a send has it for so long, and claims it again before the time is over."""

KEPT: Final = timedelta(days=7)
"""So long a send that is over can still be looked at; what was given up stays until somebody cancels it."""

_FOLDER: Final = "site/sends"
_FIRST_PAUSE: Final = timedelta(minutes=1)

State = Literal["waiting", "done", "refused", "given-up", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An instance the peer does not want, however often it is sent."""

    uid: str
    status: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedSend:
    """One send.

    Parameters
    ----------
    id
        Names it: twelve hex digits.
    account
        Who asked for it.
    aet, host, port
        Where to.
    patient, dossier
        Whose instances, and the dossier they were asked for by.
    waiting
        SOP Instance UIDs that are not stored there yet.
    stored, refused
        How many are, and which never will be.
    state
        ``done`` when all are stored, ``refused`` when some never will be, ``given-up`` when time was over.
    tries, next_at, reason
        How often the peer was tried in vain, when it is tried next, why it did not work last.
    until
        When it is given up.
    ended_at
        When it was over.
    holder, held_until
        The process that works on it now, and how long nobody else may.
    """

    format: Literal["lastgate/send/1"] = "lastgate/send/1"
    id: str
    account: str
    asked_at: datetime
    aet: str
    host: str
    port: int
    patient: PatientKey
    dossier: str = ""
    waiting: tuple[str, ...] = ()
    stored: int = 0
    refused: tuple[Refusal, ...] = ()
    state: State = "waiting"
    tries: int = 0
    next_at: datetime | None = None
    reason: str = ""
    until: datetime
    ended_at: datetime | None = None
    holder: str = ""
    held_until: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Return whether it is to be tried now, by somebody."""
        is_free = not self.holder or self.held_until is None or self.held_until <= now
        return self.state == "waiting" and is_free and (self.next_at is None or self.next_at <= now)

    def is_past(self, now: datetime) -> bool:
        """Return whether nobody needs to look at it any more."""
        is_settled = self.state in ("done", "refused", "cancelled")
        return is_settled and self.ended_at is not None and self.ended_at + KEPT <= now

    def tried_in_vain(self, reason: str, now: datetime) -> "QueuedSend":
        """Return it with the next try put off, further each time; given up when its time is over."""
        pause = pause_after(self.tries, first=_FIRST_PAUSE)
        later = replace(self, tries=self.tries + 1, next_at=now + pause, reason=reason, holder="", held_until=None)
        return replace(later, state="given-up", ended_at=now) if now >= self.until else later

    def ended(self, state: State, now: datetime) -> "QueuedSend":
        """Return it as over."""
        return replace(self, state=state, ended_at=now, next_at=None, holder="", held_until=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A send as it was read."""

    send: QueuedSend
    version: Version


SEND: Final = TypeAdapter(QueuedSend)


def new_id() -> str:
    """Return an id nobody used."""
    return uuid4().hex[:12]


class SendQueue:
    """Keeps sends in the object store.

    Parameters
    ----------
    store
        Where ``site/`` lies.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def add(self, send: QueuedSend) -> None:
        """Keep a new send; it is durable when this returns."""
        self._store.replace_if_match(_key(send.id), _body(send), expected=None)

    def all(self) -> Iterator[Found]:
        """Yield all sends that are kept, in order of id."""
        for stat in self._store.list(f"{_FOLDER}/"):
            found = self.find(stat.key.rpartition("/")[2].removesuffix(".json"))
            if found is not None:
                yield found

    def find(self, identity: str) -> Found | None:
        """Return a send, None if there is none of this id."""
        try:
            version = self._store.stat(_key(identity)).version
            send = SEND.validate_json(self._store.read_bytes(_key(identity)))
        except ObjectMissing:
            return None
        return Found(send=send, version=version)

    def save(self, found: Found, send: QueuedSend) -> Found | None:
        """Replace a send; None if somebody else was quicker."""
        try:
            version = self._store.replace_if_match(_key(send.id), _body(send), expected=found.version)
        except Replaced:
            return None
        return Found(send=send, version=version)

    def forget(self, found: Found) -> None:
        """Remove a send."""
        self._store.delete(_key(found.send.id))

    def cancel(self, identity: str, now: datetime) -> QueuedSend | None:
        """Cancel a send that waits, or let go of one that was given up; None if there is none such.

        Who is sending it hears of that within seconds.
        """
        while (found := self.find(identity)) is not None:
            if found.send.state not in ("waiting", "given-up"):
                return None
            saved = self.save(found, found.send.ended("cancelled", now))
            if saved is not None:
                return saved.send
        return None


def _key(identity: str) -> str:
    return f"{_FOLDER}/{identity}.json"


def _body(send: QueuedSend) -> bytes:
    return SEND.dump_json(send, indent=1) + b"\n"
