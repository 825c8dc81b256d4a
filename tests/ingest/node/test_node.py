"""The node against DCMTK: what it acknowledges is what was sent, whichever class and encoding."""

import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingest.dataset.part10 import IMPLEMENTATION_CLASS_UID, find_dataset
from ingest.node import Node, NodeSettings
from ingest.peers import PeerRule, Peers
from ingest.spool.arrival import Held
from tests.ingest.conftest import House
from tests.ingest.datasets import BIG, DEFLATED, EXPLICIT, IMPLICIT, dataset, deflated, part10, write_file

pytestmark = pytest.mark.server

STORESCU = "/usr/bin/storescu"
STORESCP = "/usr/bin/storescp"
SYNTAXES = {"-xe": EXPLICIT, "-xi": IMPLICIT, "-xb": BIG, "-xd": DEFLATED}


@pytest.fixture
def port(house: House) -> Iterator[int]:
    node = Node(
        NodeSettings(port=0, issuer="HERE", peers=Peers(rules=(PeerRule(title="LINAC", issuer="THERE"),))), house.spool
    )
    yield node.start()
    node.stop()


def send(port: int, *paths: Path, options: tuple[str, ...] = ("-xe",), title: str = "SENDER") -> str:
    """Send with DCMTK and return what it says."""
    command = [STORESCU, "-v", "-aet", title, "-aec", "LASTGATE", *options, "127.0.0.1", str(port), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


def dataset_of(path: Path) -> tuple[bytes, str]:
    """Return the data set of a file and its transfer syntax."""
    with path.open("rb") as stream:
        layout = find_dataset(stream)
        assert layout is not None
        stream.seek(layout.dataset_offset)
        return stream.read(), layout.transfer_syntax_uid


def only(house: House) -> Held:
    (held,) = house.spool.pending()
    return held


def test_echo_when_asked_then_it_answers(port: int) -> None:
    done = subprocess.run(
        ["/usr/bin/echoscu", "-v", "127.0.0.1", str(port)], capture_output=True, text=True, check=True
    )

    assert "Received Echo Response (Success)" in done.stdout + done.stderr


@pytest.mark.parametrize("option", sorted(SYNTAXES))
def test_store_when_sent_in_any_native_syntax_then_content_is_the_same(
    house: House, port: int, tmp_path: Path, option: str
) -> None:
    path, encoded = write_file(tmp_path / "a.dcm"), tmp_path / "encoded.dcm"
    subprocess.run(["/usr/bin/dcmconv", option.replace("-x", "+t"), str(path), str(encoded)], check=True)

    said = send(port, encoded, options=(option,))

    held = only(house)
    assert "Received Store Response (Success)" in said
    assert held.arrival.transfer_syntax_uid == SYNTAXES[option]
    assert held.arrival.source.name == "SENDER"
    assert held.arrival.source.called == "LASTGATE"
    assert held.arrival.source.address == "127.0.0.1"
    house.take(path, issuer="HERE")
    assert len({receipt.content_sha256 for receipt in house.receipts()}) == 1
    assert {receipt.disposition for receipt in house.receipts()} == {"stored"}


def test_store_when_received_then_the_file_has_our_fixed_header(house: House, port: int, tmp_path: Path) -> None:
    send(port, write_file(tmp_path / "a.dcm"))
    first = only(house).path.read_bytes()
    house.filer.drain()
    send(port, tmp_path / "a.dcm", title="ANOTHER")

    assert only(house).path.read_bytes() == first
    assert IMPLEMENTATION_CLASS_UID.encode() in first[:400]
    assert house.filer.drain() == {"duplicate": 1}


def test_store_when_many_associations_come_at_once_then_each_instance_is_there(
    house: House, port: int, tmp_path: Path
) -> None:
    batches = [
        [write_file(tmp_path / str(batch) / f"{n}.dcm", instance=f"1.2.{batch}.{n}") for n in range(1, 6)]
        for batch in range(1, 7)
    ]

    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(lambda paths: send(port, *paths), batches))

    assert sum(text.count("Received Store Response (Success)") for text in said) == 30
    assert house.filer.drain() == {"stored": 30}
    assert len({held.header.sop_instance_uid for held in house.receipts()}) == 30


def test_store_when_two_associations_send_one_uid_at_once_then_one_object(
    house: House, port: int, tmp_path: Path
) -> None:
    path = write_file(tmp_path / "a.dcm")

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(lambda _: send(port, path), range(2)))

    assert all("Received Store Response (Success)" in text for text in said)
    house.filer.drain()
    assert len(house.objects("intake/")) == 1


def test_store_when_the_sender_has_an_issuer_then_ids_without_one_get_it(
    house: House, port: int, tmp_path: Path
) -> None:
    send(port, write_file(tmp_path / "a.dcm"), title="LINAC")
    send(port, write_file(tmp_path / "b.dcm", instance="1.2.6"), title="TPS")
    house.filer.drain()

    issuers = {r.source.name: r.header.patient.identifier.issuer for r in house.receipts()}
    assert issuers == {"LINAC": "THERE", "TPS": "HERE"}


@pytest.mark.real_data
def test_store_when_received_by_dcmtk_too_then_both_have_the_bytes_of_the_wire(
    house: House, port: int, tmp_path: Path, real_data: Path
) -> None:
    """`storescp +B` writes what came, bit by bit: an independent witness of what was on the wire."""
    witness = tmp_path / "witness"
    witness.mkdir()
    other = free_port()
    server = subprocess.Popen([STORESCP, "+B", "-od", str(witness), "+xa", "-aet", "W", str(other)])
    try:
        wait_for(other)
        files = [path for path in sorted((real_data / "pydicom_rt").glob("rtd*.dcm")) if "rle" not in path.name]
        files.append(next((real_data / "dicompyler_core").rglob("*.dcm")))
        files.append(next((real_data / "dcpt_let").rglob("RN*.dcm")))
        for option in SYNTAXES:
            for path in files:
                compare_on_the_wire(house, port, other, witness, path, option)
    finally:
        server.kill()
        server.wait()


def compare_on_the_wire(house: House, port: int, other: int, witness: Path, path: Path, option: str) -> None:
    said = send(port, path, options=(option, "-R")) + send(other, path, options=(option, "-R"))
    if "Received Store Response" not in said:
        return  # storescu itself refuses files without file meta
    (theirs,) = witness.iterdir()
    held = house.spool.pending()[-1]
    ours, witnessed = dataset_of(held.path), dataset_of(theirs)
    # Of big endian and implicit little endian in one context storescp takes the first and we the second: storescu
    # then sends a big or implicit file as it lies there to one of the two, and converted to the other.
    if ours[1] == witnessed[1]:
        assert ours == witnessed, (path.name, option)
    else:
        assert {option, ours[1], witnessed[1]} <= {"-xe", IMPLICIT, EXPLICIT, BIG}, (path.name, option)
    assert said.count("Success") >= 2, (path.name, option, said)
    theirs.unlink()


def free_port() -> int:
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        return int(probing.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probing:
            if probing.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on {port}")


@pytest.mark.parametrize("sop_class", ["1.2.246.352.70.1.70", "1.2.840.10008.5.1.4.1.1.481.999"])
def test_store_when_the_class_is_private_or_unknown_then_it_is_taken(
    house: House, port: int, tmp_path: Path, sop_class: str
) -> None:
    path = tmp_path / "private.dcm"
    path.write_bytes(part10(dataset(sop_class=sop_class), sop_class=sop_class))

    subprocess.run(["/usr/bin/dcmsend", "-nuc", "127.0.0.1", str(port), str(path)], check=True, timeout=60)

    assert only(house).arrival.names.sop_class_uid == sop_class
    assert house.filer.drain() == {"stored": 1}


def test_store_when_pixels_are_jpeg_then_they_come_as_they_are(house: House, port: int, tmp_path: Path) -> None:
    source, picture = tmp_path / "plain.dcm", tmp_path / "jpeg.dcm"
    source.write_bytes(_grey_image())
    subprocess.run(["/usr/bin/dcmcjpeg", "+eb", "+un", str(source), str(picture)], check=True)

    said = send(port, picture, options=("-xy", "-R"))

    held = only(house)
    assert "Success" in said
    assert dataset_of(held.path) == dataset_of(picture)
    assert held.arrival.transfer_syntax_uid == "1.2.840.10008.1.2.4.50"


def test_store_when_a_deflated_file_is_sent_then_it_is_understood(house: House, port: int, tmp_path: Path) -> None:
    path = tmp_path / "deflated.dcm"
    path.write_bytes(part10(deflated(dataset()), syntax=DEFLATED))

    assert "Success" in send(port, path, options=("-xd",))
    assert house.filer.drain() == {"stored": 1}


def _grey_image() -> bytes:
    from tests.ingest.datasets import element

    pixels = (
        element(0x0028_0002, b"US", b"\x01\x00")
        + element(0x0028_0004, b"CS", b"MONOCHROME2 ")
        + element(0x0028_0010, b"US", b"\x10\x00")
        + element(0x0028_0011, b"US", b"\x10\x00")
        + element(0x0028_0100, b"US", b"\x08\x00")
        + element(0x0028_0101, b"US", b"\x08\x00")
        + element(0x0028_0102, b"US", b"\x07\x00")
        + element(0x0028_0103, b"US", b"\x00\x00")
        + element(0x7FE0_0010, b"OB", bytes(range(256)))
    )
    return part10(dataset(tail=pixels))
