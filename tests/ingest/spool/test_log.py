"""What comes in a burst lies in the log: as safe as a file, a file for who files it, never written over too soon."""

import hashlib
import os
import random
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from archive.facts.receipts import Source
from ingest.errors import SpoolFailed
from ingest.spool import laying_out
from ingest.spool.log import PAGE_BYTES, Extent, SpoolLog, joined
from ingest.spool.spool import Spool, SpoolLimits
from tests.ingest.conftest import House
from tests.ingest.datasets import dataset, element, part10
from tests.ingest.spool.test_spool import left_over, receive

MB = 1024 * 1024


def body(number: int, size_bytes: int = 100_000) -> bytes:
    """Return a file of an instance of its own."""
    pixels = random.Random(number).randbytes(size_bytes // 2 * 2)
    return part10(dataset(instance=f"1.2.3.{number}") + element(0x7FE0_0010, b"OW", pixels))


def with_segments(house: House, *sizes: int) -> Spool:
    """Give the spool of a house a log whose segments stand, as after some days."""
    house.spool.close()
    folder = house.spool.folder.path / "log"
    folder.mkdir(exist_ok=True)
    for number, size_bytes in enumerate(sizes):
        (folder / f"{number:04}").write_bytes(bytes(size_bytes))
    house.spool = Spool(folder.parent, clock=house.clock, limits=SpoolLimits(free_bytes=0))
    return house.spool


def logged(spool: Spool) -> list[str]:
    """Return the names of what the journal says to lie in the log."""
    connection = sqlite3.connect(spool.folder.path / "journal.db")
    try:
        return [row[0] for row in connection.execute("SELECT name FROM logged")]
    finally:
        connection.close()


@pytest.fixture
def spool(house: House) -> Spool:
    return with_segments(house, 3 * 128 * 1024)


def test_receive_when_the_log_has_room_then_no_file_is_made_and_pending_lays_it_out(spool: Spool) -> None:
    held = receive(spool, body(1))

    assert logged(spool) == [held.path.name]
    assert left_over(spool) == []
    assert spool.pending() == [held]
    assert held.path.read_bytes() == body(1)
    assert logged(spool) == []
    assert list(spool.folder.incoming.iterdir()) == []


def test_waiting_when_asked_then_nothing_is_laid_out(spool: Spool) -> None:
    held = receive(spool, body(1))

    assert spool.folder.journal.waiting() == [held]
    assert left_over(spool) == []


def test_receive_when_the_log_is_full_then_a_file_is_made_until_what_lies_there_is_laid_out(spool: Spool) -> None:
    first = [receive(spool, body(number)) for number in range(3)]
    fourth = receive(spool, body(3))
    assert len(logged(spool)) == 3
    assert left_over(spool) == [fourth.path]

    spool.pending()
    spool.log._look_again_at = 0.0
    fifth = receive(spool, body(4))

    assert logged(spool) == [fifth.path.name]
    assert [held.path.read_bytes() for held in [*first, fourth]] == [body(number) for number in range(4)]
    spool.pending()
    assert fifth.path.read_bytes() == body(4)


@pytest.mark.parametrize("sizes", [(256 * 1024,), (256 * 1024, 256 * 1024)])
def test_receive_when_it_is_longer_than_what_is_left_then_its_bytes_are_whole(house: House, sizes: tuple[int]) -> None:
    spool = with_segments(house, *sizes)
    held = [receive(spool, body(number, 180_000)) for number in range(3)]

    spool.pending()

    assert [one.path.read_bytes() for one in held] == [body(number, 180_000) for number in range(3)]
    assert logged(spool) == []


def test_receive_when_it_is_very_long_then_it_leaves_the_log_for_a_file(house: House) -> None:
    spool = with_segments(house, 32 * MB)
    pieces = body(1, 9 * MB)
    with spool.begin() as incoming:
        for start in range(0, len(pieces), 50_000):
            incoming.write(pieces[start : start + 50_000])
        held = incoming.keep(lambda _, draft: draft, source=receive(spool).arrival.source, batch="b")

    assert held.path.read_bytes() == pieces
    assert logged(spool) == []
    assert not any(spool.log._going.values())


def test_receive_when_many_threads_come_at_once_then_each_gets_its_own_bytes_back(house: House) -> None:
    spool = with_segments(house, *[2 * MB] * 3)
    held = {}

    def use(begins: int) -> None:
        for number in range(begins, begins + 6):
            held[number] = receive(spool, body(number, 60_000 + 9_000 * (number % 7)))
            if number % 3 == 0:
                spool.pending()

    threads = [threading.Thread(target=use, args=(10 * worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(spool.pending()) == 36
    wrong = [n for n, one in held.items() if one.path.read_bytes() != body(n, 60_000 + 9_000 * (n % 7))]
    assert wrong == []
    assert not any(spool.log._going.values())


@pytest.mark.parametrize("small_bytes", [0, PAGE_BYTES, 10_000, 64 * 1024])
@pytest.mark.parametrize("room", [0, 128 * 1024, MB])
def test_receive_when_pieces_are_of_any_length_then_its_bytes_and_digest_are_right(
    tmp_path: Path, house: House, small_bytes: int, room: int
) -> None:
    folder = tmp_path / "any"
    (folder / "log").mkdir(parents=True)
    (folder / "log" / "0000").write_bytes(bytes(room))
    limits = SpoolLimits(free_bytes=0, small_bytes=small_bytes)
    spool, chance, content = Spool(folder, clock=house.clock, limits=limits), random.Random(3), body(1, 290_000)
    for most in (1, 700, 5_000, 20_000, 140_000):
        with spool.begin() as incoming:
            at = 0
            while at < len(content):
                buffer = bytearray(content[at : (at := at + chance.randint(1 + most // 2, most + 1))])
                incoming.write(memoryview(buffer))
                buffer[:] = bytes(len(buffer))  # the receiver's buffer is written over
            held = incoming.keep(lambda _, draft: draft, source=Source(kind="dicom"), batch="b")
        spool.pending()
        assert held.path.read_bytes() == content
        assert held.arrival.file_sha256 == hashlib.sha256(content).hexdigest()
        assert held.arrival.size_bytes == len(content)
    spool.close()


def test_receive_when_the_sender_vanishes_then_its_room_is_given_back(spool: Spool) -> None:
    for number in range(5):
        with spool.begin() as incoming:
            incoming.write(body(number))

    assert not any(spool.log._going.values())
    assert left_over(spool) == []
    assert spool.pending() == []
    receive(spool, body(9))
    assert len(logged(spool)) == 1


def test_spool_when_opened_after_a_crash_then_what_lies_in_the_log_is_found_and_not_written_over(house: House) -> None:
    spool = with_segments(house, 256 * 1024, 256 * 1024)
    first = receive(spool, body(1))
    spool.close()

    house.spool = again = Spool(spool.folder.path, clock=house.clock, limits=SpoolLimits(free_bytes=0))
    assert (again.recovered.removed, again.recovered.adopted) == (0, 0)
    more = [receive(again, body(number)) for number in range(2, 9)]
    again.pending()

    assert first.path.read_bytes() == body(1)
    assert [held.path.read_bytes() for held in more] == [body(number) for number in range(2, 9)]


def test_pending_when_another_process_was_quicker_then_its_file_stays(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = receive(spool, body(1))

    def late(_folder: Path, _extents: object) -> bytes:
        monkeypatch.undo()
        spool.pending()
        return b"written over meanwhile"

    monkeypatch.setattr(laying_out, "stretches_of", late)

    assert spool.pending() == [held]
    assert held.path.read_bytes() == body(1)


def test_pending_when_the_log_is_struck_while_it_is_read_then_what_was_read_is_not_believed(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = receive(spool, body(1))

    def struck(_folder: Path, _extents: object) -> bytes:
        connection = sqlite3.connect(spool.folder.path / "journal.db")
        connection.execute("DELETE FROM logged")
        connection.commit()
        connection.close()
        return b"written over meanwhile"

    monkeypatch.setattr(laying_out, "stretches_of", struck)
    spool.pending()

    assert not held.path.exists()


def test_pending_when_the_files_are_not_durable_yet_then_the_log_still_has_them(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = receive(spool, body(1))

    def fail(_folder: Path) -> None:
        raise OSError(5, "I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(laying_out, "sync_folder", fail)
        with pytest.raises(OSError, match="I/O error"):
            spool.pending()
    assert logged(spool) == [held.path.name]

    spool.pending()
    assert logged(spool) == []
    assert held.path.read_bytes() == body(1)


def test_receive_when_the_log_could_not_be_synced_then_nothing_is_taken_any_more(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(5, "I/O error")

    with monkeypatch.context() as patched:
        patched.setattr("storage.durable.os.fdatasync", fail)
        with pytest.raises(SpoolFailed, match="disk failed"):
            receive(spool, body(1))

    assert spool.pending() == []
    with pytest.raises(SpoolFailed, match="disk failed"):
        receive(spool, body(2))


def test_receive_when_nothing_was_synced_then_there_is_no_row(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    sync = spool.log.sync

    def watched(extents: Iterable[Extent]) -> None:
        sync(extents)
        order.append("sync")

    monkeypatch.setattr(spool.log, "sync", watched)
    spool._committer._connection.set_trace_callback(lambda statement: order.append(statement.split()[0]))

    receive(spool, body(1))

    assert order.index("sync") < order.index("COMMIT")


def test_drain_when_things_lie_in_the_log_then_they_are_filed_and_forgotten(house: House) -> None:
    spool = with_segments(house, MB)
    for number in range(5):
        receive(spool, body(number))

    assert house.filer.drain() == {"stored": 5}

    assert sorted(house.objects("intake/dicom").values()) == sorted(body(number) for number in range(5))
    assert logged(spool) == []
    house.now += timedelta(hours=1)
    assert house.filer.release() == 5
    assert left_over(spool) == []


def test_drain_when_the_segments_are_gone_then_the_loss_is_told(house: House) -> None:
    spool = with_segments(house, MB)
    receive(spool, body(1))
    (spool.folder.path / "log" / "0000").unlink()

    assert house.filer.drain() == {"lost": 1}
    assert house.events[-1].outcome == "lost"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SpoolLog]:
    busy: set[int] = set()
    made = SpoolLog(
        tmp_path / "log", busy=lambda: busy, most_bytes=3 * MB, segment_bytes=MB, grows_after=2, free_bytes=0
    )
    yield made
    made.close()


def grown(log: SpoolLog) -> None:
    """Wait until it has done growing."""
    if log._growing is not None:
        log._growing.join(10)


def test_log_when_nothing_had_no_room_often_then_it_does_not_exist(log: SpoolLog, tmp_path: Path) -> None:
    assert log.write(b"one") is None
    grown(log)
    assert not (tmp_path / "log").exists()


def test_log_when_much_had_no_room_then_it_grows_to_its_length_and_no_further(log: SpoolLog, tmp_path: Path) -> None:
    written = []
    for number in range(40):
        written.append(log.write(bytes([number]) * 200_000))
        grown(log)

    taken = [extent for extent in written if extent is not None]
    assert [path.stat().st_size for path in sorted((tmp_path / "log").iterdir())] == [MB] * 3
    assert len(taken) == 15
    assert len({(one.segment, one.start) for one in taken}) == 15
    assert (
        log.opened(taken[-2:]).read()
        == bytes([written.index(taken[-2])]) * 200_000 + bytes([written.index(taken[-1])]) * 200_000
    )


def test_log_when_the_disk_has_no_room_then_it_does_not_grow(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path / "log", busy=set, most_bytes=8 * MB, segment_bytes=MB, grows_after=1, free_bytes=1 << 60)
    assert log.write(b"one") is None
    grown(log)
    assert log.write(b"one") is None
    assert list((tmp_path / "log").iterdir()) == []
    log.close()


def test_log_when_the_disk_fails_while_it_grows_then_no_part_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int, *_parts: object) -> None:
        raise OSError(28, "No space left on device")

    log = SpoolLog(tmp_path / "log", busy=set, most_bytes=8 * MB, segment_bytes=MB, grows_after=1)
    with monkeypatch.context() as patched:
        patched.setattr("ingest.spool.log.write_all", fail)
        assert log.write(b"one") is None
        grown(log)
    assert list((tmp_path / "log").iterdir()) == []
    log.close()


def test_opened_when_read_in_any_way_then_it_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    for number in range(2):
        (tmp_path / "log" / f"{number:04}").write_bytes(bytes(4 * PAGE_BYTES))
    log = SpoolLog(tmp_path / "log", busy=set, most_bytes=0)
    content = random.Random(7).randbytes(6 * PAGE_BYTES + 77)
    pieces = [content[at : at + 2 * PAGE_BYTES] for at in range(0, len(content), 2 * PAGE_BYTES)]
    extents = [log.write(piece) for piece in pieces]
    stream = log.opened(joined(extent for extent in extents if extent))
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb", buffering=0) as file:
        chance = random.Random(11)
        for _ in range(300):
            at, count = chance.randrange(len(content) + 50), chance.randrange(3 * PAGE_BYTES)
            assert stream.seek(at) == file.seek(at)
            assert stream.read(count) == file.read(count)
        assert stream.seek(-10, os.SEEK_END) == file.seek(-10, os.SEEK_END)
        assert stream.read() == file.read()
    log.close()


def test_joined_when_extents_follow_each_other_then_they_are_one() -> None:
    assert joined([Extent(0, 0, 4096), Extent(0, 4096, 10), Extent(1, 8192, 5)]) == (
        Extent(0, 0, 4106),
        Extent(1, 8192, 5),
    )
