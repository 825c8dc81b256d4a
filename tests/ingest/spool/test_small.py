"""What is small lies in the spool's journal: as safe as a file, and a file for whoever files it."""

import sqlite3
from datetime import timedelta

import pytest

from ingest.errors import SpoolFailed, SpoolFull
from ingest.spool.spool import Spool, SpoolLimits
from tests.ingest.conftest import House
from tests.ingest.spool.test_spool import BODY, left_over, receive


def contents(house: House) -> list[bytes]:
    """Return what lies in the journal."""
    with sqlite3.connect(house.spool.folder.path / "journal.db") as connection:
        found = [row[0] for row in connection.execute("SELECT content FROM small")]
    connection.close()
    return found


class Failing:
    """A connection whose commits fail as SQLite says they do."""

    in_transaction = True

    def __init__(self, code: int) -> None:
        self.code = code
        self.rolled_back = 0

    def execute(self, *_arguments: object) -> "Failing":
        return self

    def executemany(self, *_arguments: object) -> None:
        return None

    @property
    def lastrowid(self) -> int:
        return 1

    def commit(self) -> None:
        error = sqlite3.OperationalError("no")
        error.sqlite_errorcode = self.code
        raise error

    def rollback(self) -> None:
        self.rolled_back += 1


def test_receive_when_small_then_its_bytes_are_committed_and_no_file_is_made(house: House) -> None:
    receive(house.spool)

    assert contents(house) == [BODY]
    assert left_over(house.spool) == []


def test_receive_when_longer_than_small_then_it_has_a_file(house: House) -> None:
    long = BODY + bytes(SpoolLimits().small_bytes)
    held = receive(house.spool, long)

    assert held.path.read_bytes() == long
    assert contents(house) == []


def test_pending_when_small_then_it_is_laid_out_under_its_name(house: House) -> None:
    held = receive(house.spool)

    assert house.spool.pending() == [held]
    assert held.path.read_bytes() == BODY
    assert list(house.spool.folder.incoming.iterdir()) == []


def test_pending_when_the_file_laid_out_is_gone_then_it_is_laid_out_again(house: House) -> None:
    held = receive(house.spool)
    house.spool.pending()
    held.path.unlink()

    house.spool.pending()

    assert held.path.read_bytes() == BODY


def test_release_when_the_grace_time_is_over_then_the_journal_keeps_nothing_of_it(house: House) -> None:
    receive(house.spool)
    house.filer.drain()
    assert contents(house) == [BODY]
    house.now += timedelta(hours=1)

    assert house.filer.release() == 1

    assert contents(house) == []
    assert left_over(house.spool) == []


def test_spool_when_opened_after_a_crash_then_what_is_small_is_no_orphan(house: House) -> None:
    held = receive(house.spool)
    house.spool.pending()
    house.spool.close()

    again = Spool(house.spool.folder.path, clock=house.clock, limits=SpoolLimits(free_bytes=0))

    assert (again.recovered.removed, again.recovered.adopted) == (0, 0)
    assert again.pending() == [held]
    house.spool = again


@pytest.mark.parametrize("left", [b"", BODY[:-1] + b"?"])
def test_spool_when_a_power_cut_damaged_the_file_laid_out_then_it_is_laid_out_anew(house: House, left: bytes) -> None:
    held = receive(house.spool)
    house.filer.drain()
    held.path.write_bytes(left)
    house.spool.close()

    house.spool = Spool(house.spool.folder.path, clock=house.clock, limits=SpoolLimits(free_bytes=0))

    assert held.path.read_bytes() == BODY


def test_receive_when_the_journal_is_full_then_nothing_is_kept_and_the_next_is_taken(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(sqlite3.SQLITE_FULL)
    with monkeypatch.context() as patched:
        patched.setattr(house.spool._committer, "_connection", failing)
        with pytest.raises(SpoolFull):
            receive(house.spool)

    assert failing.rolled_back == 1
    assert house.spool.pending() == []
    receive(house.spool)


def test_receive_when_the_journal_could_not_be_synced_then_nothing_is_taken_any_more(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(house.spool._committer, "_connection", Failing(sqlite3.SQLITE_IOERR | 4 << 8))
        with pytest.raises(SpoolFailed, match="disk failed"):
            receive(house.spool)

    with pytest.raises(SpoolFailed, match="disk failed"):
        receive(house.spool)
