"""The spool keeps its word: what it returned for is safe, and what it refused left nothing behind."""

import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.facts.receipts import Source
from ingest.dataset.limits import Limits
from ingest.errors import SpoolFailed, SpoolFull, TooLarge
from ingest.judge import judge_file
from ingest.spool.arrival import Held
from ingest.spool.spool import Spool, SpoolLimits
from tests.ingest.conftest import AS_FILES, House
from tests.ingest.datasets import dataset, part10

BODY = part10(dataset())


def receive(spool: Spool, body: bytes = BODY) -> Held:
    judge = judge_file(limits=Limits(), patient=None, title="one.dcm")
    return spool.receive([body[:100], body[100:]], judge, source=Source(kind="file", name="one.dcm"), batch="b1")


def left_over(spool: Spool) -> list[Path]:
    return [*spool.folder.incoming.iterdir(), *spool.folder.held.iterdir()]


@AS_FILES
def test_receive_when_it_returns_then_file_and_row_are_there(house: House) -> None:
    held = receive(house.spool)

    assert held.path.read_bytes() == BODY
    assert held.arrival.file_sha256 == hashlib.sha256(BODY).hexdigest()
    assert held.arrival.kind == "dicom"
    assert house.spool.pending() == [held]


def test_receive_when_bytes_are_broken_then_they_are_kept_with_the_reason(house: House) -> None:
    held = receive(house.spool, BODY[:-5])

    assert held.arrival.kind == "refused"
    assert held.arrival.refusal is not None
    assert held.arrival.refusal.code == "LG-ING-102"
    assert held.arrival.names.sop_instance_uid == "1.2.3.4"
    assert house.spool.pending() == [held]


def test_receive_when_many_threads_come_at_once_then_each_has_its_row(house: House) -> None:
    held: list[Held] = []
    threads = [threading.Thread(target=lambda: held.append(receive(house.spool))) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(one.number for one in house.spool.pending()) == sorted(one.number for one in held)
    assert len({one.path for one in held}) == 24


@pytest.mark.parametrize(
    ("number", "expected"), [(errno.ENOSPC, SpoolFull), (errno.EDQUOT, SpoolFull), (errno.EROFS, SpoolFailed)]
)
@AS_FILES
def test_receive_when_a_write_fails_then_it_says_so_and_nothing_is_left(
    house: House, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[Exception]
) -> None:
    def fail(_descriptor: int, *_parts: bytes) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("ingest.spool.incoming.write_all", fail)
    with pytest.raises(expected) as caught:
        receive(house.spool)

    assert int(getattr(caught.value, "status")) == 0xA700  # noqa: B009 - typed as Exception
    assert left_over(house.spool) == []
    monkeypatch.undo()
    receive(house.spool)


@AS_FILES
def test_receive_when_fsync_failed_once_then_nothing_is_taken_any_more(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr("storage.durable.os.fsync", fail)
    with pytest.raises(SpoolFailed):
        receive(house.spool)
    monkeypatch.undo()

    with pytest.raises(SpoolFailed, match="fsync"):
        receive(house.spool)
    assert left_over(house.spool) == []


@AS_FILES
def test_receive_when_the_row_is_not_committed_then_the_file_goes_too(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_name: str, _arrival: object) -> int:
        raise SpoolFull("no room for the row")

    monkeypatch.setattr(house.spool._committer, "commit", fail)
    with pytest.raises(SpoolFull):
        receive(house.spool)

    assert left_over(house.spool) == []


def test_receive_when_the_sender_vanishes_then_nothing_is_left(house: House) -> None:
    def broken() -> Iterator[bytes]:
        yield BODY[:50]
        raise ConnectionResetError("gone")

    judge = judge_file(limits=Limits(), patient=None, title="x")
    with pytest.raises(SpoolFailed):
        house.spool.receive(broken(), judge, source=Source(kind="dicom"), batch="b")

    assert left_over(house.spool) == []
    assert house.spool.pending() == []


def test_receive_when_it_is_too_long_or_the_disk_too_full_then_resources_are_named(
    tmp_path: Path, house: House
) -> None:
    small = Spool(tmp_path / "small", clock=house.clock, limits=SpoolLimits(object_bytes=200, free_bytes=0))
    full = Spool(tmp_path / "full", clock=house.clock, limits=SpoolLimits(free_bytes=1 << 60))

    with pytest.raises(TooLarge):
        receive(small)
    with pytest.raises(SpoolFull):
        receive(full)

    assert left_over(small) == left_over(full) == []
    small.close()
    full.close()


def test_spool_when_opened_twice_then_the_second_is_refused(house: House) -> None:
    with pytest.raises(SpoolFailed, match="Another process"):
        Spool(house.spool.folder.path, clock=house.clock, wait_s=0)


def test_spool_when_opened_after_a_crash_then_leftovers_are_put_in_order(house: House) -> None:
    held = receive(house.spool)
    house.spool.close()
    (house.spool.folder.incoming / "half").write_bytes(BODY[:40])
    (house.spool.folder.held / "orphan").write_bytes(BODY)
    (house.spool.folder.held / "broken").write_bytes(BODY[:-1])

    house.spool = house.new_spool("w1")

    assert (house.spool.recovered.removed, house.spool.recovered.adopted) == (1, 2)
    arrivals = {one.path.name: one.arrival for one in house.spool.pending()}
    assert set(arrivals) == {held.path.name, "orphan", "broken"}
    assert arrivals["orphan"].kind == "dicom"
    assert arrivals["broken"].kind == "refused"
    assert left_over(house.spool) != []
    assert list(house.spool.folder.incoming.iterdir()) == []
