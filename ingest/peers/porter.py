"""The porter: lets associations in as the rules say, counts them, and tells of those it turned away."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from archive.facts.receipts import Source
from ingest.errors import (
    HandshakeFailed,
    IngestError,
    NotAllowed,
    PeerRefused,
    TooManyAssociations,
    UnknownPeer,
    WrongAddress,
    WrongCalledTitle,
    WrongCertificate,
)
from ingest.peers.contexts import Agreement, Answer
from ingest.peers.identity import Certificate, User
from ingest.peers.notices import Notices
from ingest.peers.rules import PeerRule, Peers
from ingest.service import Context

_MOST_NAMED: Final = 8
_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who asks for an association.

    Parameters
    ----------
    calling, called
        Application entity titles of the request.
    address
        IP address it comes from.
    certificate
        The one it showed over TLS, if any.
    """

    calling: str
    called: str
    address: str
    certificate: Certificate | None = None
    user: User = field(default_factory=User)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What holds for an association that was let in: the rule of the peer, and what receipts say of it."""

    rule: PeerRule
    source: Source


class Guest(Protocol):
    """An association, as far as it is counted."""

    def is_alive(self) -> bool:
        """Return whether it goes on."""

    @property
    def is_over(self) -> bool:
        """Whether it ended, though its thread may still clear up."""


class Porter:
    """Lets associations in as the rules say.

    Parameters
    ----------
    title, checks_called
        Our own title, and whether peers without titles of their own to call must call us so.
    peers
        The rules.
    associations
        How many there may be at once, in this process.
    contexts
        What the node's services offer beside storage.
    notices
        Told of those turned away and of the users named.
    """

    def __init__(
        self,
        *,
        title: str,
        checks_called: bool,
        peers: Peers,
        associations: int,
        contexts: Iterable[Context],
        notices: Notices,
    ) -> None:
        self._title = title
        self._checks_called = checks_called
        self._peers = peers
        self._associations = associations
        self.offered: Mapping[str, Context] = {context.abstract_syntax: context for context in contexts}
        self._notices = notices
        self._inside: dict[Guest, str] = {}
        self._lock = threading.Lock()

    def admit(self, visitor: Visitor, guest: Guest) -> Admission:
        """Let an association in and count it until it ends.

        Raises
        ------
        PeerRefused
            It is not let in; this was logged and told to the journal.
        """
        try:
            rule = self._rule(visitor)
            self._count(visitor, rule, guest)
        except PeerRefused as error:
            self._turn_away(error, visitor)
            raise
        source = _source(visitor)
        if visitor.user.kind:
            self._notices.tell("identify", account=source.name, outcome="done", subject=_subject(source))
        return Admission(rule=rule, source=source)

    def told_of(self, agreement: Agreement, admission: Admission) -> None:
        """Tell of the presentation contexts an association was not given."""
        source = admission.source
        for answer in (Answer.NOT_ALLOWED, Answer.NOT_OFFERED):
            classes = agreement.classes(answer)
            if classes:
                told = classes[:_MOST_NAMED]
                _LOG.info(
                    "association.contexts_refused",
                    code=NotAllowed.code,
                    result=answer.name.lower(),
                    calling=source.name,
                    address=source.address,
                    classes=told,
                    count=len(classes),
                )
                if answer is Answer.NOT_ALLOWED:
                    subject = {**_subject(source), "reason": NotAllowed.code, "classes": told}
                    self._notices.tell("refuse", account=source.name, outcome="refused", subject=subject)

    def turn_away_unheard(self, error: HandshakeFailed, address: str) -> None:
        """Tell of a connection that never came to ask for an association."""
        self._tell(error, account="", subject={"address": address})

    def _rule(self, visitor: Visitor) -> PeerRule:
        rule = self._peers.find(visitor.calling)
        if rule is None:
            raise UnknownPeer(f"No rule knows the calling title {visitor.calling!r}")
        called = rule.called or ((self._title,) if self._checks_called else ())
        if called and visitor.called not in called:
            raise WrongCalledTitle(f"{visitor.calling} calls us {visitor.called!r}")
        if not rule.may_come_from(visitor.address):
            raise WrongAddress(f"{visitor.calling} may not come from {visitor.address}")
        shown = visitor.certificate
        if rule.certificates and not (shown and shown.is_one_of(rule.certificates)):
            raise WrongCertificate(f"{visitor.calling} did not show its certificate")
        return rule

    def _count(self, visitor: Visitor, rule: PeerRule, guest: Guest) -> None:
        with self._lock:
            self._inside = {one: title for one, title in self._inside.items() if one.is_alive() and not one.is_over}
            of_peer = sum(title == visitor.calling for title in self._inside.values())
            if rule.associations is not None and of_peer >= rule.associations:
                raise TooManyAssociations(f"{visitor.calling} has {of_peer} associations open")
            if len(self._inside) >= self._associations:
                raise TooManyAssociations(f"{len(self._inside)} associations are open")
            self._inside[guest] = visitor.calling

    def _turn_away(self, error: PeerRefused, visitor: Visitor) -> None:
        self._tell(error, account=visitor.calling, subject=_subject(_source(visitor)))

    def _tell(self, error: IngestError, *, account: str, subject: Mapping[str, object]) -> None:
        _LOG.warning("association.refused", code=error.code, calling=account, reason=str(error), **subject)
        told = {**subject, "reason": error.code}
        self._notices.tell("refuse", account=account, outcome="refused", subject=told)


def _source(visitor: Visitor) -> Source:
    return Source(
        kind="dicom",
        name=visitor.calling,
        called=visitor.called,
        address=visitor.address,
        certificate=visitor.certificate.subject if visitor.certificate else "",
        user=visitor.user.name,
        user_kind=visitor.user.kind,
    )


def _subject(source: Source) -> dict[str, object]:
    """Return what the journal says of a peer, without what it does not know."""
    known = {
        "called": source.called,
        "address": source.address,
        "certificate": source.certificate,
        "user": source.user,
        "user_kind": source.user_kind,
    }
    return {name: value for name, value in known.items() if value}
