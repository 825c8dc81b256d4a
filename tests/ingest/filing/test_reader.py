"""Reading values in a process that may die of it: the next data set is read all the same."""

import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from ingest.dataset.limits import Limits
from ingest.errors import ReaderDied
from ingest.filing import reader as reader_module
from ingest.filing.instance import ReadInstance
from ingest.filing.quarantine import Quarantine
from ingest.filing.reader import Answer, DirectReader, IsolatedReader, ReaderLimits
from ingest.folders.import_folder import import_paths
from ingest.spool.arrival import Held
from tests.ingest.conftest import House
from tests.ingest.datasets import write_file

_BAD = """
import os, signal, time
from ingest.filing import reader_child
real = reader_child.read_instance
def read_instance(path, arrival, **options):
    what = arrival.names.sop_instance_uid.rsplit(".", 1)[-1]
    if what == "666":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "667":
        time.sleep(60)
    if what == "669":
        grown = []
        while True:
            grown.append(bytearray(1 << 20))
    if what == "670":
        raise KeyboardInterrupt
    return real(path, arrival, **options)
reader_child.read_instance = read_instance
"""


@pytest.fixture
def reader() -> Iterator[IsolatedReader]:
    """Read in a child which dies of some instances, by the last number of their UID."""
    boot = reader_module._BOOT.replace("serve(int", f"exec({_BAD!r}); serve(int")
    with mock.patch.object(reader_module, "_BOOT", boot):
        isolated = IsolatedReader(Limits(), cost=ReaderLimits(memory_bytes=256 * 1024**2, deadline_s=2.0))
        yield isolated
        isolated.close()


def _uids(answers: Iterable[Answer]) -> list[str]:
    """Return the instances that were read, in order."""
    return [one.header.sop_instance_uid for one in answers if isinstance(one, ReadInstance)]


def _taken(house: House, tmp_path: Path, *uids: str) -> list[Held]:
    for number, uid in enumerate(uids):
        write_file(tmp_path / "in" / f"{number:03}.dcm", instance=uid)
    import_paths([tmp_path / "in"], house.spool)
    return house.spool.pending()


def test_read_when_there_are_many_then_the_headers_are_those_read_here(house: House, tmp_path: Path) -> None:
    held = _taken(house, tmp_path, *(f"1.2.{number}" for number in range(50)))
    isolated = IsolatedReader(Limits())
    apart = list(isolated.read(held))
    isolated.close()
    assert apart == list(DirectReader(Limits()).read(held))
    assert _uids(apart) == [f"1.2.{number}" for number in range(50)]


@pytest.mark.parametrize(
    "bad", ["666", "667", "669", "670"], ids=["crashes", "hangs", "takes all memory", "is stopped"]
)
def test_read_when_the_child_dies_of_one_then_it_alone_is_given_up(
    house: House, tmp_path: Path, reader: IsolatedReader, bad: str
) -> None:
    before, after = [f"1.2.{n}" for n in range(3)], [f"1.3.{n}" for n in range(20)]
    held = _taken(house, tmp_path, *before, f"1.2.{bad}", *after)
    became = list(reader.read(held))
    assert _uids(became) == before + after
    assert isinstance(became[3], ReaderDied)


def test_read_when_nobody_takes_the_answers_then_the_next_reading_gets_its_own(house: House, tmp_path: Path) -> None:
    held = _taken(house, tmp_path, *(f"1.2.{number}" for number in range(30)))
    isolated = IsolatedReader(Limits())
    begun = isolated.read(held)
    next(begun)
    begun.close()
    assert _uids(isolated.read(held[-1:])) == ["1.2.29"]
    isolated.close()


def test_read_when_the_child_was_killed_from_outside_then_nothing_is_given_up(house: House, tmp_path: Path) -> None:
    held = _taken(house, tmp_path, "1.2.1", "1.2.2")
    isolated = IsolatedReader(Limits())
    list(isolated.read(held))
    assert isolated._child is not None
    os.kill(isolated._child._process.pid, signal.SIGKILL)
    assert _uids(isolated.read(held)) == ["1.2.1", "1.2.2"]
    isolated.close()


def test_filer_when_the_reader_dies_of_one_then_it_is_in_quarantine_and_the_others_are_filed(
    house: House, tmp_path: Path, reader: IsolatedReader
) -> None:
    _taken(house, tmp_path, "1.2.1", "1.2.666", "1.2.3")
    house.reader = reader
    assert house.new_filer().drain() == {"stored": 2, "quarantined": 1}
    (note,) = Quarantine(house.store).list()
    assert (note.reason, note.names.sop_instance_uid) == (ReaderDied.code, "1.2.666")
