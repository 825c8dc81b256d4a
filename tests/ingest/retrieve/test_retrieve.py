"""C-MOVE and C-GET as DCMTK sees them: what is stored arrives byte for byte, what went wrong is counted and named."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from ingest.dataset.walker import Walker
from ingest.retrieve.association import MOST_CONTEXTS
from lastgate.reception import receiving, take_in
from lastgate.settings import NodeSettings, PeerSettings, Settings
from lastgate.wiring import House, open_house
from tests.ingest.datasets import dataset, part10, write_file
from tests.ingest.retrieve.clients import free_port, getscu, movescu, storescp
from tests.ingest.retrieve.conftest import SERIES, STUDY, Site, Stored, data_sets, layout_of, study_of

pytestmark = pytest.mark.server

PRIVATE = "1.2.826.0.1.3680043.9.7229."
EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
COMPRESSED = ("JPEG baseline", "JPEG lossless", "JPEG-LS", "JPEG 2000", "RLE")
ALL_SERIES = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY}")


def _study(site: Site, name: str) -> tuple[str, str]:
    return "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study_of(site.house, site.files[name].uid)}"


def _content(data_set: bytes, syntax: str) -> str:
    return Walker(io.BytesIO(data_set), syntax, size_bytes=len(data_set)).walk().content_sha256 or ""


def test_get_when_a_study_is_asked_for_then_every_data_set_arrives_byte_for_byte(site: Site, tmp_path: Path) -> None:
    told = getscu(site.port, ALL_SERIES, tmp_path / "got")
    assert (told.code, told.status) == (0, 0)
    assert told.done == (SERIES, 0, 0)
    assert data_sets(tmp_path / "got") == {one.uid: one.data_set for one in site.series}


def test_move_when_a_study_is_asked_for_then_every_data_set_arrives_byte_for_byte(site: Site, tmp_path: Path) -> None:
    with storescp(tmp_path / "got", port=site.destination_port):
        told = movescu(site.port, ALL_SERIES, "DEST")
    assert (told.code, told.status) == (0, 0)
    assert told.statuses[0] == 0xFF00
    assert told.done == (SERIES, 0, 0)
    assert data_sets(tmp_path / "got") == {one.uid: one.data_set for one in site.series}


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        (("QueryRetrieveLevel=PATIENT", "PatientID=P500"), SERIES),
        (("QueryRetrieveLevel=STUDY", "PatientID=P500", f"StudyInstanceUID={STUDY}"), SERIES),
        (
            (
                "QueryRetrieveLevel=SERIES",
                "PatientID=P500",
                f"StudyInstanceUID={STUDY}",
                f"SeriesInstanceUID={STUDY}.1",
            ),
            SERIES,
        ),
        (
            (
                "QueryRetrieveLevel=IMAGE",
                "PatientID=P500",
                f"StudyInstanceUID={STUDY}",
                f"SeriesInstanceUID={STUDY}.1",
                f"SOPInstanceUID={STUDY}.1.3\\{STUDY}.1.5\\1.2.3.4.5",
            ),
            2,
        ),
        (("QueryRetrieveLevel=STUDY", "PatientID=P500", "StudyInstanceUID=1.2.3.999"), 0),
        (("QueryRetrieveLevel=STUDY", "PatientID=ANOTHER", f"StudyInstanceUID={STUDY}"), 0),
    ],
)
def test_get_when_asked_in_patient_root_then_all_keys_restrict(
    site: Site, tmp_path: Path, keys: tuple[str, ...], count: int
) -> None:
    told = getscu(site.port, keys, tmp_path / "got", "-P")
    assert told.status == 0
    assert len(list((tmp_path / "got").iterdir())) == count


@pytest.mark.parametrize(
    "keys",
    [
        ("QueryRetrieveLevel=PATIENT", "PatientID=P500"),
        ("QueryRetrieveLevel=SERIES", f"SeriesInstanceUID={STUDY}.1"),
        ("QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.*"),
        ("QueryRetrieveLevel=STUDY", "StudyInstanceUID"),
        ("QueryRetrieveLevel=FRAME", f"StudyInstanceUID={STUDY}"),
        (f"StudyInstanceUID={STUDY}",),
        ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY}", f"SeriesInstanceUID={STUDY}.1"),
    ],
)
def test_get_when_the_identifier_is_wrong_then_a900_says_why(site: Site, tmp_path: Path, keys: tuple[str, ...]) -> None:
    told = getscu(site.port, keys, tmp_path / "got")
    assert told.status == 0xA900
    assert "LG-ING-512" in told.log
    assert list((tmp_path / "got").iterdir()) == []


def test_move_when_the_destination_is_unknown_then_a801(site: Site) -> None:
    assert movescu(site.port, ALL_SERIES, "STRANGER").status == 0xA801


def test_move_when_the_destination_is_away_then_a702_and_all_failed(site: Site) -> None:
    told = movescu(site.port, ALL_SERIES, "DEST")
    assert told.status == 0xA702
    assert told.counts["failed"] == SERIES


@pytest.mark.parametrize("name", [*COMPRESSED, "deflated", "big endian"])
def test_move_when_the_destination_takes_everything_then_it_gets_what_is_stored(
    site: Site, tmp_path: Path, name: str
) -> None:
    stored = site.files[name]
    with storescp(tmp_path / "got", "+xa", port=site.destination_port):
        assert movescu(site.port, _study(site, name), "DEST").status == 0
    assert data_sets(tmp_path / "got") == {stored.uid: stored.data_set}
    assert layout_of(tmp_path / "got", stored.uid).transfer_syntax_uid == stored.layout.transfer_syntax_uid


@pytest.mark.parametrize("name", [*COMPRESSED, "deflated", "big endian"])
@pytest.mark.parametrize(("options", "syntax"), [(("+xi",), IMPLICIT), ((), EXPLICIT)])
def test_move_when_the_destination_takes_plain_syntaxes_only_then_it_gets_the_same_image_in_one_of_them(
    site: Site, tmp_path: Path, name: str, options: tuple[str, ...], syntax: str
) -> None:
    stored = site.files[name]
    with storescp(tmp_path / "got", *options, port=site.destination_port):
        told = movescu(site.port, _study(site, name), "DEST")
    assert (told.status, told.counts["completed"]) == (0, 1)
    (path,) = (tmp_path / "got").iterdir()
    got = Stored.of(path)
    if name != "big endian" or options:  # storescp takes big endian beside the little ones
        assert got.layout.transfer_syntax_uid == syntax
    assert (dcmread(path).pixel_array == dcmread(stored.path).pixel_array).all()
    if name not in COMPRESSED:
        assert _content(got.data_set, got.layout.transfer_syntax_uid) == _content(
            stored.data_set, stored.layout.transfer_syntax_uid
        )


@pytest.mark.parametrize("name", COMPRESSED)
def test_get_when_the_client_takes_plain_syntaxes_only_then_it_gets_the_same_image(
    site: Site, tmp_path: Path, name: str
) -> None:
    told = getscu(site.port, _study(site, name), tmp_path / "got")
    assert told.status == 0
    (path,) = (tmp_path / "got").iterdir()
    assert (dcmread(path).pixel_array == dcmread(site.files[name].path).pixel_array).all()


def test_get_when_nothing_can_be_converted_then_it_failed_and_is_named(site: Site, tmp_path: Path) -> None:
    told = getscu(site.port, _study(site, "undecodable"), tmp_path / "got")
    assert (told.status, told.counts["failed"]) == (0xA702, 1)
    assert site.files["undecodable"].uid in told.log


def test_move_when_some_can_not_be_converted_then_b000_names_them_and_the_rest_arrives(
    site: Site, tmp_path: Path
) -> None:
    names = ("undecodable", "RLE")
    studies = "\\".join(study_of(site.house, site.files[name].uid) for name in names)
    with storescp(tmp_path / "got", port=site.destination_port):
        told = movescu(site.port, ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={studies}"), "DEST")
    assert told.status == 0xB000
    assert told.done == (1, 1, 0)
    assert site.files["undecodable"].uid in told.log
    assert set(data_sets(tmp_path / "got")) == {site.files["RLE"].uid}


def test_move_when_it_is_cancelled_then_it_stops_and_tells_what_remains(site: Site, tmp_path: Path) -> None:
    with storescp(tmp_path / "got", "--sleep-after", "1", port=site.destination_port):
        told = movescu(site.port, ALL_SERIES, "DEST", "--cancel", "1")
    assert told.status == 0xFE00
    assert told.counts["remaining"] >= SERIES - 3
    assert len(data_sets(tmp_path / "got")) <= 3


def test_move_when_the_destination_aborts_in_mid_transfer_then_what_it_did_not_take_failed(
    site: Site, tmp_path: Path
) -> None:
    with storescp(tmp_path / "got", "--abort-during", port=site.destination_port):
        told = movescu(site.port, ALL_SERIES, "DEST")
    assert (told.status, told.counts["failed"]) == (0xA702, SERIES)


def test_move_when_it_is_sent_then_the_receiver_is_told_whose_move_it_is(site: Site, tmp_path: Path) -> None:
    with storescp(tmp_path / "got", "-d", port=site.destination_port):
        movescu(site.port, ALL_SERIES, "DEST", "-aet", "WORKSTATION")
    log = (tmp_path / "storescp.log").read_text("utf-8", "replace")
    assert "Move Originator AE Title" in log or "WORKSTATION" in log


def test_retrieve_when_it_is_over_then_the_journal_tells_who_asked_for_what_and_what_came_of_it(
    site: Site, tmp_path: Path
) -> None:
    getscu(site.port, ALL_SERIES, tmp_path / "got", "-aet", "WORKSTATION")
    movescu(site.port, ALL_SERIES, "STRANGER", "-aet", "WORKSTATION")
    site.house.journal.flush()
    got, moved = [one for one in site.house.journal.events() if one["act"] == "retrieve"][-2:]
    assert (got["account"], got["outcome"]) == ("WORKSTATION", "done")
    assert got["subject"]["service"] == "C-GET"
    assert (got["subject"]["level"], got["subject"]["uids"], got["subject"]["completed"]) == ("STUDY", [STUDY], SERIES)
    assert (moved["outcome"], moved["subject"]["to"]) == ("refused", "STRANGER")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[House, int]]:
    """An empty archive of a test's own with its destination port."""
    port = free_port()
    node = NodeSettings(
        port=0, unknown_peers="accept", peers=(PeerSettings(title="DEST", host="127.0.0.1", port=port),)
    )
    with open_house(Settings(home=tmp_path / "home", node=node)) as house:
        yield house, port


def test_get_when_two_contents_bear_one_uid_then_the_one_received_first_goes_out(
    own: tuple[House, int], tmp_path: Path
) -> None:
    house, _ = own
    first = write_file(tmp_path / "first.dcm", description="first")
    second = write_file(tmp_path / "second.dcm", description="second")
    take_in(house, [first])
    take_in(house, [second])
    with receiving(house, port=0) as reception:
        told = getscu(reception.port, ("QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.3"), tmp_path / "got")
    assert told.counts["completed"] == 1
    assert data_sets(tmp_path / "got") == {"1.2.3.4": Stored.of(first).data_set}


def test_get_when_a_patient_id_is_that_of_two_persons_then_the_issuer_must_be_named(
    own: tuple[House, int], tmp_path: Path
) -> None:
    house, _ = own
    from archive.headers import Identifier  # noqa: F401

    for number, issuer in enumerate(("ONE", "TWO")):
        body = dataset(instance=f"1.2.3.{number}", study=f"1.2.{number}", series=f"1.2.{number}.1")
        at = body.index(b"\x20\x00\x0d\x00")
        issued = b"\x10\x00\x21\x00LO\x04\x00" + issuer.encode().ljust(4)
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(part10(body[:at] + issued + body[at:], instance=f"1.2.3.{number}"))
        take_in(house, [path])
    keys = ("QueryRetrieveLevel=PATIENT", "PatientID=P1")
    with receiving(house, port=0) as reception:
        told = getscu(reception.port, keys, tmp_path / "both", "-P")
        named = getscu(reception.port, (*keys, "IssuerOfPatientID=TWO"), tmp_path / "two", "-P")
    assert told.status == 0xA900
    assert named.status == 0
    assert set(data_sets(tmp_path / "two")) == {"1.2.3.1"}


def test_get_when_the_stored_bytes_rotted_then_they_are_not_sent(own: tuple[House, int], tmp_path: Path) -> None:
    house, _ = own
    good, bad = (write_file(tmp_path / f"{number}.dcm", instance=f"1.2.3.{number}") for number in (1, 2))
    take_in(house, [good, bad])
    (receipt,) = (
        one
        for key in house.facts.patients()
        for one in house.facts.read(key).receipts
        if one.header.sop_instance_uid == "1.2.3.2"
    )
    stored = house.home / "archive" / receipt.key
    stored.chmod(0o600)
    stored.write_bytes(stored.read_bytes()[:-1] + b"X")
    with receiving(house, port=0) as reception:
        told = getscu(reception.port, ("QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.3"), tmp_path / "got")
    assert told.status == 0xB000
    assert set(data_sets(tmp_path / "got")) == {"1.2.3.1"}


def test_move_when_there_are_more_kinds_than_contexts_then_several_associations_carry_them(
    own: tuple[House, int], tmp_path: Path
) -> None:
    house, port = own
    count = MOST_CONTEXTS // 2 + 6
    paths = []
    for number in range(count):
        path = tmp_path / f"{number}.dcm"
        uid, sop_class = f"1.2.3.{number}", f"{PRIVATE}{number}"
        path.write_bytes(part10(dataset(instance=uid, sop_class=sop_class), instance=uid, sop_class=sop_class))
        paths.append(path)
    take_in(house, paths)
    with receiving(house, port=0) as reception, storescp(tmp_path / "got", "-pm", "-v", port=port):
        told = movescu(reception.port, ("QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.3"), "DEST")
    assert (told.status, told.counts["completed"]) == (0, count)
    assert len(data_sets(tmp_path / "got")) == count
    assert (tmp_path / "storescp.log").read_text("utf-8", "replace").count("Association Release") == 2
