"""What a node remembers of its own chain, on its own disk: a witness that no restored store can silence."""

import sqlite3
from dataclasses import dataclass
from typing import Final

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS chained (hash TEXT PRIMARY KEY, sequence INTEGER NOT NULL, through INTEGER NOT NULL)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chained:
    """The end of a segment this node closed; `through` is the last row of its outbox that stands in it."""

    sequence: int
    hash: str
    through: int


def remember(outbox: sqlite3.Connection, end: Chained, *, previous: str) -> None:
    """Note the end of a segment in place of the one it follows.

    An end that nothing followed stays: then the store was put back to an older state, and this row says so for good.
    """
    outbox.execute(_TABLE)
    outbox.execute("DELETE FROM chained WHERE hash = ?", (previous,))
    row = (end.hash, end.sequence, end.through)
    outbox.execute("INSERT OR IGNORE INTO chained (hash, sequence, through) VALUES (?, ?, ?)", row)
    outbox.commit()


def remembered(outbox: sqlite3.Connection) -> list[Chained]:
    """Return the ends this node remembers, the newest last."""
    outbox.execute(_TABLE)
    rows = outbox.execute("SELECT sequence, hash, through FROM chained ORDER BY rowid")
    return [Chained(sequence=sequence, hash=end, through=through) for sequence, end, through in rows]
