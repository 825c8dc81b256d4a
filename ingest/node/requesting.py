"""Requesting an association whose threads wait instead of looking (`ingest.node.reactor`)."""

from collections.abc import Iterable
from copy import deepcopy
from datetime import datetime
from ssl import SSLContext
from typing import Any

from pynetdicom._globals import MODE_REQUESTOR
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation

from ingest.node.connection import Connection, ConnectionLimits
from ingest.node.reactor import ReactorAssociation


def associate(  # noqa: PLR0913 - as `ApplicationEntity.associate`
    ae: ApplicationEntity,
    address: tuple[str, int],
    *,
    ae_title: str,
    contexts: list[PresentationContext],
    max_pdu: int = 128 * 1024,
    limits: ConnectionLimits | None = None,
    tls: tuple[SSLContext, str] | None = None,
    negotiation: Iterable[Any] = (),
    handlers: list[Any] | None = None,
) -> ReactorAssociation:
    """Request an association, as `ApplicationEntity.associate` does.

    Parameters
    ----------
    address
        Host and port of the peer.
    ae_title
        Its title.
    contexts
        What is asked for; context IDs are given here.
    max_pdu
        The longest PDU we announce to take.
    limits
        See `ConnectionLimits`.
    tls
        Context and the host's name in its certificate.
    negotiation
        What else is negotiated: roles, extensions, who we say we are (PS3.7 D.3.3).
    handlers
        Events and what is called for them.

    Returns
    -------
    ReactorAssociation
        Look at ``is_established``; it is running if it is.
    """
    association = ReactorAssociation(ae, MODE_REQUESTOR)
    association.name = f"RequestorThread@{datetime.now():%Y%m%d%H%M%S}"
    remote = AddressInformation(*address)
    local = AddressInformation("" if remote.is_ipv4 else "::0", 0)
    connection = Connection(association, waiter=association.dul, limits=limits or ConnectionLimits(), address=local)
    connection.tls_args = tls
    association.set_socket(connection)
    acceptor, requestor = association.acceptor, association.requestor
    acceptor.ae_title, acceptor.address_info = ae_title, remote
    requestor.ae_title, requestor.address_info = ae.ae_title, local
    requestor.maximum_length = max_pdu
    requestor.implementation_class_uid = ae.implementation_class_uid
    requestor.implementation_version_name = ae.implementation_version_name
    for item in negotiation:
        requestor.add_negotiation_item(item)
    requestor.requested_contexts = _numbered(contexts)
    for event, handler in handlers or ():
        association.bind(event, handler)
    association.request()
    if association.is_established:
        association.start()
    return association


def _numbered(contexts: list[PresentationContext]) -> list[PresentationContext]:
    """Return copies of contexts with their IDs: odd numbers from 1 on (PS3.8 9.3.2.2)."""
    copies = deepcopy(contexts)
    for number, context in enumerate(copies):
        context.context_id = 2 * number + 1
    return copies
