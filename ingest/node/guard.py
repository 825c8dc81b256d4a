"""Accepting connections: each is guarded, over TLS where that is asked for, and gets an association that waits."""

import socket
import time
from collections import deque
from copy import deepcopy
from datetime import datetime
from socketserver import BaseServer
from typing import Any, Final, cast
from uuid import uuid4

from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from ingest.errors import HandshakeFailed
from ingest.node.connection import Connection, ConnectionLimits
from ingest.node.fast_receive import FastReceive, Store
from ingest.node.reactor import ReactorAssociation
from ingest.peers.negotiation import Negotiation
from ingest.peers.porter import Porter
from ingest.peers.tls import ServerTls

_GIVES_WAY_S: Final = 0.001
_MOST_COUNTED: Final = 8
_BEGINS_WITHIN_S: Final = 0.02


class GuardedHandler(RequestHandler):
    """Makes the association of a connection that was accepted."""

    server: "GuardedServer"

    def handle(self) -> None:
        """Shake hands where TLS is spoken, in the thread of this connection, and start the association."""
        tls = self.server.tls
        if tls is not None:
            try:
                self.request = tls.agree(self.request)
            except HandshakeFailed as error:
                self.server.porter.turn_away_unheard(error, self.client_address[0])
                return
        super().handle()

    def _create_association(self) -> Association:
        """Return the association; what pynetdicom's own method does, with our classes."""
        server = self.server
        association = ReactorAssociation(self.ae, MODE_ACCEPTOR)
        association._server = server
        association.acse = Negotiation(association, server.porter)
        # pynetdicom's name is the same for all that begin within a second, and names make batches
        association.name = f"AcceptorThread@{datetime.now():%Y%m%d%H%M%S}-{uuid4().hex}"
        association.set_socket(
            Connection(association, waiter=association.dul, limits=server.connection_limits, client_socket=self.request)
        )
        if server.store is not None:
            association.dul.receivers.append(FastReceive(association, server.store))
        acceptor = association.acceptor
        acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.ae_title = server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.implementation_version_name = self.ae.implementation_version_name
        acceptor.supported_contexts = deepcopy(server.contexts)
        association.requestor.address_info = self.remote
        self._bind(association)
        return association

    def _bind(self, association: Association) -> None:
        for event, bound in self.server._handlers.items():
            if isinstance(event, evt.NotificationEvent):
                for handler, arguments in cast(list[Any], bound):
                    association.bind(event, handler, arguments)
            elif bound:
                association.bind(event, *bound)


class GuardedServer(ThreadedAssociationServer):
    """Accepts connections and guards each of them.

    Parameters
    ----------
    connection_limits
        What a connection may cost.
    porter
        Decides who is let in.
    tls
        Agrees on TLS with those who connect; without it none is spoken.
    store
        Where C-STORE requests go past pynetdicom; without one they go its way.
    listener
        A listening socket that other processes accept from too.
    has_fellows
        Whether there are such processes: the one with the fewest associations shall be the quickest to accept.
    """

    request_queue_size = 64
    daemon_threads = True  # a peer amid its handshake does not hold up the end of the node

    def __init__(
        self,
        *arguments: Any,
        porter: Porter,
        tls: ServerTls | None = None,
        connection_limits: ConnectionLimits | None = None,
        store: Store | None = None,
        listener: socket.socket | None = None,
        has_fellows: bool = False,
        **options: Any,
    ) -> None:
        self.connection_limits = connection_limits or ConnectionLimits()
        self.porter = porter
        self.tls = tls
        self.store = store
        self._listener = listener
        self._has_fellows = has_fellows
        self._accepted_at: deque[float] = deque(maxlen=_MOST_COUNTED)
        super().__init__(*arguments, **{**options, "request_handler": GuardedHandler})

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; TLS is spoken later, or one slow peer would keep all others out."""
        assert self.socket is not None
        if self._has_fellows:
            time.sleep(_GIVES_WAY_S * min(self._load(), _MOST_COUNTED))
        accepted = self.socket.accept()
        self._accepted_at.append(time.monotonic())
        return accepted

    def _load(self) -> int:
        """Return how many associations there are, those that were accepted just now and hardly begun counted too."""
        since = time.monotonic() - _BEGINS_WITHIN_S
        return len(self.active_associations) + sum(at > since for at in self._accepted_at)

    def server_bind(self) -> None:
        """Bind the address, or take over the socket that listens already."""
        if self._listener is None:
            super().server_bind()
            return
        if self.socket is not None:
            self.socket.close()
        self.socket = self._listener
        self.socket.setblocking(False)  # another process may be quicker to accept: waiting for the next would block
        self.server_address = self.socket.getsockname()

    def server_activate(self) -> None:
        """Begin to listen."""
        if self._listener is None:
            super().server_activate()

    def server_close(self) -> None:
        """Close the socket; one that is shared goes on listening for the others, which a shutdown would end."""
        if self._listener is None:
            super().server_close()
        else:
            self._listener.close()

    def shutdown(self) -> None:
        """Stop accepting and close the listening socket; pynetdicom's own version expects a list it did not fill."""
        BaseServer.shutdown(self)
        self.server_close()
