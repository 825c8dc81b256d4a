"""The hash chain of a journal: what a line is, and how it hangs on the one before."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from archive.errors import ChainBroken
from archive.signing.signing import canonical

START: Final = "0" * 64
"""What the first segment of a chain follows."""

SEGMENT_FORMAT: Final = "lastgate/journal/1"
HEAD_FORMAT: Final = "lastgate/journal-head/1"


def link(previous: str, entry: Mapping[str, object]) -> str:
    """Return the hash of an entry: SHA-256 over the hash before it and its canonical JSON."""
    return hashlib.sha256(previous.encode() + canonical(entry)).hexdigest()


def written(line: Mapping[str, object]) -> bytes:
    """Return a line, its hash with it, as it stands in a segment: JSON in UTF-8 without spaces."""
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode()


def parsed(key: str, line: bytes) -> dict[str, Any]:
    """Return one line as it was written; raises `ChainBroken` if it is no JSON object."""
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise ChainBroken(f"{key} holds a line that can't be read") from error
    if not isinstance(entry, dict):
        raise ChainBroken(f"{key} holds a line that is no entry")
    return entry


def head_key(node: str) -> str:
    """Return where the signed head of a node's journal stands."""
    return f"site/journal/{node}.json"
