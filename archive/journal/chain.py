"""The hash chain of a journal: pure functions over the bytes of its segments."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from archive.errors import ChainBroken, FormatTooNew
from archive.signing.signing import canonical

START: Final = "0" * 64
"""What the first segment of a chain follows."""

SEGMENT_FORMAT: Final = "lastgate/journal/1"


@dataclass(slots=True, kw_only=True)
class Chain:
    """A node's chain as far as it was followed.

    Parameters
    ----------
    sequence, end
        Number and hash of the last segment.
    ends
        Hash at the end of each segment, by its number.
    seen
        Nodes and hashes that this one saw of the others when it opened its segments.
    """

    sequence: int = 0
    end: str = START
    events: int = 0
    ends: dict[int, str] = field(default_factory=dict)
    seen: set[tuple[str, str]] = field(default_factory=set)

    def follow(self, key: str, body: bytes) -> None:
        """Go on by one segment.

        Raises
        ------
        ChainBroken
            It does not follow, or is not what was written.
        FormatTooNew
            A newer Lastgate wrote it.
        """
        lines = body.splitlines()
        header = parsed(key, lines[0] if lines else b"")
        told = str(header.get("format"))
        if told.startswith("lastgate/journal/") and told != SEGMENT_FORMAT:
            raise FormatTooNew(f"{key} was written in the format {told}")
        if header.get("previous") != self.end or header.get("sequence") != self.sequence + 1:
            raise ChainBroken(f"{key} does not follow the segment before it")
        for number, line in enumerate(lines, 1):
            entry = parsed(key, line)
            stated = entry.pop("hash", "")
            self.end = link(self.end, entry)
            if stated != self.end:
                raise ChainBroken(f"{key}, line {number}, is not what was written")
            self.events += "act" in entry
        self.sequence += 1
        self.ends[self.sequence] = self.end
        self.seen.update(header.get("heads", {}).items())


def link(previous: str, entry: Mapping[str, object]) -> str:
    """Return the hash of an entry: SHA-256 over the hash before it and its canonical JSON."""
    return hashlib.sha256(previous.encode() + canonical(entry)).hexdigest()


def parsed(key: str, line: bytes) -> dict[str, Any]:
    """Return one line as it was written; raises `ChainBroken` if it is no JSON object."""
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise ChainBroken(f"{key} holds a line that can't be read") from error
    if not isinstance(entry, dict):
        raise ChainBroken(f"{key} holds a line that is no entry")
    return entry
