"""The DICOM node: takes every storage class in every transfer syntax, and offers the services it is handed."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from pynetdicom import AE, _config
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from archive.journal.journal import Event
from ingest.dataset.part10 import IMPLEMENTATION_CLASS_UID
from ingest.node.connection import ConnectionLimits
from ingest.node.guard import GuardedServer
from ingest.node.settings import NodeSettings
from ingest.node.storage import StorageService, StoreTerms
from ingest.node.verification import VerificationService
from ingest.peers.negotiation import admission_of
from ingest.peers.notices import Notices
from ingest.peers.porter import Porter
from ingest.peers.tls import ServerTls
from ingest.service import Service
from ingest.spool.arrival import Held
from ingest.spool.spool import Spool

_LOOK_AGAIN_S: Final = 0.05
_LAST_CONTEXT_ID: Final = 255
_ABORT_S: Final = 10.0


class Node:
    """A DICOM node that takes everything it is sent into a spool.

    Only one node per process: pynetdicom keeps its options in module globals,
    which `start` sets.

    Parameters
    ----------
    services
        What it offers beside verification and storage.
    settled
        Called with each arrival before success is answered; what it raises is answered instead.
    record
        Appends to the journal: who was turned away, and which users peers named.
    tls
        Agrees on TLS with peers that call on `NodeSettings.tls_port`; without it none is spoken.
    """

    def __init__(
        self,
        settings: NodeSettings,
        spool: Spool,
        services: Sequence[Service] = (),
        *,
        settled: Callable[[Held], None] | None = None,
        record: Callable[[Event], None] | None = None,
        tls: ServerTls | None = None,
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._storage = StorageService(spool, terms=self._terms, settled=settled)
        self.services: tuple[Service, ...] = (VerificationService(), self._storage, *services)
        self._notices = Notices(record or _unrecorded)
        self._porter = Porter(
            title=settings.ae_title,
            checks_called=settings.checks_called_ae,
            peers=settings.peers,
            associations=settings.associations,
            contexts=(context for service in self.services for context in service.contexts()),
            notices=self._notices,
        )
        self._doors: list[_Door] = []

    def start(self, listener: socket.socket | None = None, tls_listener: socket.socket | None = None) -> int:
        """Begin to listen and return the port, that of TLS if there is no other.

        Parameters
        ----------
        listener, tls_listener
            Sockets that listen already and that other processes accept from too, without and with TLS; where one is
            missing, the address of the settings is bound.

        Raises
        ------
        OSError
            An address can't be had.
        """
        _configure()
        entity = self._entity()
        try:
            if listener is not None or self._settings.port is not None:
                self._doors.append(self._door(entity, self._settings.port or 0, listener, None))
            if self._tls is not None:
                self._doors.append(self._door(entity, self._settings.tls_port, tls_listener, self._tls))
        except OSError:
            self.stop()
            raise
        return self.ports[0]

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports it listens on: without TLS, then with it."""
        return tuple(int(door.server.server_address[1]) for door in self._doors)

    @property
    def is_listening(self) -> bool:
        """Whether connections are accepted, at every door."""
        return bool(self._doors) and all(door.thread.is_alive() for door in self._doors)

    def stop(self, *, patience_s: float = 0.0, hurry: Callable[[], bool] = lambda: False) -> None:
        """Take no more connections, let associations end, abort what is open then; what was acknowledged is safe.

        Parameters
        ----------
        patience_s
            For how long associations may go on.
        hurry
            Asked meanwhile whether to abort them at once.
        """
        doors, self._doors = self._doors, []
        for door in doors:
            door.server.shutdown()
        ends = time.monotonic() + patience_s
        while _open(doors) and time.monotonic() < ends and not hurry():
            time.sleep(_LOOK_AGAIN_S)
        open_ones = _open(doors)
        for association in open_ones:
            association.abort(block=False)
        for association in open_ones:
            association.join(_ABORT_S)
        for door in doors:
            door.thread.join()
        self._notices.flush()

    def _door(self, entity: AE, port: int, listener: socket.socket | None, tls: ServerTls | None) -> "_Door":
        settings = self._settings
        server = entity.make_server(
            (settings.bind, port),
            ae_title=settings.ae_title,
            evt_handlers=[handler for service in self.services for handler in service.handlers()],
            server_class=GuardedServer,
            porter=self._porter,
            tls=tls,
            connection_limits=ConnectionLimits(pdu_bytes=settings.guard_bytes, deadline_s=settings.pdu_deadline_s),
            store=self._storage,
            listener=listener,
            has_fellows=settings.processes > 1,
        )
        assert isinstance(server, GuardedServer)
        thread = threading.Thread(target=server.serve_forever, name=f"dicom-{'tls' if tls else 'node'}", daemon=True)
        thread.start()
        return _Door(server, thread)

    def _terms(self, association: Association) -> StoreTerms:
        """Return on which terms an association that was let in may store."""
        settings, admission = self._settings, admission_of(association)
        rule = admission.rule
        return StoreTerms(
            source=admission.source,
            may_store=rule.may_use,
            issuer=settings.issuer if rule.issuer is None else rule.issuer,
            character_set=rule.character_set,
            object_bytes=min(settings.object_bytes, rule.object_bytes or settings.object_bytes),
        )

    def _entity(self) -> AE:
        """Return pynetdicom's part; who is let in and what is negotiated is the porter's."""
        settings = self._settings
        entity = AE(ae_title=settings.ae_title)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = "LASTGATE"
        entity.maximum_pdu_size = settings.pdu_bytes
        entity.acse_timeout = settings.negotiation_s
        entity.network_timeout = settings.idle_s
        entity.dimse_timeout = settings.idle_s
        return entity


class _Door(NamedTuple):
    """One port that is listened on."""

    server: GuardedServer
    thread: threading.Thread


def _open(doors: Sequence[_Door]) -> list[Association]:
    return [association for door in doors for association in door.server.active_associations]


def _unrecorded(_event: Event) -> None:
    """Record nothing: there is no journal."""


def _configure() -> None:
    """Set pynetdicom's module globals: every class is storage, headers stay out of the log."""
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    _config.STORE_RECV_CHUNKED_DATASET = False  # data sets do not go its way
    _config.LOG_HANDLER_LEVEL = "none"
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    numbered: property = vars(PresentationContext)["context_id"]
    PresentationContext.context_id = numbered.setter(_set_context_id)  # type: ignore[method-assign, assignment]


def _set_context_id(context: PresentationContext, number: int | None) -> None:
    """Take a presentation context as its peer numbers it.

    PS3.8 9.3.2.2 wants odd numbers, but dcm4che's stgcmtscu counts 1, 2, and pynetdicom aborts such associations.
    """
    if number is not None and not 1 <= number <= _LAST_CONTEXT_ID:
        raise ValueError(f"{number} is no number of a presentation context")
    context._context_id = number
