"""Who a peer says it is: the certificate it showed over TLS, the user it names (PS3.7 2026c D.3.3.7)."""

import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

UserKind = Literal["", "name", "name-passcode", "kerberos", "saml", "jwt"]
"""Kind of user identity a peer sent (types 1 to 5); empty if it sent none."""

_KINDS: Final[dict[int, UserKind]] = {1: "name", 2: "name-passcode", 3: "kerberos", 4: "saml", 5: "jwt"}
_NAMED: Final = frozenset({1, 2})
_MOST_NAME_CHARS: Final = 200
_FINGERPRINT_PREFIX: Final = "sha256:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The certificate a peer showed; its chain was checked in the handshake.

    Parameters
    ----------
    subject
        As RFC 4514 writes it: ``CN=TPS,O=Hospital``.
    sha256
        Hex digest of the certificate (DER).
    """

    subject: str
    sha256: str

    def is_one_of(self, certificates: Sequence[str]) -> bool:
        """Return whether it is one of those a rule names, by subject or fingerprint."""
        return any(
            one == f"{_FINGERPRINT_PREFIX}{self.sha256}"
            if one.startswith(_FINGERPRINT_PREFIX)
            else self._is_called(one)
            for one in certificates
        )

    def _is_called(self, subject: str) -> bool:
        from cryptography.x509 import Name

        return Name.from_rfc4514_string(subject).rfc4514_string() == self.subject


def certificate_of(connection: object) -> Certificate | None:
    """Return the certificate the other side of a connection showed; None without TLS, or if it showed none."""
    if not isinstance(connection, ssl.SSLSocket):
        return None
    encoded = connection.getpeercert(binary_form=True)
    if not encoded:
        return None
    from cryptography.x509 import load_der_x509_certificate

    subject = load_der_x509_certificate(encoded).subject.rfc4514_string()
    return Certificate(subject=subject, sha256=hashlib.sha256(encoded).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """The user a peer names for an association. Passcodes, tickets and tokens are never kept.

    Parameters
    ----------
    name
        Of the kinds ``name`` and ``name-passcode``; nobody checked it.
    wants_answer
        Whether the peer asks that this is confirmed.
    """

    kind: UserKind = ""
    name: str = ""
    wants_answer: bool = False

    @property
    def can_be_answered(self) -> bool:
        """Whether we can give the positive response: the other kinds ask for a ticket or token that we don't have."""
        return self.wants_answer and self.kind in ("name", "name-passcode")


def user_of(negotiated: Any) -> User:
    """Return the user of a User Identity negotiation item (pynetdicom's), which may be None."""
    if negotiated is None:
        return User()
    kind = _KINDS.get(negotiated.user_identity_type, "")
    name = negotiated.primary_field if negotiated.user_identity_type in _NAMED else b""
    return User(kind=kind, name=readable(name), wants_answer=bool(negotiated.positive_response_requested))


def readable(text: bytes | str | None) -> str:
    """Return what a stranger sent as text that can stand in a log: printable, and not too long."""
    decoded = (text or b"").decode("utf-8", "replace") if not isinstance(text, str) else text
    return "".join(one if one.isprintable() else "\ufffd" for one in decoded[:_MOST_NAME_CHARS]).strip()
