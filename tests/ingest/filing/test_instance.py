"""Digests left out on the network are there in the receipt, whoever makes them; what rots meanwhile is told."""

from dataclasses import replace
from pathlib import Path

import pytest

from archive.facts.receipts import Source
from ingest.dataset.limits import Limits
from ingest.dataset.part10 import FileLayout, file_header
from ingest.dataset.walker import Walker
from ingest.errors import Undescribable
from ingest.filing import header
from ingest.filing.instance import read_instance, with_digests
from ingest.judge import Announced, judge_network
from ingest.spool.arrival import Held
from tests.ingest.conftest import AS_FILES, House
from tests.ingest.datasets import CT_CLASS, EXPLICIT, dataset, element

BODY = dataset(tail=element(0x7FE0_0010, b"OW", bytes(5000)))
HEADER = file_header(sop_class_uid=CT_CLASS, sop_instance_uid="1.2.3.4", transfer_syntax_uid=EXPLICIT)


def received(house: House) -> Held:
    """Take it in as from the network, without digests."""
    judge = judge_network(
        layout=FileLayout(dataset_offset=len(HEADER), transfer_syntax_uid=EXPLICIT),
        announced=Announced(),
        limits=Limits(),
        digesting=False,
    )
    return house.spool.receive([HEADER, BODY], judge, source=Source(kind="dicom"), batch="b")


def full() -> tuple[str, str | None]:
    import io

    walked = Walker(io.BytesIO(BODY), EXPLICIT).walk()
    return walked.dataset_sha256, walked.content_sha256


def test_file_when_digests_were_left_out_then_the_receipt_has_them(house: House) -> None:
    assert received(house).arrival.dataset_sha256 == ""

    assert house.filer.drain() == {"stored": 1}

    (receipt,) = house.receipts()
    assert (receipt.dataset_sha256, receipt.content_sha256) == full()


def test_file_when_the_same_comes_twice_without_digests_then_it_is_a_duplicate(house: House) -> None:
    received(house)
    received(house)

    assert house.filer.drain() == {"stored": 1, "duplicate": 1}


@AS_FILES
def test_file_when_the_spool_rots_before_digests_were_made_then_the_loss_is_told(house: House) -> None:
    path = received(house).path
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-7] + b"rotten!")
    other = received(house).path
    other.chmod(0o600)
    other.write_bytes(other.read_bytes()[:-7])

    assert house.filer.drain() == {"lost": 2}


@AS_FILES
def test_read_when_it_is_longer_than_asked_then_digests_are_left_to_others(house: House) -> None:
    held = received(house)

    left = read_instance(held.path, held.arrival, limits=Limits(), digest_bytes=1000)
    made = read_instance(held.path, held.arrival, limits=Limits(), digest_bytes=10_000)

    assert left.arrival == held.arrival
    assert (made.arrival.dataset_sha256, made.arrival.content_sha256) == full()
    assert with_digests(held.path, left.arrival, limits=Limits()) == made.arrival
    assert left.header == made.header


@AS_FILES
def test_digests_when_the_walk_fails_on_unchanged_bytes_then_it_is_a_fault_of_ours(house: House) -> None:
    held = received(house)
    wrong = replace(held.arrival, dataset_offset=held.arrival.dataset_offset + 1)

    with pytest.raises(Undescribable, match="judged sound"):
        with_digests(held.path, wrong, limits=Limits())


def test_digests_when_the_file_is_gone_then_that_is_said(house: House, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        with_digests(tmp_path / "gone", received(house).arrival, limits=Limits())


@AS_FILES
def test_header_when_a_value_is_too_long_to_be_kept_then_the_others_are_read(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(header, "_LEFT_OUT_FROM_BYTES", 100)
    long = element(0x0020_4000, b"LT", bytes(b"x" * 200))
    judge = judge_network(
        layout=FileLayout(dataset_offset=len(HEADER), transfer_syntax_uid=EXPLICIT),
        announced=Announced(),
        limits=Limits(),
        digesting=False,
    )
    held = house.spool.receive([HEADER, dataset(tail=long)], judge, source=Source(kind="dicom"), batch="b")
    assert read_instance(held.path, held.arrival, limits=Limits()).header.sop_instance_uid == "1.2.3.4"
