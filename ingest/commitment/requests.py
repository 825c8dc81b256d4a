"""Requests for commitment that we made, as they are kept: ``site/commitment/out/`` (docs/formats.md)."""

from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal
from uuid import uuid4

from pydantic import TypeAdapter

from ingest.commitment.references import Failure, Message, Reference
from ingest.peers import Destination
from storage.base import ObjectStore, Version
from storage.errors import ObjectMissing, Replaced

_FOLDER: Final = "site/commitment/out"
_NOT_MENTIONED: Final = 0
_ATTEMPTS: Final = 10

RequestStage = Literal["unsent", "asked", "refused", "committed", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRequest:
    """A request we made, with what came of it.

    Parameters
    ----------
    transaction_uid
        Made by us, from a random number (PS3.5 B.2).
    peer
        Whom we ask.
    dossier
        Which dossier was sent; empty if none.
    references
        What we ask about.
    stage
        ``unsent`` (the peer could not be asked yet), ``asked``, ``refused`` (it does not take the request),
        ``committed`` (to all), ``failed`` (not to all).
    failures
        What it does not commit to; reason 0 for what its answer does not mention.
    tries, next_at, reason
        How often it was asked in vain, when it is asked next, and why it did not work.
    answered_by
        Title of whoever answered.
    """

    format: Literal["lastgate/commitment-request/1"] = "lastgate/commitment-request/1"
    transaction_uid: str
    peer: Destination
    asked_at: datetime
    dossier: str = ""
    references: tuple[Reference, ...]
    stage: RequestStage = "unsent"
    answered_at: datetime | None = None
    answered_by: str = ""
    failures: tuple[Failure, ...] = ()
    tries: int = 0
    next_at: datetime | None = None
    reason: str = ""

    @property
    def is_open(self) -> bool:
        """Whether an answer is still to come."""
        return self.stage in ("unsent", "asked")

    def answered(self, message: Message, *, by: str, at: datetime) -> "OwnRequest":
        """Return the request with its answer: only what the answer names as committed is."""
        failed = {Reference(one.sop_class_uid, one.sop_instance_uid): one for one in message.failures}
        committed = frozenset(message.references)
        failures = tuple(
            failed.get(one, Failure(*one, _NOT_MENTIONED))
            for one in self.references
            if one in failed or one not in committed
        )
        stage: RequestStage = "failed" if failures else "committed"
        return replace(self, stage=stage, failures=failures, answered_at=at, answered_by=by, reason="", next_at=None)


_REQUEST: Final = TypeAdapter(OwnRequest)


def new_transaction_uid() -> str:
    """Return a UID that nobody can guess (PS3.5 B.2)."""
    return f"2.25.{uuid4().int}"


class OwnRequests:
    """Keeps our own requests in the object store.

    Parameters
    ----------
    store
        Where ``site/`` lies.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def add(self, request: OwnRequest) -> None:
        """Keep a new request, before anybody is asked."""
        self._store.replace_if_match(_key(request.transaction_uid), _body(request), expected=None)

    def find(self, transaction_uid: str) -> OwnRequest | None:
        """Return a request, None if it is none of ours."""
        return self._read(transaction_uid)[0]

    def all(self, *, but: Container[str] = ()) -> Iterator[OwnRequest]:
        """Yield all requests in order of UID, but for those with these transaction UIDs, which are not even read."""
        for stat in self._store.list(f"{_FOLDER}/"):
            uid = stat.key.rpartition("/")[2].removesuffix(".json")
            found = None if uid in but else self.find(uid)
            if found is not None:
                yield found

    def forget(self, before: datetime) -> None:
        """Remove what was asked before that time and is answered or given up; the journal keeps it."""
        for one in list(self.all()):
            if not one.is_open and one.asked_at < before:
                self._store.delete(_key(one.transaction_uid))

    def answer(
        self, transaction_uid: str, message: Message, *, by: str, at: datetime
    ) -> tuple[OwnRequest, bool] | None:
        """Keep an answer; the first one counts.

        Returns
        -------
        tuple or None
            The request as it stands, and whether this was the first answer; None if we made no such request.
        """
        for _ in range(_ATTEMPTS):
            found, version = self._read(transaction_uid)
            if found is None:
                return None
            if found.stage in ("committed", "failed"):
                return found, False
            answered = found.answered(message, by=by, at=at)
            if self._replace(answered, version):
                return answered, True
        raise Replaced(f"The request {transaction_uid} is changed all the time")

    def save(self, request: OwnRequest) -> OwnRequest:
        """Keep how asking went, unless the answer came meanwhile; returns what stands."""
        found, version = self._read(request.transaction_uid)
        if found is None or not found.is_open:
            return found or request
        if self._replace(request, version):
            return request
        return self.find(request.transaction_uid) or request

    def _read(self, transaction_uid: str) -> tuple[OwnRequest | None, Version | None]:
        if not transaction_uid or transaction_uid.strip("0123456789."):
            return None, None
        key = _key(transaction_uid)
        try:
            version = self._store.stat(key).version
            return _REQUEST.validate_json(self._store.read_bytes(key)), version
        except ObjectMissing:
            return None, None

    def _replace(self, request: OwnRequest, version: Version | None) -> bool:
        try:
            self._store.replace_if_match(_key(request.transaction_uid), _body(request), expected=version)
        except Replaced:
            return False
        return True


def _key(transaction_uid: str) -> str:
    return f"{_FOLDER}/{transaction_uid}.json"


def _body(request: OwnRequest) -> bytes:
    return _REQUEST.dump_json(request) + b"\n"
