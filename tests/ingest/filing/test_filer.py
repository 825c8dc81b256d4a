"""The filer: nothing twice, nothing lost, nothing overwritten."""

import hashlib
import multiprocessing
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event as Signal
from pathlib import Path
from typing import Any, cast

import pytest

from archive.facts.receipts import PatientKey, patient_key
from archive.headers import Identifier
from ingest.dataset.limits import Limits
from ingest.errors import FilerBusy, NotFiledInTime, Undescribable
from ingest.filing.filer import Filer
from ingest.spool.spools import Spools
from storage.errors import Retained, StoreUnavailable
from storage.filesystem import FilesystemStore
from tests.ingest.conftest import AS_FILES, House
from tests.ingest.datasets import EXPLICIT, IMPLICIT, dataset, element, implicit, part10, uid, write_file


def test_drain_when_an_instance_came_then_bytes_receipt_and_index_agree(house: House, tmp_path: Path) -> None:
    path = write_file(tmp_path / "in" / "a.dcm", patient="P1")

    report = house.take(path)

    (receipt,) = house.receipts()
    assert report.counts == {"stored": 1}
    assert receipt.disposition == "stored"
    assert receipt.key == f"intake/dicom/{receipt.file_sha256[:2]}/{receipt.file_sha256}"
    assert house.objects("intake/") == {receipt.key: path.read_bytes()}
    assert receipt.header.sop_instance_uid == "1.2.3.4"
    assert house.told == [patient_key(Identifier(value="P1"), "1.2.3")]
    assert [event.act for event in house.events] == ["receive"]


def test_drain_when_nothing_waits_then_nothing_happens(house: House) -> None:
    assert house.filer.drain() == {}
    assert house.events == []


def test_drain_when_the_same_file_comes_again_then_one_object_and_two_receipts(house: House, tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.dcm")

    first, again = house.take(path), house.take(path)

    assert (first.counts, again.counts) == ({"stored": 1}, {"duplicate": 1})
    assert len(house.objects("intake/")) == 1
    assert [receipt.disposition for receipt in house.receipts()] == ["stored", "stored"]


def test_drain_when_both_copies_come_in_one_go_then_the_second_is_the_duplicate(house: House, tmp_path: Path) -> None:
    report = house.take(write_file(tmp_path / "a.dcm"), write_file(tmp_path / "b.dcm"))

    assert [line.disposition for line in report.lines] == ["stored", "duplicate"]


def test_drain_when_the_same_content_comes_in_another_encoding_then_it_is_a_variant(
    house: House, tmp_path: Path
) -> None:
    tags = {0x0008_0016: uid("1.2.840.10008.5.1.4.1.1.2"), 0x0008_0018: uid("1.2.9"), 0x0010_0020: b"P1"}
    tags |= {0x0020_000D: b"1.2.3 "[:5] + b"\0", 0x0020_000E: b"1.2.3.1\0"}
    explicit = b"".join(element(tag, b"LO" if tag == 0x0010_0020 else b"UI", value) for tag, value in tags.items())
    plain = b"".join(implicit(tag, value) for tag, value in tags.items())
    (tmp_path / "a.dcm").write_bytes(part10(explicit, instance="1.2.9", syntax=EXPLICIT))
    (tmp_path / "b.dcm").write_bytes(part10(plain, instance="1.2.9", syntax=IMPLICIT))

    report = house.take(tmp_path / "a.dcm", tmp_path / "b.dcm")

    assert [line.disposition for line in report.lines] == ["stored", "variant"]
    assert [receipt.disposition for receipt in house.receipts()] == ["stored", "stored"]
    assert len(house.objects("intake/dicom/")) == 2


def test_drain_when_other_content_has_the_same_uid_then_both_are_kept_and_nothing_is_overwritten(
    house: House, tmp_path: Path
) -> None:
    first = write_file(tmp_path / "a.dcm", description="one")
    other = write_file(tmp_path / "b.dcm", description="two")

    report = house.take(first, other, other)

    assert [line.disposition for line in report.lines] == ["stored", "conflict", "conflict"]
    assert list(house.objects("intake/").values()) == [first.read_bytes()]
    assert list(house.objects("conflict/").values()) == [other.read_bytes()]
    stored, conflict, _again = house.receipts()
    assert conflict.disposition == "conflict"
    assert conflict.conflicts_with == (house.told[0],)
    assert stored.conflicts_with == ()


@pytest.mark.parametrize("indexed", [True, False], ids=["known to the index", "in the same go"])
def test_drain_when_the_uid_is_known_of_another_patient_then_it_is_a_conflict(
    house: House, tmp_path: Path, indexed: bool
) -> None:
    first = write_file(tmp_path / "a.dcm", patient="P1")
    other = write_file(tmp_path / "b.dcm", patient="P2")
    mine = patient_key(Identifier(value="P1"), "")
    if indexed:
        house.take(first)
        house.indexed["1.2.3.4"] = mine
        house.take(other)
    else:
        house.take(first, other)

    receipts = {receipt.header.patient.identifier.value: receipt for receipt in house.receipts()}
    assert receipts["P1"].disposition == "stored"
    assert receipts["P2"].disposition == "conflict"
    assert receipts["P2"].conflicts_with == (mine,)


def test_drain_when_many_come_then_the_index_is_asked_of_many_at_once(house: House, tmp_path: Path) -> None:
    mine = patient_key(Identifier(value="P0"), "")
    house.take(write_file(tmp_path / "known.dcm", patient="P0", instance="1.2.7"))
    house.indexed["1.2.7"] = mine
    house.asked.clear()

    house.take(*(write_file(tmp_path / f"{n}.dcm", patient="P1", instance=f"1.2.{n}") for n in range(40)))

    assert sorted(uid for uids in house.asked for uid in uids) == sorted(f"1.2.{n}" for n in range(40))
    assert len(house.asked) == 2
    conflicts = [one for one in house.receipts() if one.disposition == "conflict"]
    assert [(one.header.sop_instance_uid, one.conflicts_with) for one in conflicts] == [("1.2.7", (mine,))]


def test_drain_when_an_id_has_no_issuer_then_it_gets_the_senders(house: House, tmp_path: Path) -> None:
    house.take(write_file(tmp_path / "a.dcm", patient="P1"), issuer="HOSPITAL-A")

    (receipt,) = house.receipts()
    assert receipt.header.patient.identifier == Identifier(value="P1", issuer="HOSPITAL-A")


def test_drain_when_the_patient_id_is_empty_then_the_study_names_the_patient(house: House, tmp_path: Path) -> None:
    house.take(write_file(tmp_path / "a.dcm", patient="", study="1.2.77"))

    assert house.told == [patient_key(Identifier(value=""), "1.2.77")]


def test_drain_when_the_object_in_the_store_is_rotten_then_a_resend_heals_it(house: House, tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.dcm")
    house.take(path)
    (receipt,) = house.receipts()
    house.now += timedelta(hours=1)
    house.filer.release()
    object_path = house.store.root / receipt.key
    object_path.chmod(0o600)
    object_path.write_bytes(b"rot" + path.read_bytes()[3:])

    house.take(path)

    assert house.objects("intake/") == {receipt.key: path.read_bytes()}
    assert "repair" in [event.act for event in house.events]


@AS_FILES
def test_drain_when_the_spools_file_is_gone_then_the_loss_is_said_loudly(house: House, tmp_path: Path) -> None:
    from ingest.folders.import_folder import import_paths

    import_paths([write_file(tmp_path / "a.dcm")], house.spool)
    (held,) = house.spool.pending()
    held.path.unlink()

    assert house.filer.drain() == {"lost": 1}
    assert house.events[-1].outcome == "lost"
    assert house.events[-1].subject["sop_instance_uid"] == "1.2.3.4"
    assert house.spool.pending() == []


def test_drain_when_the_spools_bytes_changed_then_they_are_not_filed_as_what_came(house: House, tmp_path: Path) -> None:
    from ingest.folders.import_folder import import_paths

    import_paths([write_file(tmp_path / "a.dcm")], house.spool)
    (held,) = house.spool.pending()
    body = bytearray(held.path.read_bytes())
    body[-1] ^= 1
    held.path.write_bytes(bytes(body))

    assert house.filer.drain() == {"lost": 1}
    assert house.receipts() == []


def test_drain_when_the_index_is_down_then_facts_are_written_and_it_is_told_again(house: House, tmp_path: Path) -> None:
    def down(_key: PatientKey) -> None:
        raise StoreUnavailable("the index does not answer")

    house.on_facts = down
    report = house.take(write_file(tmp_path / "a.dcm"))
    assert report.counts == {"stored": 1}
    assert len(house.receipts()) == 1

    house.on_facts = None
    house.filer.drain()

    assert len(house.told) == 1


def test_drain_when_the_store_is_down_then_everything_stays_in_the_spool(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest.folders.import_folder import import_paths

    import_paths([write_file(tmp_path / "a.dcm")], house.spool)

    def down(*_arguments: object, **_options: object) -> None:
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(house.store, "link_if_absent", down)
    with pytest.raises(StoreUnavailable):
        house.filer.drain()
    assert len(house.spool.pending()) == 1

    monkeypatch.undo()
    assert house.filer.drain() == {"stored": 1}


@pytest.mark.parametrize("step", ["put", "receipts", "told", "event"])
def test_drain_when_it_dies_at_any_step_then_the_next_one_files_once(house: House, tmp_path: Path, step: str) -> None:
    from ingest.folders.import_folder import import_paths

    class Died(BaseException):
        pass

    def die(*_arguments: object, **_options: object) -> None:
        raise Died

    import_paths([write_file(tmp_path / "a.dcm"), write_file(tmp_path / "b.dcm", instance="1.2.5")], house.spool)
    with pytest.MonkeyPatch.context() as patch:
        if step == "put":
            patch.setattr("ingest.filing.putting.read_back", die)
        elif step == "receipts":
            patch.setattr(house.facts, "write_receipts", die)
        elif step == "told":
            house.on_facts = die
        else:
            patch.setattr(house.spool.folder.journal.__class__, "settle", die)
        with pytest.raises(Died):
            house.filer.drain()
    house.on_facts = None

    again = house.new_filer().drain()

    assert again == ({} if step == "told" else {"stored": 2})  # before the index is told, the rows are settled
    assert house.told == [patient_key(Identifier(value="P1"), "")]
    assert sorted(receipt.header.sop_instance_uid for receipt in house.receipts()) == ["1.2.3.4", "1.2.5"]
    assert {receipt.disposition for receipt in house.receipts()} == {"stored"}
    assert len(house.objects("intake/")) == 2
    assert house.spool.pending() == []


def test_release_when_the_grace_time_has_passed_then_the_spool_lets_go_and_the_archive_keeps(
    house: House, tmp_path: Path
) -> None:
    path = write_file(tmp_path / "a.dcm")
    house.take(path)

    assert house.filer.release() == 0
    assert len(list(house.spool.folder.held.iterdir())) == 1
    house.now += timedelta(minutes=11)
    assert house.filer.release() == 1

    assert list(house.spool.folder.held.iterdir()) == []
    assert list(house.objects("intake/").values()) == [path.read_bytes()]


def test_drain_when_receipts_are_many_then_they_share_objects(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.filing.bundles.RECEIPT_LINES", 10)
    for number in range(25):
        write_file(tmp_path / "in" / f"{number:03}.dcm", instance=f"1.2.{number}")

    house.take(tmp_path / "in")

    assert len(house.receipts()) == 25
    assert len(house.objects("facts/")) == 3


def test_drain_when_a_worker_died_then_its_spool_is_adopted(house: House, tmp_path: Path) -> None:
    from ingest.folders.import_folder import import_paths

    dead = house.new_spool("w2")
    import_paths([write_file(tmp_path / "a.dcm")], dead)
    (dead.folder.incoming / "half").write_bytes(b"abc")
    dead.close()

    assert house.filer.drain() == {"stored": 1}
    assert list(dead.folder.incoming.iterdir()) == []


def test_drain_when_values_break_pydicom_then_the_bytes_go_to_quarantine(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(_dataset: object) -> None:
        raise RecursionError("pydicom fell over")

    monkeypatch.setattr("ingest.filing.header.describe", explode)
    report = house.take(write_file(tmp_path / "a.dcm"))

    assert report.counts == {"quarantined": 1}
    assert "LG-ING-502" in report.lines[0].reason
    assert house.receipts() == []


class Copying:
    """A store that can't link, as S3 can't."""

    def __init__(self, store: FilesystemStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if name == "link_if_absent":
            raise AttributeError(name)
        return getattr(self._store, name)


def test_drain_when_the_store_can_not_link_then_bytes_are_copied(house: House, tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.dcm")
    ports = replace(house.new_filer()._ports, store=cast(FilesystemStore, Copying(house.store)))
    house.filer = Filer(house.root / "spool", ports, grace=timedelta(0))

    house.take(path)

    (receipt,) = house.receipts()
    assert (house.store.root / receipt.key).stat().st_nlink == 1
    assert house.objects("intake/") == {receipt.key: path.read_bytes()}


def _hold_lock(root: str, holding: Signal, done: Signal) -> None:
    import fcntl

    with (Path(root) / "filer.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        holding.set()
        done.wait(30)


def test_drain_when_another_process_files_then_it_is_busy(house: House) -> None:
    context = multiprocessing.get_context("spawn")
    holding, done = context.Event(), context.Event()
    other = context.Process(target=_hold_lock, args=(str(house.root / "spool"), holding, done))
    other.start()
    assert holding.wait(30)

    with pytest.raises(FilerBusy):
        house.filer.drain()

    done.set()
    other.join()
    house.filer.drain()


def test_drain_when_pixels_follow_then_the_header_is_read_without_them(house: House, tmp_path: Path) -> None:
    body = dataset(tail=element(0x0028_0010, b"US", b"\x02\x00") + element(0x7FE0_0010, b"OW", bytes(1_000_000)))
    (tmp_path / "a.dcm").write_bytes(part10(body))

    house.take(tmp_path / "a.dcm")

    assert house.receipts()[0].size_bytes == len(part10(body))


def test_drain_when_one_object_can_not_be_stored_then_it_waits_and_the_others_are_filed(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest.folders.import_folder import import_paths

    bad = write_file(tmp_path / "a.dcm")
    sha256 = hashlib.sha256(bad.read_bytes()).hexdigest()
    import_paths([bad, write_file(tmp_path / "b.dcm", instance="1.2.5")], house.spool)
    link = house.store.link_if_absent

    def taken(path: Path, key: str, **options: Any) -> Any:
        if sha256 in key:
            raise Retained("the key is locked with other bytes")
        return link(path, key, **options)

    monkeypatch.setattr(house.store, "link_if_absent", taken)
    assert house.filer.drain() == {"stored": 1, "waiting": 1}
    assert [held.arrival.file_sha256 for held in house.spool.pending()] == [sha256]
    monkeypatch.undo()
    assert house.filer.drain() == {"stored": 1}
    assert {receipt.disposition for receipt in house.receipts()} == {"stored"}


def test_drain_when_the_facts_of_one_patient_are_damaged_then_the_others_are_filed(
    house: House, tmp_path: Path
) -> None:
    from ingest.folders.import_folder import import_paths

    house.take(write_file(tmp_path / "a.dcm", patient="BAD"))
    (fact,) = house.objects("facts/")
    (house.store.root / fact).chmod(0o600)
    (house.store.root / fact).write_bytes(b"{ no fact")
    house.filer = house.new_filer()
    paths = [
        write_file(tmp_path / f"{n}.dcm", instance=f"1.2.{n}", patient=patient)
        for n, patient in enumerate(("BAD", "P1", "BAD", "P2"))
    ]
    import_paths(paths, house.spool)

    assert house.filer.drain() == {"stored": 2, "waiting": 2}
    assert len(house.spool.pending()) == 2


def test_drain_when_the_filer_died_before_the_index_was_told_then_the_next_one_tells_it(
    house: House, tmp_path: Path
) -> None:
    def down(_key: PatientKey) -> None:
        raise StoreUnavailable("the index does not answer")

    house.on_facts = down
    assert house.take(write_file(tmp_path / "a.dcm")).counts == {"stored": 1}
    house.on_facts = None

    house.new_filer().drain()

    assert house.told == [patient_key(Identifier(value="P1"), "")]


def test_run_when_something_comes_then_the_bell_wakes_it_and_it_is_filed_and_told(house: House, tmp_path: Path) -> None:
    from ingest.filing.filed import Filed
    from ingest.folders.import_folder import import_paths

    stop = threading.Event()
    import_paths([write_file(tmp_path / "a.dcm")], house.spool)
    (held,) = house.spool.pending()
    filer = threading.Thread(target=house.filer.run, args=(stop,))
    filer.start()
    try:
        with Filed(house.spool.folder, within_s=30) as filed:
            filed(held)
        assert house.spool.pending() == []
        assert [receipt.disposition for receipt in house.receipts()] == ["stored"]
    finally:
        stop.set()
        filer.join(30)
    assert not filer.is_alive()
    assert house.told


def test_filed_when_nobody_files_then_the_sender_is_not_told_that_it_is(house: House, tmp_path: Path) -> None:
    from ingest.filing.filed import Filed
    from ingest.folders.import_folder import import_paths

    import_paths([write_file(tmp_path / "a.dcm")], house.spool)
    (held,) = house.spool.pending()
    with (
        Filed(house.spool.folder, within_s=0.2) as filed,
        pytest.raises(NotFiledInTime, match=r"not filed within 0\.2 s"),
    ):
        filed(held)
    assert house.spool.pending() == [held]


def test_filed_when_the_filer_quarantined_it_then_the_sender_is_told_so(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest.filing.filed import Filed
    from ingest.folders.import_folder import import_paths

    def explode(_dataset: object) -> None:
        raise RecursionError("pydicom fell over")

    monkeypatch.setattr("ingest.filing.header.describe", explode)
    import_paths([write_file(tmp_path / "a.dcm")], house.spool)
    (held,) = house.spool.pending()
    house.filer.drain()
    with Filed(house.spool.folder, within_s=5) as filed, pytest.raises(Undescribable):
        filed(held)


def test_remove_left_when_an_import_ended_long_ago_then_its_folder_goes_and_that_of_a_worker_stays(
    house: House, tmp_path: Path
) -> None:
    from uuid import uuid4

    once, lasting, full = f"import-{uuid4().hex}", "worker-2", f"import-{uuid4().hex}"
    for name in (once, lasting, full):
        house.new_spool(name).close()
    (house.root / "spool" / full / "held" / "a").write_bytes(b"abc")
    spools = Spools(house.root / "spool", limits=Limits(), clock=house.clock)
    spools.folders()
    assert spools.remove_left() == 0
    house.now = datetime.now(UTC) + timedelta(hours=2)
    spools.folders()
    assert spools.remove_left() == 1
    left = {path.name for path in (house.root / "spool").iterdir() if path.is_dir()}
    assert (once in left, lasting in left, full in left, "w1" in left) == (False, True, True, True)
