"""TLS for associations in both directions (PS3.15 2026c B.12 and B.13, BCP 195: RFC 8996 and RFC 9325).

TLS 1.2 at least, 1.3 where both can; authenticated encryption and forward
secrecy only; the other side's certificate is checked against the authorities
of the site alone, never those of the operating system.
"""

import select
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import structlog

from ingest.errors import BadTls, HandshakeFailed
from ingest.peers.identity import certificate_of
from ingest.peers.rules import Destination

ClientCertificates = Literal["require", "request", "none"]
"""Whether a peer that calls must show a certificate, may, or is not asked for one."""

CIPHERS: Final = "ECDHE+AESGCM:DHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2; those of 1.3 are all fit. As acceptor no DHE is agreed on, since RFC 9325 4.1 advises against it."""

_KEY_MODE: Final = 0o400
_MODES: Final = {"require": ssl.CERT_REQUIRED, "request": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}
_WARN_BEFORE_DAYS: Final = 30
_MOST_HANDSHAKES: Final = 64
"""So many peers may be in the middle of a handshake; one more is closed at once."""

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """The node's own certificate and key, and whom it believes.

    Parameters
    ----------
    certificate
        PEM file: our certificate, followed by those of the authorities between it and the root.
    key
        PEM file of mode 0400: the private key, not encrypted.
    authorities
        PEM file: the certificates of the authorities that sign those of our peers.
    """

    certificate: Path
    key: Path
    authorities: Path


class ServerTls:
    """Agrees on TLS with peers that connect; files that changed are read again at the next handshake.

    Parameters
    ----------
    files
        See `TlsFiles`.
    clients
        See `ClientCertificates`.
    deadline_s
        Within this time the handshake must be done.

    Raises
    ------
    BadTls
        The files can't be used.
    """

    def __init__(self, files: TlsFiles, *, clients: ClientCertificates = "require", deadline_s: float = 15.0) -> None:
        self._files = files
        self._clients = clients
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(_MOST_HANDSHAKES)
        self._stamps = _stamps(files)
        self._context = self._made()

    def agree(self, connection: socket.socket) -> ssl.SSLSocket:
        """Return the connection under TLS, after the handshake; the bare one is closed either way.

        Raises
        ------
        HandshakeFailed
            They could not agree, or it took too long; the connection is closed.
        """
        if not self._room.acquire(blocking=False):
            connection.close()
            raise HandshakeFailed(f"{_MOST_HANDSHAKES} others are at it")
        try:
            return self._agreed(connection)
        finally:
            self._room.release()

    def _agreed(self, connection: socket.socket) -> ssl.SSLSocket:
        try:
            secured = self._current().wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        except OSError as error:  # the peer is gone already
            connection.close()
            raise HandshakeFailed(f"The peer left before the handshake: {error}") from error
        try:
            _shake_hands(secured, self._deadline_s)
        except (OSError, ValueError) as error:
            secured.close()
            raise HandshakeFailed(_worded(error)) from error
        return secured

    def _current(self) -> ssl.SSLContext:
        """Return the context, made anew if a file changed; while the new files can't be used, the old ones hold."""
        with self._lock:
            stamps = _stamps(self._files)
            if stamps != self._stamps:
                self._stamps = stamps
                try:
                    self._context = self._made()
                    _LOG.info("tls.reloaded", certificate=str(self._files.certificate))
                except BadTls as error:
                    _LOG.error("tls.not_reloaded", code=error.code, error=str(error))
            return self._context

    def _made(self) -> ssl.SSLContext:
        context = _context(ssl.PROTOCOL_TLS_SERVER, self._files)
        context.verify_mode = _MODES[self._clients]
        # No resumption: each association shows its certificate anew, and a peer that sends and closes at once, as
        # some do, is not reset over a ticket it never read.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        return context


def client_context(files: TlsFiles, *, certificates: Sequence[str] = ()) -> ssl.SSLContext:
    """Return the context for an association we ask for.

    Parameters
    ----------
    files
        See `TlsFiles`: our certificate is shown if the peer asks for it.
    certificates
        Subjects or fingerprints as in `PeerRule`: the peer must show one of these, whatever name it bears. Without
        them its certificate must bear the name or address of its host.

    Raises
    ------
    BadTls
        The files can't be used.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, files)
    if certificates:
        context.check_hostname = False
        context.sslsocket_class = _pinned(tuple(certificates))
    return context


def client_arguments(destination: Destination, files: TlsFiles | None) -> tuple[ssl.SSLContext, str] | None:
    """Return what pynetdicom's `tls_args` wants for a destination: context and host name; None without TLS.

    Raises
    ------
    BadTls
        The destination is to be spoken to over TLS, and there are no files, or none that can be used.
    """
    if not destination.tls:
        return None
    if files is None:
        raise BadTls(f"{destination.aet} is to be spoken to over TLS, but [node.tls] names no certificate and key")
    return client_context(files, certificates=destination.certificates), destination.host


def expiries(files: TlsFiles) -> Iterable[tuple[str, datetime]]:
    """Yield subject and end of validity (aware UTC) of all certificates we show or believe.

    Raises
    ------
    BadTls
        A file can't be read.
    """
    from cryptography.x509 import load_pem_x509_certificates

    for path in (files.certificate, files.authorities):
        try:
            certificates = load_pem_x509_certificates(path.read_bytes())
        except (OSError, ValueError) as error:
            raise BadTls(f"{path} holds no certificates: {error}") from error
        for certificate in certificates:
            yield certificate.subject.rfc4514_string(), certificate.not_valid_after_utc


def warn_of_expiry(files: TlsFiles, *, now: datetime) -> None:
    """Tell the log of certificates that are not valid any more, or soon won't be."""
    for subject, ends in expiries(files):
        days = (ends - now).days
        if days < _WARN_BEFORE_DAYS:
            _LOG.warning("tls.expires", subject=subject, ends=ends.isoformat(), days=days)


def _context(protocol: int, files: TlsFiles) -> ssl.SSLContext:
    _check_key(files.key)
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    context.set_ciphers(CIPHERS)
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except (OSError, ValueError) as error:
        raise BadTls(f"{files.certificate} and {files.key} can't be used: {_worded(error)}") from error
    try:
        context.load_verify_locations(files.authorities)
    except (OSError, ValueError) as error:
        raise BadTls(f"{files.authorities} can't be used: {_worded(error)}") from error
    return context


def _check_key(path: Path) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise BadTls(f"{path} can't be read: {error.strerror}") from error
    if mode != _KEY_MODE:
        raise BadTls(f"{path} has the mode {mode:04o}: run chmod 0400 {path}")


def _no_password() -> str:
    """Stand in for OpenSSL's question at the terminal, which would wait for ever in a service."""
    raise ValueError("the key is encrypted")


def _stamps(files: TlsFiles) -> tuple[tuple[int, int, int] | None, ...]:
    """Return what changes when a file is replaced or written."""
    return tuple(map(_stamp, (files.certificate, files.key, files.authorities)))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        known = path.stat()
    except OSError:
        return None
    return known.st_ino, known.st_mtime_ns, known.st_size


def _shake_hands(secured: ssl.SSLSocket, deadline_s: float) -> None:
    """Do the handshake within the deadline; a timeout of the socket alone begins anew with each byte."""
    ends = time.monotonic() + deadline_s
    secured.setblocking(False)
    while True:
        try:
            secured.do_handshake()
            break
        except ssl.SSLWantReadError:
            awaited = select.POLLIN
        except ssl.SSLWantWriteError:
            awaited = select.POLLOUT
        waiting = select.poll()
        waiting.register(secured, awaited)
        if not waiting.poll(max(0.0, ends - time.monotonic()) * 1000):
            raise TimeoutError(f"The handshake took longer than {deadline_s} s")
    secured.setblocking(True)


def _worded(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _pinned(certificates: tuple[str, ...]) -> type[ssl.SSLSocket]:
    class PinnedSocket(ssl.SSLSocket):
        """Goes no further than the handshake unless the other side showed one of the certificates of its rule."""

        def do_handshake(self, *arguments: Any, **options: Any) -> None:
            super().do_handshake(*arguments, **options)
            shown = certificate_of(self)
            if shown is None or not shown.is_one_of(certificates):
                raise ssl.SSLCertVerificationError("the peer shows another certificate than that of its rule")

    return PinnedSocket
