"""Sending: data sets arrive as they lie in the archive, and what a peer does not take is told."""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest
from pydicom.uid import UID
from pynetdicom import AE, _config, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext

from ingest.dataset.part10 import file_header, find_dataset
from ingest.errors import BadPeer, NotSent
from ingest.retrieve.association import MOST_CONTEXTS
from ingest.retrieve.sender import Peer, Sent, send
from lastgate.reception import take_in
from lastgate.sample import Department
from lastgate.sending import send_dossier
from lastgate.wiring import House
from tests.acceptance import dcmtk
from tests.acceptance.houses import found, local
from tests.ingest.datasets import BIG, CT_CLASS, DEFLATED, EXPLICIT, IMPLICIT, dataset, deflated, implicit, part10, uid

RT_PLAN = "1.2.840.10008.5.1.4.1.1.481.5"
PRIVATE = "1.2.826.0.1.3680043.9.7229."
# pynetdicom 3.0.4 leaves the socket of a refused connection to the garbage collector.
LEAKS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def _dataset(path: Path) -> bytes:
    with path.open("rb") as stream:
        layout = find_dataset(stream)
        assert layout is not None
        stream.seek(layout.dataset_offset)
        return stream.read()


@dataclass(kw_only=True)
class _Scp:
    """A peer that takes some classes in some transfer syntaxes, and what it was sent."""

    contexts: Sequence[tuple[str, str]] = ((CT_CLASS, EXPLICIT),)
    status: int = 0
    aborts_at: int = 0
    aborts_from: int = 0
    knows: Sequence[str] = ()
    received: list[str] = field(default_factory=list)
    associations: list[int] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[Peer]:
        """Listen, and yield how it is reached."""
        server = AE(ae_title="PEER")
        server.require_calling_aet = list(self.knows)
        server.supported_contexts = [_context(*one) for one in self.contexts]
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_ESTABLISHED, self._opened),
            (evt.EVT_C_STORE, self._store),
        ]
        is_private = any(one.startswith(PRIVATE) for one, _ in self.contexts)
        # A node of ours that ran before in this process has left its own settings in pynetdicom's globals.
        with (
            mock.patch.object(_config, "STORE_RECV_CHUNKED_DATASET", new=False),
            mock.patch.object(_config, "UNRESTRICTED_STORAGE_SERVICE", new=is_private),
        ):
            running = server.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
            assert running is not None
            try:
                yield Peer(aet="PEER", host="127.0.0.1", port=running.server_address[1])
            finally:
                running.shutdown()

    def _opened(self, event: evt.Event) -> None:
        self.associations.append(len(event.assoc.requestor.requested_contexts))

    def _store(self, event: evt.Event) -> int:
        assert isinstance(event.request, C_STORE)
        self.received.append(str(event.request.AffectedSOPInstanceUID))
        if len(self.received) == self.aborts_at or 0 < self.aborts_from <= len(self.received):
            event.assoc.abort()
        return self.status


def _context(sop_class: str, syntax: str) -> PresentationContext:
    context = PresentationContext()
    context.abstract_syntax = UID(sop_class)
    context.transfer_syntax = [UID(syntax)]
    return context


def _files(folder: Path, count: int) -> list[Path]:
    paths = []
    for number in range(count):
        path = folder / f"{number}.dcm"
        path.write_bytes(part10(dataset(instance=f"1.2.3.{number}"), instance=f"1.2.3.{number}"))
        paths.append(path)
    return paths


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("TPS@10.0.0.7:104", Peer(aet="TPS", host="10.0.0.7", port=104)),
        ("ECLIPSE DB@tps.hospital:11112", Peer(aet="ECLIPSE DB", host="tps.hospital", port=11112)),
        ("A@::1:104", Peer(aet="A", host="::1", port=104)),
    ],
)
def test_parse_when_written_well_then_names_the_peer(text: str, peer: Peer) -> None:
    assert Peer.parse(text) == peer


@pytest.mark.parametrize(
    "text",
    ["", "TPS", "TPS@host", "TPS@:104", "@host:104", "host:104", "TPS@host:", "TPS@host:many", "TPS@host:-1",
     "TPS@host:0", "TPS@host:65536", "TPS@host:١٠٤", "A2345678901234567@host:104", "T\\S@host:104", "放疗@host:104",
     " @host:104", "T\nS@host:104"],
)  # fmt: skip
def test_parse_when_written_badly_then_says_how_to_write_it(text: str) -> None:
    with pytest.raises(BadPeer) as raised:
        Peer.parse(text)
    assert "AET@HOST:PORT" in f"{raised.value} {raised.value.hint}"


@pytest.mark.server
def test_send_when_dcmtk_receives_then_every_data_set_is_bit_identical(
    sample_department: Department, tmp_path: Path
) -> None:
    """One of each kind of the sample: explicit and implicit VR, image, structures, plans, doses, records."""
    kinds = {(path.parent, path.name[:2]): path for path in sample_department.paths}
    paths = list(kinds.values())
    with dcmtk.storescp(tmp_path / "received") as port:
        sent = send(paths, Peer(aet="JUDGE", host="127.0.0.1", port=port), calling="LASTGATE")
    assert [one.path for one in sent] == paths
    assert all(one.status == 0 and one.is_stored and not one.reason for one in sent)
    received = sorted(_dataset(path) for path in (tmp_path / "received").iterdir())
    assert received == sorted(_dataset(path) for path in paths)


@pytest.mark.server
def test_send_when_encodings_differ_then_each_goes_out_in_its_own(tmp_path: Path) -> None:
    explicit = dataset(instance="1.2.3.1")
    plain = implicit(0x0008_0016, uid(CT_CLASS)) + implicit(0x0008_0018, uid("1.2.3.2"))
    big = (
        struct.pack(">HH2sH", 8, 0x16, b"UI", 26)
        + uid(CT_CLASS)
        + struct.pack(">HH2sH", 8, 0x18, b"UI", 8)
        + uid("1.2.3.3")
    )
    bodies = {EXPLICIT: explicit, IMPLICIT: plain, BIG: big, DEFLATED: deflated(dataset(instance="1.2.3.4"))}
    paths = []
    for number, (syntax, body) in enumerate(bodies.items(), start=1):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(part10(body, syntax=syntax, instance=f"1.2.3.{number}"))
        paths.append(path)
    with dcmtk.storescp(tmp_path / "received") as port:
        sent = send(paths, Peer(aet="JUDGE", host="127.0.0.1", port=port), calling="LASTGATE")
    assert [one.is_stored for one in sent] == [True] * 4
    received = sorted(_dataset(path) for path in (tmp_path / "received").iterdir())
    assert received == sorted(bodies.values())


def test_send_when_the_peer_lacks_a_class_then_the_rest_is_sent_and_it_says_why(tmp_path: Path) -> None:
    plan = tmp_path / "plan.dcm"
    plan.write_bytes(part10(dataset(instance="1.2.9", sop_class=RT_PLAN), instance="1.2.9", sop_class=RT_PLAN))
    first, second = _files(tmp_path, 2)
    told: list[Sent] = []
    scp = _Scp()
    with scp.running() as peer:
        sent = send([first, plan, second], peer, calling="US", on_sent=told.append)
    assert [one.is_stored for one in sent] == [True, False, True]
    assert sent[1].status is None
    assert "does not accept" in sent[1].reason
    assert scp.received == ["1.2.3.0", "1.2.3.1"]
    assert tuple(told) == sent


@pytest.mark.parametrize(("status", "is_stored"), [(0xB000, True), (0xB007, True), (0xA700, False), (0xC000, False)])
def test_send_when_the_peer_answers_then_only_success_and_warnings_count_as_stored(
    tmp_path: Path, status: int, is_stored: bool
) -> None:
    with _Scp(status=status).running() as peer:
        (sent,) = send(_files(tmp_path, 1), peer, calling="US")
    assert (sent.status, sent.is_stored) == (status, is_stored)
    assert sent.reason == ("" if is_stored else f"The peer answered {status:04X}")


def test_send_when_the_association_breaks_then_the_rest_goes_over_another_one(tmp_path: Path) -> None:
    """What was on its way is told as not stored: nobody knows whether it was."""
    scp = _Scp(aborts_at=2)
    with scp.running() as peer:
        sent = send(_files(tmp_path, 4), peer, calling="US")
    assert [one.is_stored for one in sent] == [True, False, True, True]
    assert sent[1].reason == "The association was lost"
    assert len(scp.associations) == 2


def test_send_when_associations_break_again_and_again_then_all_that_is_left_is_told_as_not_stored(
    tmp_path: Path,
) -> None:
    scp = _Scp(aborts_from=2)
    with scp.running() as peer:
        sent = send(_files(tmp_path, 5), peer, calling="US")
    assert [one.is_stored for one in sent] == [True, False, False, False, False]
    assert {one.reason for one in sent[1:]} == {"The association was lost"}
    assert len(scp.associations) == 2


@LEAKS
def test_send_when_nobody_listens_then_says_so(tmp_path: Path) -> None:
    with _Scp().running() as peer:
        pass
    with pytest.raises(NotSent, match=f"PEER@127.0.0.1:{peer.port} does not answer"):
        send(_files(tmp_path, 1), peer, calling="US")


def test_send_when_the_peer_rejects_our_title_then_says_so(tmp_path: Path) -> None:
    with _Scp(knows=["FRIEND"]).running() as peer, pytest.raises(NotSent, match="refuses the association"):
        send(_files(tmp_path, 1), peer, calling="US")


def test_send_when_the_peer_takes_none_of_it_then_says_so(tmp_path: Path) -> None:
    with (
        _Scp(contexts=[(RT_PLAN, EXPLICIT)]).running() as peer,
        pytest.raises(NotSent, match="takes none of these objects"),
    ):
        send(_files(tmp_path, 1), peer, calling="US")


def test_send_when_more_kinds_than_contexts_then_takes_several_associations(tmp_path: Path) -> None:
    """Private classes stand in for the many of a real archive: 130 classes, two contexts each."""
    classes = [f"{PRIVATE}{number}" for number in range(MOST_CONTEXTS + 2)]
    paths = []
    for number, sop_class in enumerate([*classes, classes[0]]):
        path = tmp_path / f"{number}.dcm"
        instance = f"1.2.3.{number}"
        path.write_bytes(
            part10(dataset(instance=instance, sop_class=sop_class), instance=instance, sop_class=sop_class)
        )
        paths.append(path)
    scp = _Scp(contexts=[(one, EXPLICIT) for one in classes])
    with scp.running() as peer:
        sent = send(paths, peer, calling="US")
    assert scp.associations == [MOST_CONTEXTS, MOST_CONTEXTS, 4]
    assert [one.path for one in sent] == paths
    assert all(one.is_stored for one in sent)
    order = [*range(MOST_CONTEXTS // 2), MOST_CONTEXTS + 2, *range(MOST_CONTEXTS // 2, MOST_CONTEXTS + 2)]
    assert scp.received == [f"1.2.3.{number}" for number in order]


def test_send_when_a_file_is_no_dicom_then_refused_before_anything_goes_out(tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear colleague", "utf-8")
    scp = _Scp()
    with scp.running() as peer:
        for wrong in (letter, tmp_path / "missing.dcm"):
            with pytest.raises(NotSent, match=wrong.name):
                send([*_files(tmp_path, 1), wrong], peer, calling="US")
    assert scp.associations == []


def test_send_when_there_is_nothing_then_no_association_is_made() -> None:
    assert send([], Peer(aet="PEER", host="127.0.0.1", port=1), calling="US") == ()


@pytest.fixture
def house(tmp_path: Path, sample_department: Department) -> Iterator[House]:
    """An archive with the plan of the prostate course."""
    with local(tmp_path / "home") as opened:
        take_in(opened, [sample_department.patient("SAMPLE-0003").courses[0].plans[0].path])
        yield opened


@pytest.mark.server
def test_send_dossier_when_dcmtk_receives_then_it_has_the_dossier_and_the_journal_says_so(
    house: House, tmp_path: Path, sample_department: Department
) -> None:
    course = sample_department.patient("SAMPLE-0003").courses[0]
    take_in(house, [course.folder])
    _, dossier = house.dossier(found(house)[0]["id"])
    with dcmtk.storescp(tmp_path / "received") as port:
        body = send_dossier(house, dossier, Peer(aet="JUDGE", host="127.0.0.1", port=port))
    assert (body["objects"], body["stored"], body["refused"]) == (40, 40, [])
    received = sorted(_dataset(path) for path in (tmp_path / "received").iterdir())
    assert received == sorted(_dataset(path) for path in course.folder.rglob("*.dcm"))
    house.journal.flush()
    event = list(house.journal.events())[-1]
    assert (event["act"], event["outcome"], event["subject"]["objects"]) == ("send", "done", 40)
    assert event["subject"]["peer"] == f"JUDGE@127.0.0.1:{port}"
    assert [path.name for path in house.home.glob("lastgate-send-*")] == []


@LEAKS
def test_send_dossier_when_the_peer_is_away_then_the_journal_holds_the_refusal(house: House) -> None:
    _, dossier = house.dossier(found(house)[0]["id"])
    with pytest.raises(NotSent):
        send_dossier(house, dossier, Peer(aet="PEER", host="127.0.0.1", port=1))
    house.journal.flush()
    event = list(house.journal.events())[-1]
    assert (event["act"], event["outcome"], event["subject"]["reason"]) == ("send", "refused", "LG-ING-500")


@pytest.mark.parametrize("form", ["bare data set", "meta group of another instance", "meta group without preamble"])
def test_send_dossier_when_a_file_says_something_else_of_itself_then_goes_out_by_what_it_holds(
    tmp_path: Path, sample_department: Department, form: str
) -> None:
    original = sample_department.patient("SAMPLE-0005").courses[0].plans[0].path.read_bytes()
    body = _dataset(sample_department.patient("SAMPLE-0005").courses[0].plans[0].path)
    plan = sample_department.patient("SAMPLE-0005").courses[0].plans[0]
    other = file_header(sop_class_uid=CT_CLASS, sop_instance_uid="1.2.77", transfer_syntax_uid=EXPLICIT)
    variants = {
        "bare data set": body,
        "meta group of another instance": other + body,
        "meta group without preamble": original[132:],
    }
    path = tmp_path / "odd.dcm"
    path.write_bytes(variants[form])
    scp = _Scp(contexts=[(RT_PLAN, EXPLICIT)])
    with local(tmp_path / "home") as house, scp.running() as peer:
        assert take_in(house, [path]).counts == {"stored": 1}
        _, dossier = house.dossier(found(house)[0]["id"])
        answer = send_dossier(house, dossier, peer)
    assert (answer["stored"], answer["refused"]) == (1, [])
    assert scp.received == [plan.uid]


def test_send_dossier_when_stored_bytes_have_rotted_then_they_are_not_sent_and_it_says_so(house: House) -> None:
    _, dossier = house.dossier(found(house)[0]["id"])
    path = house.home / "archive" / dossier.instances[0].receipt.key
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.chmod(0o600)
    path.write_bytes(body)
    scp = _Scp(contexts=[(RT_PLAN, IMPLICIT)])
    with scp.running() as peer:
        answer = send_dossier(house, dossier, peer)
    assert answer["stored"] == 0
    assert "digest of its receipt" in answer["refused"][0]["reason"]
    assert scp.received == []
