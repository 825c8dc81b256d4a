"""A site of several nodes that keep journals, and people who tamper with them."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from archive.journal.chain import written
from archive.journal.journal import Event, Journal
from archive.signing.signing import SigningKey
from storage.base import ObjectStore
from storage.filesystem import FilesystemStore
from tests.archive.stores import clock, overwrite, signing_key


class Site:
    """Two stores and as many nodes as are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.locked = FilesystemStore(folder / "locked")
        self.site = FilesystemStore(folder / "site")

    def journal(
        self,
        node: str = "n1",
        *,
        outbox: str = "",
        locked: ObjectStore | None = None,
        site: ObjectStore | None = None,
        key: SigningKey | None = None,
        until: datetime | None = None,
        now: Callable[[], datetime] = clock,
    ) -> Journal:
        return Journal(
            locked=locked or self.locked,
            site=site or self.site,
            node=node,
            outbox=self.folder / f"{outbox or node}.db",
            key=key or signing_key(self.folder, node),
            clock=now,
            retain=lambda: until,
        )

    def segments(self, node: str = "n1") -> list[str]:
        return [stat.key for stat in self.locked.list(f"journal/{node}/")]

    def lines(self, key: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.locked.read_bytes(key).splitlines()]

    def write(self, key: str, lines: list[dict[str, Any]]) -> None:
        overwrite(self.locked, key, b"".join(written(line) + b"\n" for line in lines))


def fill(journal: Journal, segments: int = 3, events: int = 4) -> None:
    for segment in range(segments):
        for event in range(events):
            journal.append(Event(act="view", account="ada", subject={"segment": segment, "event": event, "名": "样"}))
        journal.flush()
