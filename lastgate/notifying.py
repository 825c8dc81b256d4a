"""Joins what tells other systems which instances were filed."""

import threading
from collections.abc import Callable

import structlog

from archive.journal.journal import Event
from ingest.availability.notices import Notices
from ingest.availability.notifying import Filed, Notifying
from lastgate.committing import line_of
from lastgate.peering import peers_of
from lastgate.wiring import House, open_house, utc_now

_MEND_S = 30.0
_LOG = structlog.get_logger(__name__)


def recording_of(house: House) -> Callable[..., None]:
    """Return what takes the events of the filer: for the journal, and for peers that want to know what was filed."""
    filed = Filed(notices=Notices(house.stores.work), peers=house.settings.node.notify, clock=utc_now)

    def record(*events: Event) -> None:
        house.journal.append(*events)
        filed.note(events)

    return record


def notifying_of(house: House) -> Notifying:
    """Return what tells them."""
    return Notifying(
        Notices(house.stores.work),
        house.stores.work,
        line_of(house),
        peers_of(house.settings.node).destination,
        retrieve_aet=house.settings.node.aet,
        clock=utc_now,
    )


def keep_notifying(house: House, stop: threading.Event) -> None:
    """Tell them until `stop` is set; one process of a node does it, with a house of its own."""
    while not stop.is_set():
        try:
            with open_house(house.settings) as own:
                notifying_of(own).run(stop)
        except Exception as error:  # noqa: BLE001 - what is to be told is kept: it is told when this is mended
            _LOG.critical("availability.failed", error=f"{type(error).__name__}: {error}")
            stop.wait(_MEND_S)
