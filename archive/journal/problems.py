"""What may be wrong with a journal, as values: which segment, which line, and what to do."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

CLOCKS_DIFFER: Final = timedelta(minutes=1)
"""Processes of one node may note events out of order by their clocks by so much."""

_KEEP: Final = "Change nothing. Lay a copy of the journal aside, and compare it with a backup of that day."
_ADVICE: Final = {
    "line-changed": _KEEP,
    "line-missing": _KEEP,
    "line-inserted": _KEEP,
    "order-changed": _KEEP,
    "segment-cut": "Bring this segment back from the second store or a backup; its bytes must be those of that day.",
    "segment-foreign": _KEEP,
    "segment-link": _KEEP,
    "segment-missing": "Bring the segments back from the second store or a backup: they stand under these very names.",
    "segment-forked": "Two nodes may bear one id: stop the second. Keep both segments, they are evidence.",
    "head-missing": "Start the node: it signs the end of its journal again. Ask who could delete in the site's store.",
    "head-changed": "Lay this head aside, elsewhere: its node signs the end of its journal again. Ask who could write.",
    "head-foreign": "Keep a copy of this head, and look with `lastgate keys` which keys the node has had.",
    "head-outdated": "Start the node: it signs the end of its journal again. Ask whether a backup was restored.",
    "tail-changed": _KEEP,
    "contradicted": "What was written is gone. Look for a restored backup, or a copy of the journal from then.",
    "clock-back": "Nothing is broken: no clock orders the journal. Look at the time service of that machine.",
    "outbox-new": "Nothing is broken. Events that waited in the outbox which was lost stand in no journal.",
    "head-behind": "Nothing is broken: the node signs the last segment with its next one, or when it is started.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a journal, or, as a note, that is worth knowing.

    Parameters
    ----------
    kind
        A short stable name.
    node
        Whose journal.
    segment, line
        Key of the segment and number of the line in it, from 1; empty and None where none is meant.
    """

    kind: str
    node: str
    message: str
    segment: str = ""
    line: int | None = None

    @property
    def advice(self) -> str:
        """What to do."""
        return _ADVICE[self.kind]

    def as_json(self) -> dict[str, object]:
        """Return it as it is printed for programs."""
        return {
            "kind": self.kind,
            "node": self.node,
            "segment": self.segment,
            "line": self.line,
            "message": self.message,
            "advice": self.advice,
        }
