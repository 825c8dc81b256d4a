"""The DICOM node: C-ECHO and C-STORE for every storage class in every transfer syntax."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pynetdicom import AE, _config, dimse_messages, evt

from ingest.encoding import DEFLATED_LITTLE, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from ingest.guard import GuardedServer
from ingest.handlers import StoreHandler
from ingest.part10 import IMPLEMENTATION_CLASS_UID
from ingest.receiving import ReceivingFolder
from ingest.spool import Spool

_VERIFICATION: Final = "1.2.840.10008.1.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """How the node presents itself and what it puts up with.

    Parameters
    ----------
    ae_title
        Ours, at most 16 characters.
    bind, port
        Address to listen on; port 0 takes a free one.
    checks_called_ae
        Reject peers that call us by another title.
    calling_aes
        Accept these only; empty accepts all.
    associations
        How many at once.
    pdu_bytes
        The longest PDU we announce to take; anything up to `guard_bytes` is read.
    pdu_deadline_s
        Within this time a PDU that has begun must be there whole.
    negotiation_s
        Within this time a peer that connected must have asked for an association.
    idle_s
        An association silent for so long is ended.
    object_bytes
        The longest instance that is taken.
    issuer, issuers
        Issuer of patient identifiers that name none, by calling AE title.
    """

    ae_title: str = "LASTGATE"
    bind: str = "127.0.0.1"
    port: int = 11112
    checks_called_ae: bool = False
    calling_aes: tuple[str, ...] = ()
    associations: int = 32
    pdu_bytes: int = 128 * 1024
    guard_bytes: int = 1024 * 1024
    pdu_deadline_s: float = 30.0
    negotiation_s: float = 15.0
    idle_s: float = 300.0
    object_bytes: int = 16 * 1024**3
    issuer: str = ""
    issuers: Mapping[str, str] = field(default_factory=dict)


class Node:
    """A DICOM node that takes everything it is sent into a spool.

    Only one node per process: pynetdicom keeps its options in module globals,
    which `start` sets.
    """

    def __init__(self, settings: NodeSettings, spool: Spool) -> None:
        self._settings = settings
        self._spool = spool
        self._server: GuardedServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Begin to listen and return the port; raises `OSError` if the address can't be had."""
        settings = self._settings
        _configure(ReceivingFolder(self._spool.folder.incoming, object_bytes=settings.object_bytes))
        handler = StoreHandler(self._spool, issuer=settings.issuer, issuers=settings.issuers)
        server = self._entity().make_server(
            (settings.bind, settings.port),
            ae_title=settings.ae_title,
            evt_handlers=[
                (evt.EVT_C_ECHO, handler.on_c_echo),
                (evt.EVT_C_STORE, handler.on_c_store),
                (evt.EVT_CONN_CLOSE, handler.on_closed),
            ],
            server_class=GuardedServer,
            pdu_bytes=settings.guard_bytes,
            deadline_s=settings.pdu_deadline_s,
        )
        assert isinstance(server, GuardedServer)
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, name="dicom-node", daemon=True)
        self._thread.start()
        return int(server.server_address[1])

    def stop(self) -> None:
        """Take no more connections and abort the associations that are open; what was acknowledged is safe."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        self._server = None
        server.shutdown()
        for association in server.active_associations:
            association.abort()
        thread.join()

    def _entity(self) -> AE:
        settings = self._settings
        entity = AE(ae_title=settings.ae_title)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = "LASTGATE"
        entity.maximum_associations = settings.associations
        entity.maximum_pdu_size = settings.pdu_bytes
        entity.require_called_aet = settings.checks_called_ae
        entity.require_calling_aet = list(settings.calling_aes)
        entity.acse_timeout = settings.negotiation_s
        entity.network_timeout = settings.idle_s
        entity.dimse_timeout = settings.idle_s
        native = [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED_LITTLE]
        entity.add_supported_context(_VERIFICATION, native)
        return entity


def _configure(receiving: ReceivingFolder) -> None:
    """Set pynetdicom's module globals: every class is storage, data sets go to disk, headers stay out of the log."""
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    _config.STORE_RECV_CHUNKED_DATASET = True
    _config.LOG_HANDLER_LEVEL = "none"
    dimse_messages.NamedTemporaryFile = receiving  # type: ignore[attr-defined, assignment]
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
