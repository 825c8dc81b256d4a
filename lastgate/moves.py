"""Moves of dossiers from state to state, told to the journal: open, ready, sealed, late, and back.

Nothing keeps the states a second time: what the index held before is compared
with the fold that is about to take its place, and the move is told before it
does. A process that dies in between compares again and finds the move told
already (`Journal.append_once`). Without an index nothing is known of the past:
a dossier is then told as seen for the first time. `rebuild` tells nothing.
"""

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from archive.journal.journal import Event, Journal
from search.base import Engine, Hit
from search.documents import Document
from search.kinds import Kind
from search.refresh import PatientFold

LATE: Final = "late"
"""Sealed, and something came since that waits to be added."""

_LATE_CODES: Final = frozenset({"LATE", "SUMMARY-LATE"})
_FETCHED_AT_ONCE: Final = 1000


def standing(body: Mapping[str, Any]) -> str:
    """Return where a dossier stands: its state, or `LATE`."""
    paper = body.get("summary")
    waits = body["late"] or (paper and not paper["sealed"])
    return LATE if body["state"] == "sealed" and waits else str(body["state"])


class Moves:
    """Tells the moves that a write to the index makes visible.

    Parameters
    ----------
    turn
        Lock file of this node: what one process compares, no other changes meanwhile.
    """

    def __init__(self, index: Engine, journal: Journal, turn: Path) -> None:
        self._index = index
        self._journal = journal
        self._turn = turn

    @contextmanager
    def told(self, folds: Sequence[PatientFold], *, account: str) -> Iterator[None]:
        """Tell what moves by these folds, then run the block that writes them.

        Parameters
        ----------
        account
            Who acts; the node where nobody does.
        """
        self._turn.parent.mkdir(parents=True, exist_ok=True)
        with self._turn.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            after = {one.id: one for fold in folds for one in fold.documents if one.kind is Kind.DOSSIER}
            before = self._before(list(after))
            for identity, document in after.items():
                self._tell(before.get(identity), document, account)
            yield

    def _before(self, identities: Sequence[str]) -> dict[str, Hit]:
        found: dict[str, Hit] = {}
        for start in range(0, len(identities), _FETCHED_AT_ONCE):
            found.update(self._index.fetch(identities[start : start + _FETCHED_AT_ONCE]))
        return found

    def _tell(self, before: Hit | None, after: Document, account: str) -> None:
        was, now = standing(before.body) if before else None, standing(after.body)
        # A fold of fewer facts than the index holds is late: another process was quicker, and told what moved.
        if was == now or (before and before.version > after.version):
            return
        facts = before.version if before else 0
        subject = {
            "dossier": after.body["id"],
            "from": was,
            "to": now,
            "why": _why(before.body if before else {}, after.body),
            "facts": facts,
        }
        event = Event(act="state", account=account, subject=subject)
        self._journal.append_once(event, subject=after.id, mark=f"{facts} {was} {now}")


def _why(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the codes that came or went: those that hold a dossier at the gate, and those of what came late."""
    return sorted(_holding(before) ^ _holding(after))


def _holding(body: Mapping[str, Any]) -> set[str]:
    return {one["code"] for one in body.get("findings", ()) if one["blocks"] or one["code"] in _LATE_CODES}
