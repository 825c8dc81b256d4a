"""Public keys of the nodes, for whoever checks a signature.

Three documents tell of a key, each written once and never replaced::

    site/keys/<id>.json           whose it is, and from when on
    site/keys/<id>.end.json       from when on its node signs with another
    site/keys/<id>.revoked.json   from when on nothing it signed counts: somebody else may have had it

What was signed before stays signed.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from archive.errors import FactDamaged, NotFound, Refused
from archive.signing.signing import SigningKey, is_signed, key_id
from storage.base import ObjectStore
from storage.documents import put_document
from storage.errors import KeyTaken, ObjectMissing

_FOLDER: Final = "site/keys/"
_CLOCKS_DIFFER: Final = timedelta(minutes=1)
"""A clock that is set right may go back so much between two acts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """What is known of one key; times are aware UTC.

    Parameters
    ----------
    ended_at, revoked_at
        None while its node still signs with it, and unless it was revoked.
    note
        Why it was revoked.
    is_unclear
        Whether its end or its revocation can't be read: then nothing it signed counts.
    """

    id: str
    node: str
    public_key: str
    valid_from: datetime
    ended_at: datetime | None = None
    revoked_at: datetime | None = None
    note: str = ""
    is_unclear: bool = False

    @property
    def is_current(self) -> bool:
        """Whether its node may sign with it."""
        return self.ended_at is None and self.revoked_at is None

    def problem(self, at: datetime) -> str | None:
        """Return in words why a signature of that moment does not count, None if it does."""
        if self.is_unclear:
            return f"with the key {self.id}, whose end or revocation can't be read"
        if at < self.valid_from - _CLOCKS_DIFFER:
            return f"with the key {self.id} before it was made known on {_moment(self.valid_from)}"
        if self.revoked_at is not None and at >= self.revoked_at:
            return f"with the key {self.id}, which is revoked from {_moment(self.revoked_at)} on"
        if self.ended_at is not None and at >= self.ended_at:
            return f"with the key {self.id} after its end on {_moment(self.ended_at)}"
        return None


class KeyRing:
    """Tells whose a public key is. A signature by a key that stands here under no node proves nothing."""

    def __init__(self, site: ObjectStore) -> None:
        self._site = site
        self._known: dict[str, PublicKey] = {}

    def publish(self, key: SigningKey, *, node: str, at: datetime) -> None:
        """Make known that a node signs with this key from `at` on; the first word about a key stands."""
        name = f"{_FOLDER}{key.id}.json"
        try:
            self._site.stat(name)
        except ObjectMissing:
            body = {
                "format": "lastgate/key/1",
                "node": node,
                "public_key": key.public_key,
                "valid_from": at.isoformat(),
            }
            self._put_once(name, body)

    def end(self, ended: PublicKey, *, by: SigningKey, account: str, at: datetime) -> None:
        """Make known that a node signs with another key from `at` on; the first word stands."""
        body: dict[str, object] = {
            "format": "lastgate/key-end/1",
            "key": ended.id,
            "node": ended.node,
            "ended_at": at.isoformat(),
            "account": account,
        }
        self._put_once(f"{_FOLDER}{ended.id}.end.json", signed(body, by))

    def revoke(
        self, name: str, *, since: datetime, reason: str, by: SigningKey, account: str, made_at: datetime
    ) -> PublicKey:
        """Make known that nothing counts which a key signed from `since` on, and return the key.

        Raises
        ------
        NotFound
            There is no key that is called so.
        Refused
            It is revoked already, no reason is given, or it is the key that would have to sign this.
        """
        found = self.of_id(name)
        if found is None:
            raise NotFound(f"There is no key {name!r}", hint="Run `lastgate keys` to see which there are.")
        if found.revoked_at is not None:
            raise Refused(f"The key {name} is revoked already", hint="Its record can't be changed.")
        if not reason.strip():
            raise Refused("A revocation needs a reason", hint="Say what happened: --reason TEXT")
        if by.id == name:
            raise Refused("The node still signs with this key", hint="Give it another first: lastgate keys --rotate")
        body: dict[str, object] = {
            "format": "lastgate/key-revocation/1",
            "key": name,
            "node": found.node,
            "revoked_at": since.isoformat(),
            "reason": reason.strip(),
            "account": account,
            "made_at": made_at.isoformat(),
        }
        self._put_once(f"{_FOLDER}{name}.revoked.json", signed(body, by))
        return self._read(name) or found

    def all(self) -> Iterator[PublicKey]:
        """Yield all keys of all nodes, in order of id."""
        for stat in self._site.list(_FOLDER):
            name, dot, rest = stat.key.removeprefix(_FOLDER).partition(".")
            if (dot, rest) == (".", "json") and (found := self._read(name)):
                yield found

    def of_id(self, name: str) -> PublicKey | None:
        """Return what is known of a key by its id, None if nobody made it known."""
        if name not in self._known:
            found = self._read(name)
            if found is None:
                return None
            self._known[name] = found
        return self._known[name]

    def owner(self, public_key: str) -> str | None:
        """Return the node that signs with this key, None if nobody made it known."""
        found = self._of(public_key)
        return found.node if found else None

    def problem(self, public_key: str, *, at: datetime) -> str | None:
        """Return in words why a signature by this key at that moment (aware UTC) does not count, None if it does."""
        found = self._of(public_key)
        return "by a key that is no node's" if found is None else found.problem(at)

    def _of(self, public_key: str) -> PublicKey | None:
        try:
            found = self.of_id(key_id(public_key))
        except (ValueError, TypeError):
            return None
        return found if found is not None and found.public_key == public_key else None

    def _read(self, name: str) -> PublicKey | None:
        told = self._document(f"{name}.json")
        try:
            known = told and PublicKey(
                id=name,
                node=str(told["node"]),
                public_key=str(told["public_key"]),
                valid_from=datetime.fromisoformat(told["valid_from"]),
            )
        except (KeyError, ValueError, TypeError):  # it proves nothing, and so the key is nobody's
            return None
        if not known:
            return None
        try:
            end, revoked = self._attested(name, "end"), self._attested(name, "revoked")
            return replace(
                known,
                ended_at=datetime.fromisoformat(end["ended_at"]) if end else None,
                revoked_at=datetime.fromisoformat(revoked["revoked_at"]) if revoked else None,
                note=str(revoked["reason"]) if revoked else "",
            )
        except (FactDamaged, KeyError, ValueError, TypeError):
            return replace(known, is_unclear=True)

    def _attested(self, key: str, what: str) -> dict[str, Any] | None:
        """Return the end or revocation of a key; one that no node signed, or that is of another key, is damage."""
        name = f"{key}.{what}.json"
        body = self._document(name)
        if body is None:
            return None
        told = {word: value for word, value in body.items() if word not in {"signature", "public_key"}}
        signer = str(body.get("public_key", ""))
        is_genuine = is_signed(told, signature=str(body.get("signature", "")), public_key=signer)
        if not is_genuine or body.get("key") != key or self._document(f"{key_id(signer)}.json") is None:
            raise FactDamaged(f"{_FOLDER}{name} is not what a node signed")
        return body

    def _document(self, name: str) -> dict[str, Any] | None:
        """Return a document about a key, None if it is not there; what can't be read tells nothing."""
        try:
            body = json.loads(self._site.read_bytes(f"{_FOLDER}{name}"))
        except ObjectMissing:
            return None
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    def _put_once(self, name: str, body: Mapping[str, object]) -> None:
        try:
            put_document(self._site, name, json.dumps(body, ensure_ascii=False).encode() + b"\n")
        except KeyTaken:  # somebody was quicker: the first word stands
            return
        self._known.clear()


def signed(body: dict[str, object], key: SigningKey) -> dict[str, object]:
    """Return a JSON body with the signature of a node's key over it."""
    return {**body, "signature": key.sign(body), "public_key": key.public_key}


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
