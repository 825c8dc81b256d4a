"""Until when an object must stay: the records a filesystem store keeps beside its objects.

A filesystem enforces nothing by itself: files are read-only, and this program
refuses to delete or replace what a record still holds. A record also keeps
the digest of what was locked, so that a repair can only bring back the same bytes.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from storage.base import check_key
from storage.durable import replace_file, sync_folder
from storage.errors import StoreUnavailable

FORMAT = "lastgate/retention/1"


def utc_now() -> datetime:
    """Return the time now, aware UTC."""
    return datetime.now(UTC)


def whole_seconds(until: datetime) -> datetime:
    """Return `until` in UTC, rounded up to the second (S3 keeps no fractions, and a lock is never shortened).

    Raises
    ------
    ValueError
        `until` has no time zone.
    """
    if until.tzinfo is None:
        raise ValueError("the end of a retention needs a time zone")
    until = until.astimezone(UTC)
    return until.replace(microsecond=0) + timedelta(seconds=1 if until.microsecond else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One lock: its end (aware UTC), and SHA-256 (hex) and length of the bytes it was made for."""

    until: datetime
    sha256: str
    size_bytes: int


class RetentionRecords:
    """The records below `folder`, one JSON file per key; `temporary` is a folder on the same filesystem."""

    def __init__(self, folder: Path, *, temporary: Path) -> None:
        self._folder = folder
        self._temporary = temporary

    def of(self, key: str) -> Record | None:
        """Return the record of a key, None if it was never locked.

        Raises
        ------
        StoreUnavailable
            The record is there but damaged: its object counts as locked.
        """
        try:
            text = self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        try:
            found = json.loads(text)
            if found["format"] != FORMAT:
                raise ValueError(f"its format is {found['format']!r}")
            until = datetime.fromisoformat(found["until"])
            return Record(until=whole_seconds(until), sha256=str(found["sha256"]), size_bytes=int(found["size_bytes"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreUnavailable(
                f"The retention record of {key} is damaged; {key} counts as locked: {error}"
            ) from error

    def keep(self, key: str, record: Record) -> None:
        """Write the record of a key, durable on return."""
        text = json.dumps(
            {
                "format": FORMAT,
                "key": key,
                "until": record.until.isoformat(),
                "sha256": record.sha256,
                "size_bytes": record.size_bytes,
            },
            indent=1,
        )
        replace_file(self._path(key), text.encode() + b"\n", temporary=self._temporary)

    def forget(self, key: str) -> None:
        """Drop the record of an object that is gone."""
        path = self._path(key)
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        sync_folder(path.parent)

    def _path(self, key: str) -> Path:
        return self._folder / check_key(key)
