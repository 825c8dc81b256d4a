"""Receiving, filing and importing in one process, at once and one after the other."""

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import pytest
import structlog

from archive.facts.receipts import Receipt
from archive.headers import Identifier
from ingest.filing.filer import Filer
from ingest.retrieve.sender import Peer, send
from ingest.spool.spool import SpoolFolder
from lastgate.reception import filer_of, keep_chained, receiving, take_in
from lastgate.sample import Department
from lastgate.settings import NodeSettings, Settings, SettingsError
from lastgate.wiring import House, open_house
from storage.errors import StoreUnavailable
from tests.acceptance.houses import found, local
from tests.ingest.datasets import write_file


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """An empty archive on local disk."""
    with local(tmp_path / "home") as opened:
        yield opened


@contextmanager
def _serving(house: House) -> Iterator[int]:
    """Receive and file beside it, and yield the port."""
    with receiving(house) as reception, reception.filing(threading.Event()):
        yield reception.port


def _receipts(house: House) -> list[Receipt]:
    return [receipt for key in house.facts.patients() for receipt in house.facts.read(key).receipts]


def _peer(port: int) -> Peer:
    return Peer(aet="LASTGATE", host="127.0.0.1", port=port)


def test_receiving_when_objects_are_sent_and_imported_at_once_then_each_is_filed_exactly_once(
    house: House, tmp_path: Path, sample_department: Department
) -> None:
    """The node and imports share spool, facts and index."""
    sent, imported = (sample_department.patient(f"SAMPLE-000{number}") for number in (3, 5))
    with _serving(house) as port:
        sender = threading.Thread(target=send, args=(sent.paths, _peer(port)), kwargs={"calling": "TPS"})
        sender.start()
        with local(tmp_path / "home") as other:
            report = take_in(other, [imported.folder])
            answers = found(other)
        sender.join()
    assert report.counts == {"stored": len(imported.paths)}
    assert [one["instances"] for one in answers if one["patient"]["ids"][0]["value"] == "SAMPLE-0005"] == [38]
    take_in(house, [])  # what serving left in the spool
    filer_of(house).drain()
    assert Counter(receipt.header.sop_instance_uid for receipt in _receipts(house)).most_common(1)[0][1] == 1
    assert len(_receipts(house)) == len(sent.paths) + len(imported.paths)
    assert {one["instances"] for one in found(house)} == {40, 38}


def test_receiving_when_it_ends_then_the_port_is_free_and_the_spool_has_no_owner(house: House) -> None:
    with _serving(house) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
        folders = [SpoolFolder(path) for path in (house.home / "spool").iterdir() if path.is_dir()]
        assert [folder.lock() for folder in folders] == [None]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    with folders[0].owned() as is_free:
        assert is_free
    assert not [thread for thread in threading.enumerate() if thread.name in ("filer", "dicom-node")]


def test_receiving_when_the_port_is_taken_then_says_which_setting_to_change(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            open_house(Settings(home=tmp_path / "home", node=NodeSettings(port=port))) as house,
            pytest.raises(SettingsError, match=f"can't listen on 127.0.0.1:{port}: Address already in use.*node.port"),
            receiving(house),
        ):
            pytest.fail("it must not say that it listens")
    assert not [thread for thread in threading.enumerate() if thread.name in ("filer", "dicom-node")]


def test_receiving_when_the_host_is_nobodys_then_says_so(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", node=NodeSettings(port=0, host="nosuch.invalid"))
    with (
        open_house(settings) as house,
        pytest.raises(SettingsError, match=r"can't listen on nosuch\.invalid"),
        receiving(house),
    ):
        pytest.fail("it must not say that it listens")


def test_filing_when_the_filer_fails_then_receiving_goes_on_and_it_is_filed_later(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("lastgate.reception._MEND_S", 0.05)
    failed = threading.Event()
    run = Filer.run

    def failing(filer: Filer, stop: threading.Event) -> None:
        if not failed.is_set():
            failed.set()
            raise MemoryError("no room")
        run(filer, stop)

    monkeypatch.setattr(Filer, "run", failing)
    path = write_file(tmp_path / "one.dcm")
    with structlog.testing.capture_logs() as logs, _serving(house) as port:
        assert failed.wait(timeout=10)
        assert [one.is_stored for one in send([path], _peer(port), calling="TPS")] == [True]
    filer_of(house).drain()
    assert len(_receipts(house)) == 1
    (said,) = [line for line in logs if line["event"] == "filer.failed"]
    assert (said["log_level"], said["error"]) == ("critical", "MemoryError: no room")


def test_keep_chained_when_the_store_is_away_then_it_goes_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, asked = threading.Event(), Queue[int]()

    def away() -> int:
        asked.put(1)
        raise StoreUnavailable("the store is away")

    monkeypatch.setattr("lastgate.reception._CHAINED_EVERY_S", 0.05)
    monkeypatch.setattr(house.journal, "flush", away)
    thread = threading.Thread(target=keep_chained, args=(house, stop))
    thread.start()
    for _ in range(3):
        asked.get(timeout=10)
    stop.set()
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_receiving_when_a_file_is_sent_then_it_is_filed_on_demand(house: House, tmp_path: Path) -> None:
    path = write_file(tmp_path / "one.dcm", patient="P7")
    with receiving(house, port=0) as reception:
        (sent,) = send([path], _peer(reception.port), calling="TPS")
        assert sent.status == 0
        assert reception.file() == Counter(stored=1)
        assert reception.file() == Counter()
    (receipt,) = _receipts(house)
    assert (receipt.source.kind, receipt.source.name, receipt.source.called) == ("dicom", "TPS", "LASTGATE")
    assert house.patient("P7").unattached[0].uid == "1.2.3.4"


def test_receiving_when_the_called_title_must_be_ours_then_another_is_refused(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", node=NodeSettings(port=0, aet="WARD7", require_called_aet=True))
    path = write_file(tmp_path / "one.dcm")
    with open_house(settings) as house, receiving(house) as reception:
        with pytest.raises(Exception, match="refuses the association"):
            send([path], _peer(reception.port), calling="TPS")
        ours = Peer(aet="WARD7", host="127.0.0.1", port=reception.port)
        assert send([path], ours, calling="TPS")[0].is_stored


def test_receiving_when_the_site_names_an_issuer_then_identifiers_without_one_get_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", node=NodeSettings(port=0, issuer="CLINIC"))
    with open_house(settings) as house, receiving(house) as reception:
        send([write_file(tmp_path / "one.dcm", patient="7")], _peer(reception.port), calling="TPS")
        reception.file()
        assert house.patient("CLINIC/7").person.identifiers == (Identifier(value="7", issuer="CLINIC"),)


def test_take_in_when_the_same_comes_again_then_it_is_receipted_and_stored_once(house: House, tmp_path: Path) -> None:
    path = write_file(tmp_path / "one.dcm")
    assert take_in(house, [path]).counts == {"stored": 1}
    assert take_in(house, [path]).counts == {"duplicate": 1}
    first, again = _receipts(house)
    assert first.key == again.key
    assert [stat.key for stat in house.stores.work.list("intake/")] == [first.key]


def test_take_in_when_lines_are_told_then_each_is_settled(house: House, tmp_path: Path) -> None:
    letter = tmp_path / "in" / "letter.pdf"
    write_file(tmp_path / "in" / "one.dcm")
    letter.write_bytes(b"%PDF-1.7 Dear colleague")
    told = []
    report = take_in(
        house, [tmp_path / "in"], patient=Identifier(value="P1", issuer=""), on_progress=lambda line: told.append(line)
    )
    assert tuple(told) == report.lines
    assert report.counts == {"stored": 2}
    assert "letter.pdf" in {receipt.header.document_title for receipt in _receipts(house)}


def test_filer_when_another_was_on_duty_in_between_then_it_knows_what_that_one_filed(
    house: House, tmp_path: Path
) -> None:
    """A serving node and an import take turns; the node must not take a conflict for something new."""
    first = write_file(tmp_path / "a.dcm", instance="1.2.3.1")
    came = write_file(tmp_path / "b.dcm", instance="1.2.3.2", description="from the import")
    clashes = write_file(tmp_path / "c.dcm", instance="1.2.3.2", description="from the network")
    with receiving(house, port=0) as reception:
        send([first], _peer(reception.port), calling="TPS")
        reception.file()  # it remembers this patient's instances now
        with local(tmp_path / "home") as other:
            assert take_in(other, [came]).counts == {"stored": 1}
        send([came], _peer(reception.port), calling="TPS")
        assert reception.file() == Counter(duplicate=1)
        with local(tmp_path / "home") as other:
            other_conflict = write_file(tmp_path / "d.dcm", instance="1.2.3.1", description="other content")
            assert take_in(other, [other_conflict]).counts == {"conflict": 1}
        send([clashes], _peer(reception.port), calling="TPS")
        assert reception.file() == Counter(conflict=1)
