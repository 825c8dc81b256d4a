"""Joins the query service with the index and the journal of a house."""

from archive.journal.journal import Event
from ingest.query import Asked, FindService, FindSettings
from lastgate.wiring import House


def find_service_of(house: House) -> FindService:
    """Return what answers C-FIND in this process."""
    settings = house.settings.node
    return FindService(
        house.index,
        FindSettings(ae_title=settings.aet, most_answers=settings.most_answers),
        on_query=house.trail,
    )


def query_event(asked: Asked) -> Event:
    """Return a query as the journal keeps it: who asked, at which level, by which keys, and how much was found."""
    subject = {
        "model": asked.model,
        "level": asked.level,
        "keys": dict(asked.keys),
        "answers": asked.hits,
        "address": asked.address,
    }
    return Event(act="query", account=asked.peer, subject=subject, outcome=asked.outcome)
