"""What happened from a day on is read from the newest segments; older ones are left alone."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from archive.journal.journal import Event, Journal
from storage.filesystem import FilesystemStore
from tests.archive.stores import overwrite, signing_key

START = datetime(2026, 11, 1, 12, tzinfo=UTC)


class _Clock:
    now = START

    def __call__(self) -> datetime:
        return self.now


def test_events_since_a_day_then_those_of_that_day_on_are_told_and_older_segments_are_not_read(tmp_path: Path) -> None:
    store, clock = FilesystemStore(tmp_path / "store"), _Clock()
    key = signing_key(tmp_path)
    for node in ("n1", "n2"):
        clock.now = START
        outbox = tmp_path / f"{node}.db"
        journal = Journal(locked=store, site=store, node=node, outbox=outbox, key=key, clock=clock)
        for number in range(6):
            journal.append(Event(act="view", account=node, subject={"n": number}))
            clock.now += timedelta(days=1)
            if number % 2:
                journal.flush()
        journal.close()
    oldest = next(stat.key for stat in store.list("journal/n1/"))
    overwrite(store, oldest, b"not read\n")

    found = [(one["node"], one["subject"]["n"]) for one in journal.events_since(date(2026, 11, 4))]

    assert found == [(node, number) for node in ("n1", "n2") for number in (3, 4, 5)]
