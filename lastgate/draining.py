"""Emptying a node for good: what it acknowledged goes into the archive, and its own disk holds nothing more of it."""

from dataclasses import dataclass
from datetime import datetime

from lastgate.reception import filer_of
from lastgate.serving import sole_server
from lastgate.wiring import House


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What became of what a node still held.

    Parameters
    ----------
    filed
        How many things became what.
    released
        Files the spool let go of.
    waiting
        Things that could not be filed; they are in the spool.
    held
        Files that are filed and stay in the spool, until `held_until`: the store may lose its last seconds.
    chained
        Events that went from the outbox into the journal.
    """

    filed: dict[str, int]
    released: int
    waiting: int
    held: int
    held_until: datetime | None
    chained: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left that would be lost with this node."""
        return self.waiting == 0 and self.held == 0


def drain(house: House) -> Drained:
    """File everything, let go of what is safe in the store, and say what remains.

    Raises
    ------
    AlreadyServing
        The node runs: what it receives meanwhile would be left behind.
    FilerBusy
        An import files at the moment.
    StorageError
        The store can't be written; everything stays in the spool.
    """
    with sole_server(house.settings):
        filer = filer_of(house)
        counts = filer.drain()
        released = filer.release(at_once=True)
        left = filer.remaining()
        return Drained(
            filed={what: count for what, count in sorted(counts.items()) if what != "waiting"},
            released=released,
            waiting=left.waiting,
            held=left.held,
            held_until=left.until,
            chained=house.journal.flush(),
        )
