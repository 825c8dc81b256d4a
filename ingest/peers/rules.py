"""Rules for other systems: who may call us how and from where, what they may do, and where they can be reached."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, Literal

from ingest.errors import BadPeerRule
from ingest.peers.classes import GIVING, SERVICES, ServiceName, service_of

UnknownPeers = Literal["accept-store", "refuse", "accept"]
"""What a calling title without rule may do: give (verify, store, commit, mpps), nothing, or everything."""

Network = IPv4Network | IPv6Network

_MOST_TITLE_CHARS: Final = 16
_FINGERPRINT: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a peer takes associations from us: C-MOVE, storage commitment, sending.

    Parameters
    ----------
    aet, host, port
        Its title, name or address, and port.
    tls
        Whether it is spoken to over TLS (`ingest.peers.tls.client_arguments`).
    certificates
        See `PeerRule`: its certificate must be one of these; empty takes every one our authorities vouch for
        and that bears the name of the host.
    """

    aet: str
    host: str
    port: int
    tls: bool = False
    certificates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRule:
    """What is known of one other system, or of all whose titles fit a pattern, and what it may do.

    Parameters
    ----------
    title
        Its application entity title; ``*`` and ``?`` stand for any characters and any one.
    called
        Titles by which it may call us; empty leaves it to the node's own setting.
    addresses
        Where it may come from; empty is anywhere.
    certificates
        Subject (``CN=TPS,O=Hospital``, RFC 4514) or SHA-256 of the certificate (``sha256:`` and 64 hex digits) it
        must show over TLS; empty asks for none. With one, the title is not taken on the plain port.
    services
        What it may do; see `ingest.peers.classes.ServiceName`.
    sop_classes
        Storage classes it may store and be given; empty is all, unknown and private ones too.
    character_set
        (0008,0005) of its data sets that declare none, such as ``GB18030``; empty recognises UTF-8 and GB 18030.
    issuer
        Issuer of its patient identifiers that name none; None leaves it to the node's own setting.
    object_bytes
        The longest instance taken from it; None leaves it to the node's own limit.
    associations
        How many it may have open at once; None leaves it to the node's own limit.
    host, port, tls
        Where it takes associations from us, if it does; see `Destination`.

    Raises
    ------
    BadPeerRule
        It contradicts itself, or names what there can't be.
    """

    title: str
    called: tuple[str, ...] = ()
    addresses: tuple[Network, ...] = ()
    certificates: tuple[str, ...] = ()
    services: frozenset[ServiceName] = GIVING
    sop_classes: frozenset[str] = frozenset()
    character_set: str = ""
    issuer: str | None = None
    object_bytes: int | None = None
    associations: int | None = None
    host: str = ""
    port: int = 104
    tls: bool = False

    def __post_init__(self) -> None:
        for title in (self.title, *self.called):
            if not _is_title(title):
                raise BadPeerRule(f"{title!r} is no application entity title")
        if self.host and self.is_pattern:
            raise BadPeerRule(f"{self.title} is a pattern: a host belongs to one title")
        if self.tls and not self.host:
            raise BadPeerRule(f"{self.title} has no host that could be spoken to over TLS")
        if not 1 <= self.port <= 65535:
            raise BadPeerRule(f"{self.port} is no port of {self.title}: it lies between 1 and 65535")
        if unknown := self.services - SERVICES:
            raise BadPeerRule(f"{self.title} is allowed {', '.join(sorted(unknown))}, which is no service")
        _check_certificates(self)
        _check_character_set(self)

    @property
    def is_pattern(self) -> bool:
        """Whether the title stands for several."""
        return bool(re.search(r"[*?]", self.title))

    @property
    def is_open(self) -> bool:
        """Whether nothing but its title, which is no secret, stands between a stranger and patients' data."""
        return not (self.addresses or self.certificates or self.services <= GIVING)

    @property
    def destination(self) -> Destination | None:
        """Where it takes associations from us; None if that is not known."""
        if not self.host:
            return None
        return Destination(aet=self.title, host=self.host, port=self.port, tls=self.tls, certificates=self.certificates)

    def may_come_from(self, address: str) -> bool:
        """Return whether it may come from this address."""
        ip = _ip(address)
        return not self.addresses or (ip is not None and any(ip in network for network in self.addresses))

    def may_use(self, sop_class_uid: str) -> bool:
        """Return whether it may use a SOP class as user of the service the class belongs to."""
        service = service_of(sop_class_uid)
        if service == "store" and self.sop_classes and sop_class_uid not in self.sop_classes:
            return False
        return service in self.services

    def may_be_given(self, sop_class_uid: str) -> bool:
        """Return whether it may get instances of a storage class over its own association (C-GET)."""
        fits = not self.sop_classes or sop_class_uid in self.sop_classes
        return fits and "get" in self.services


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """All other systems a node knows, and what becomes of those it does not.

    Parameters
    ----------
    rules
        One for each title or pattern.
    unknown
        See `UnknownPeers`.

    Raises
    ------
    BadPeerRule
        Two rules have one title.
    """

    rules: tuple[PeerRule, ...] = ()
    unknown: UnknownPeers = "accept"
    _exact: Mapping[str, PeerRule] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        titles = [rule.title for rule in self.rules]
        if twice := {title for title in titles if titles.count(title) > 1}:
            raise BadPeerRule(f"There are two rules for {', '.join(sorted(twice))}")
        object.__setattr__(self, "_exact", {rule.title: rule for rule in self.rules if not rule.is_pattern})

    def find(self, title: str) -> PeerRule | None:
        """Return the rule of a calling title: its own, else the first pattern that fits, else the one for strangers.

        None is returned where strangers are refused. Spaces around a title don't count (PS3.8 9.3.2).
        """
        title = title.strip(" ")
        known = self._exact.get(title) or next(
            (rule for rule in self.rules if rule.is_pattern and fnmatchcase(title, _escaped(rule.title))), None
        )
        return known or _stranger(self.unknown)

    def destination(self, title: str) -> Destination | None:
        """Return where the peer with this title takes associations from us; None if that is not known."""
        rule = self._exact.get(title.strip(" "))
        return rule.destination if rule else None


@cache
def _stranger(unknown: UnknownPeers) -> PeerRule | None:
    if unknown == "refuse":
        return None
    return PeerRule(title="*", services=SERVICES if unknown == "accept" else GIVING)


def _escaped(pattern: str) -> str:
    """Return a pattern in which a bracket is a bracket."""
    return pattern.replace("[", "[[]")


def _is_title(text: str) -> bool:
    """Return whether it may be an application entity title (PS3.5 table 6.2-1, AE)."""
    fits = 1 <= len(text) <= _MOST_TITLE_CHARS and text == text.strip()
    return fits and text.isascii() and text.isprintable() and "\\" not in text


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address as it is meant: an IPv4 address a dual-stack socket wrote as IPv6 is IPv4."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _check_certificates(rule: PeerRule) -> None:
    from cryptography.x509 import Name

    for certificate in rule.certificates:
        if _FINGERPRINT.fullmatch(certificate):
            continue
        try:
            named = bool(list(Name.from_rfc4514_string(certificate)))
        except ValueError:
            named = False
        if not named:
            raise BadPeerRule(
                f"{certificate!r} names no certificate of {rule.title}: write its subject as in CN=TPS,O=Hospital, "
                "or sha256: and 64 lower-case hex digits"
            )


def _check_character_set(rule: PeerRule) -> None:
    from pydicom.charset import python_encoding

    unknown = [term for term in rule.character_set.split("\\") if term and term not in python_encoding]
    if unknown:
        raise BadPeerRule(f"{unknown[0]!r} is no Specific Character Set of {rule.title} (PS3.3 C.12.1.1.2)")
