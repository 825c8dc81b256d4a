"""Joins what goes out over DICOM: the sender, where peers are reached, and what answers C-MOVE and C-GET."""

import socket
import ssl
from functools import partial
from typing import TYPE_CHECKING

from ingest.peers import Destination, Peers
from ingest.peers.tls import TlsFiles, client_arguments
from ingest.retrieve.association import Patience
from ingest.retrieve.locate import Locator
from ingest.retrieve.outgoing import Sender
from ingest.retrieve.peer import Peer
from lastgate.peering import peers_of, tls_files_of
from lastgate.wiring import House

if TYPE_CHECKING:
    from ingest.retrieve.service import RetrieveService


class KnownPeers:
    """Where the systems of the settings are reached."""

    def __init__(self, peers: Peers, files: TlsFiles | None) -> None:
        self._peers = peers
        self._files = files

    def destination(self, title: str) -> Peer | None:
        """Return where the peer with this title takes associations from us; None if that is not known."""
        found = self._peers.destination(title)
        return None if found is None else self._peer(found)

    def at(self, title: str, host: str, port: int) -> Peer:
        """Return how a title is reached at this place: as its rule says, if it has one for this place."""
        known = self._peers.destination(title)
        if known is not None and (known.host, known.port) == (host, port):
            return self._peer(known)
        return Peer(aet=title, host=host, port=port)

    def _peer(self, found: Destination) -> Peer:
        seal = partial(_sealed, found, self._files) if found.tls else None
        return Peer(aet=found.aet, host=found.host, port=found.port, seal=seal)


def known_peers_of(house: House) -> KnownPeers:
    """Return where the systems of the settings are reached."""
    return KnownPeers(peers_of(house.settings.node), tls_files_of(house.settings.node))


def sender_of(house: House) -> Sender:
    """Return what stores instances at other nodes."""
    settings = house.settings.sending
    return Sender(
        calling=house.settings.node.aet,
        patience=Patience(answer_s=settings.answer_s),
        associations=settings.associations,
        folder=house.home,
    )


def locator_of(house: House) -> Locator:
    """Return what finds the receipts of instances."""
    return Locator(search=house.hits, facts=house.facts)


def retrieve_service_of(house: House) -> "RetrieveService":
    """Return what answers C-MOVE and C-GET."""
    from ingest.retrieve.service import Ports, RetrieveService

    ports = Ports(
        locator=locator_of(house),
        places=house.places,
        destinations=known_peers_of(house),
        sender=sender_of(house),
        record=house.journal.append,
        folder=house.home,
    )
    return RetrieveService(ports, answer_s=house.settings.sending.answer_s)


def _sealed(destination: Destination, files: TlsFiles | None, plain: socket.socket) -> ssl.SSLSocket:
    told = client_arguments(destination, files)
    assert told is not None  # it is spoken to over TLS
    context, name = told
    return context.wrap_socket(plain, server_hostname=name)
