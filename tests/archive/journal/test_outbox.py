"""The outbox keeps events until they are chained: from many threads, through lost files and failed writes."""

import sqlite3
import threading
from pathlib import Path

import pytest

from archive.journal.outbox import Outbox


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "node" / "outbox.db")


def bodies(outbox: Outbox) -> list[str]:
    with outbox.opened() as connection:
        return [row[0] for row in connection.execute("SELECT body FROM events ORDER BY id")]


def wal(tmp_path: Path) -> Path:
    return tmp_path / "node" / "outbox.db-wal"


def test_append_when_it_returns_then_others_see_it(outbox: Outbox, tmp_path: Path) -> None:
    outbox.append(["one", "two"])
    outbox.append(["three"])

    assert bodies(Outbox(tmp_path / "node" / "outbox.db")) == ["one", "two", "three"]


def test_append_when_it_was_done_before_then_the_wal_is_not_made_anew(outbox: Outbox, tmp_path: Path) -> None:
    outbox.append(["one"])
    made = wal(tmp_path).stat().st_ino
    with outbox.opened():
        pass
    outbox.append(["two"])

    assert wal(tmp_path).stat().st_ino == made
    outbox.close()
    assert not wal(tmp_path).exists()
    outbox.append(["three"])
    assert bodies(outbox) == ["one", "two", "three"]


def test_append_when_threads_come_at_once_then_each_event_is_there(outbox: Outbox) -> None:
    def use(thread: int) -> None:
        for number in range(20):
            outbox.append([f"{thread}.{number}"])

    threads = [threading.Thread(target=use, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(bodies(outbox)) == sorted(f"{thread}.{number}" for thread in range(5) for number in range(20))


def test_append_when_the_file_was_lost_then_a_new_one_is_begun(
    outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_inode(path: Path) -> int | None:
        return 7 if path.exists() else None  # file systems give the number of a lost file to the next

    monkeypatch.setattr("archive.journal.outbox._inode", one_inode)
    outbox.append(["one"])
    for path in (tmp_path / "node").glob("outbox.db*"):
        path.unlink()
    outbox.append(["two"])

    assert bodies(outbox) == ["two"]


def test_append_when_one_can_not_be_written_then_none_is_and_the_next_are(outbox: Outbox) -> None:
    outbox.append(["one"])
    with pytest.raises(sqlite3.IntegrityError):
        outbox.append(["two", None])  # type: ignore[list-item]
    outbox.append(["three"])

    assert bodies(outbox) == ["one", "three"]
