"""Time-stamps of an authority (RFC 3161): proof by a third party that a seal existed at a moment.

The token is over the SHA-512 of seal.json and bears the authority's own
certificate. It is checked against the certificates the settings name, as they
were valid at the moment it tells, so that it stays good after their end.
"""

import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from cryptography.x509 import Certificate, load_pem_x509_certificates
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    Verifier,
    VerifierBuilder,
    decode_timestamp_response,
)

from archive.errors import StampMissing

_ANSWER_S: Final = 20.0
_MOST_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What the authority answered.

    Parameters
    ----------
    token
        The answer as it came, DER; empty if there is none.
    problem
        Why there is none.
    """

    token: bytes = b""
    problem: str = ""


class TimeStamps:
    """Has things stamped, and checks stamps.

    Parameters
    ----------
    url
        Of the authority; empty if stamps are only checked.
    authority
        PEM: the root certificates, and any between them and the authority's.
    is_required
        Whether a stamp that can't be had is an error.

    Raises
    ------
    ValueError
        `authority` holds no certificates.
    """

    def __init__(self, *, url: str, authority: bytes, is_required: bool = False) -> None:
        self._url = url
        self._certificates = load_pem_x509_certificates(authority)
        if not any(map(_is_root, self._certificates)):
            raise ValueError("no root certificate, one that signed itself, is among them")
        self._is_required = is_required

    @property
    def is_asked(self) -> bool:
        """Whether there is an authority to be asked."""
        return bool(self._url)

    def stamp(self, body: bytes) -> Stamp:
        """Have `body` stamped and check the answer.

        Raises
        ------
        StampMissing
            There is none and it is required.
        """
        try:
            token = self._answer(body)
        except (OSError, ValueError, VerificationError) as error:
            problem = f"{type(error).__name__}: {error}"
            if self._is_required:
                raise StampMissing(f"The time-stamping authority gave no stamp: {problem}") from error
            return Stamp(problem=problem)
        return Stamp(token=token)

    def problem(self, body: bytes, token: bytes) -> str | None:
        """Return in words why a token is no stamp of `body`, None if it is."""
        try:
            _verifier(self._certificates).verify_message(decode_timestamp_response(token), body)
        except (VerificationError, ValueError) as error:
            return str(error) or type(error).__name__
        return None

    def _answer(self, body: bytes) -> bytes:
        wanted = TimestampRequestBuilder().data(body).hash_algorithm(HashAlgorithm.SHA512).build()
        request = urllib.request.Request(  # noqa: S310 - the settings take http and https alone
            self._url, data=wanted.as_bytes(), headers={"Content-Type": "application/timestamp-query"}
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy from the environment
        with direct.open(request, timeout=_ANSWER_S) as answer:
            if answer.status != HTTPStatus.OK:
                raise ValueError(f"it answered {answer.status}")
            token: bytes = answer.read(_MOST_BYTES)
        _verifier(self._certificates, nonce=wanted.nonce).verify_message(decode_timestamp_response(token), body)
        return token


def stamped_at(token: bytes) -> datetime:
    """Return the moment a token tells, aware UTC; raises `ValueError` if it is none."""
    return decode_timestamp_response(token).tst_info.gen_time.astimezone(UTC)


def _verifier(certificates: list[Certificate], *, nonce: int | None = None) -> Verifier:
    # Each builder is made whole: chained calls of this library share one list among all builders of a process.
    return VerifierBuilder(
        roots=[one for one in certificates if _is_root(one)],
        intermediates=[one for one in certificates if not _is_root(one)],
        nonce=nonce,
    ).build()


def _is_root(certificate: Certificate) -> bool:
    return certificate.issuer == certificate.subject
