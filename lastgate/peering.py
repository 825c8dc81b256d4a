"""What the settings say of other systems, as the values the node works with."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from ingest.errors import BadPeerRule, BadTls
from ingest.peers import PeerRule, Peers
from ingest.peers.tls import ServerTls, TlsFiles, warn_of_expiry
from lastgate.settings import NodeSettings, PeerSettings, SettingsError
from lastgate.wiring import utc_now

_LOG = structlog.get_logger(__name__)


def peers_of(settings: NodeSettings) -> Peers:
    """Return the rules for other systems.

    Raises
    ------
    SettingsError
        A rule can't be.
    """
    with _as_settings():
        return Peers(rules=tuple(map(_rule, settings.peers)), unknown=settings.unknown_peers)


def tls_files_of(settings: NodeSettings) -> TlsFiles | None:
    """Return the files TLS is spoken with, None if it is not.

    Raises
    ------
    SettingsError
        Some are named, and not all.
    """
    tls = settings.tls
    named = {"certificate": tls.certificate, "key": tls.key, "authorities": tls.authorities}
    if not any(named.values()):
        return None
    if tls.certificate is None or tls.key is None or tls.authorities is None:
        missing = ", ".join(f"node.tls.{name}" for name, path in named.items() if path is None)
        raise SettingsError(f"TLS needs {missing} as well")
    return TlsFiles(certificate=tls.certificate, key=tls.key, authorities=tls.authorities)


def server_tls_of(settings: NodeSettings) -> ServerTls | None:
    """Return what agrees on TLS with peers that call, None if none may call so.

    Raises
    ------
    SettingsError
        Its files can't be used, or rules ask for certificates that nobody can show.
    """
    files = tls_files_of(settings)
    if files is None or settings.tls.port is None:
        return None
    with _as_settings():
        return ServerTls(files, clients=settings.tls.clients)


def check_peering(settings: NodeSettings) -> None:
    """Say before anything is received what can't work, and warn of what should not be so.

    Raises
    ------
    SettingsError
        A rule can't be kept.
    """
    peers, files, server = peers_of(settings), tls_files_of(settings), server_tls_of(settings)
    shows = server is not None and settings.tls.clients != "none"
    for rule in peers.rules:
        if rule.certificates and not shows:
            raise SettingsError(
                f"The rule for {rule.title} names certificates, and no peer is asked for one (node.tls)"
            )
        if rule.tls and files is None:
            raise SettingsError(f"{rule.title} is to be spoken to over TLS: name the files of node.tls")
        if rule.is_open:
            _LOG.warning("peers.open", title=rule.title, services=sorted(rule.services))
    if peers.unknown == "accept":
        _LOG.warning("peers.open", title="*", services="all")
    if files is not None:
        with _as_settings():
            warn_of_expiry(files, now=utc_now())


def _rule(peer: PeerSettings) -> PeerRule:
    return PeerRule(
        title=peer.title,
        called=peer.called,
        addresses=peer.addresses,
        certificates=peer.certificates,
        services=frozenset(peer.services),
        sop_classes=frozenset(peer.sop_classes),
        character_set=peer.character_set,
        issuer=peer.issuer,
        object_bytes=peer.most_bytes,
        associations=peer.most_associations,
        host=peer.host,
        port=peer.port,
        tls=peer.tls,
    )


@contextmanager
def _as_settings() -> Iterator[None]:
    """Tell what is wrong with a rule or a file as what it is: a setting to mend."""
    try:
        yield
    except (BadPeerRule, BadTls) as error:
        raise SettingsError(f"{error} ({error.code})") from error
