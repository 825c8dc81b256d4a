"""Many processes that begin one new outbox at once: each event is recorded, none is turned away."""

import multiprocessing
import sys
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from archive.journal.journal import Event, Journal
from archive.signing.signing import SigningKey
from storage.filesystem import FilesystemStore

PROCESSES = 6
ROUNDS = 15
_CONTEXT = multiprocessing.get_context("spawn")


def _journal(root: Path) -> Journal:
    store = FilesystemStore(root / "store")
    return Journal(
        locked=store,
        site=store,
        node="n1",
        outbox=root / "outbox.db",
        key=SigningKey.load_or_create(root / "key.pem"),
        clock=lambda: datetime(2026, 11, 23, tzinfo=UTC),
    )


def append_at_once(roots: list[str], number: int, barrier: Barrier) -> None:
    """Append one event to each journal, at the same moment as the other processes."""
    failed = 0
    for root in roots:
        journal = _journal(Path(root))
        barrier.wait(60)
        try:
            journal.append(Event(act="view", account=str(number)))
        except Exception as error:  # noqa: BLE001 - all kinds are counted, and shown
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            failed += 1
    sys.exit(failed)


@pytest.mark.server
def test_append_when_many_processes_begin_a_new_outbox_at_once_then_none_is_turned_away(tmp_path: Path) -> None:
    roots = [tmp_path / str(number) for number in range(ROUNDS)]
    for root in roots:
        _journal(root)  # the store and the key stand; the outbox does not
    barrier = _CONTEXT.Barrier(PROCESSES)
    processes = [
        _CONTEXT.Process(target=append_at_once, args=([str(root) for root in roots], number, barrier))
        for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(90)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    for root in roots:
        journal = _journal(root)
        assert journal.flush() == PROCESSES
        assert {event["account"] for event in journal.events()} == {str(number) for number in range(PROCESSES)}
