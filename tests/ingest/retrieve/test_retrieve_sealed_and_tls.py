"""Retrieving what lies in the vault alone, and over TLS in both directions."""

import ssl
from pathlib import Path
from unittest import mock

import pytest
from pydicom import Dataset
from pynetdicom import AE, _config, build_role, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet  # type: ignore[attr-defined]

from archive.facts.decisions import Close
from ingest.peers.tls import TlsFiles
from lastgate.checking import check_doses
from lastgate.reception import receiving, take_in
from lastgate.sample import Department
from lastgate.settings import GateSettings, NodeSettings, PeerSettings, Settings, TlsSettings
from lastgate.wiring import House, open_house
from tests.acceptance.houses import found
from tests.factories import rules_file
from tests.ingest.datasets import CT_CLASS, EXPLICIT, write_file
from tests.ingest.peers.authority import Authority
from tests.ingest.retrieve.clients import free_port, movescu, storescp
from tests.ingest.retrieve.conftest import Stored, data_sets

pytestmark = pytest.mark.server

STUDY = ("QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.3")


def test_move_when_the_intake_let_go_of_what_is_sealed_then_it_comes_from_the_vault(
    tmp_path: Path, sample_department: Department
) -> None:
    patient, port = sample_department.patient("SAMPLE-0003"), free_port()
    peer = PeerSettings(title="DEST", host="127.0.0.1", port=port)
    node = NodeSettings(port=0, unknown_peers="accept", peers=(peer,))
    rules = GateSettings(rules=rules_file(tmp_path))
    with open_house(Settings(home=tmp_path / "home", node=node, gate=rules)) as house:
        take_in(house, patient.paths)
        check_doses(house)
        _seal_and_empty_the_intake(house)
        with receiving(house, port=0) as reception, storescp(tmp_path / "got", "+xa", port=port):
            told = movescu(reception.port, ("QueryRetrieveLevel=PATIENT", "PatientID=SAMPLE-0003"), "DEST", "-P")
    assert told.status == 0
    assert data_sets(tmp_path / "got") == {one.uid: one.data_set for one in map(Stored.of, patient.paths)}


def _seal_and_empty_the_intake(house: House) -> None:
    account = house.accounts.add("mei", "file-manager", "correct horse")
    key, dossier = house.dossier(found(house)[0]["id"])
    end = Close(plan_uids=(), outcome="completed", last_date=dossier.last_fraction)
    house.desk.close(key, dossier.id, end, account=account)
    house.desk.seal(key, dossier.id, account=account)
    for receipt in house.facts.read(key).receipts:
        house.stores.work.delete(receipt.key)


@pytest.fixture
def files(tmp_path: Path) -> tuple[TlsFiles, TlsFiles]:
    """The files of the node, and those of its peer."""
    authority = Authority(tmp_path / "authority")
    return authority.files("CN=LASTGATE"), authority.files("CN=DEST")


def _over_tls(files: TlsFiles) -> list[str]:
    return ["+tls", str(files.key), str(files.certificate), "+cf", str(files.authorities)]


def _get_over_tls(port: int, files: TlsFiles) -> dict[str, bytes]:
    """Ask with C-GET over TLS, which DCMTK's getscu does not speak, and return the data sets that came."""
    got: dict[str, bytes] = {}

    def keep(event: evt.Event) -> int:
        request = event.request
        assert isinstance(request, C_STORE)
        assert request.DataSet is not None
        got[str(request.AffectedSOPInstanceUID)] = request.DataSet.getvalue()
        return 0

    entity = AE(ae_title="VIEWER")  # a stranger may; the rule for DEST allows no C-GET
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    entity.add_requested_context(CT_CLASS, EXPLICIT)
    context = ssl.create_default_context(cafile=files.authorities)
    context.load_cert_chain(files.certificate, files.key)
    # A node of ours in this process has left its own settings in pynetdicom's globals.
    with mock.patch.object(_config, "STORE_RECV_CHUNKED_DATASET", new=False):
        association = entity.associate(
            "127.0.0.1",
            port,
            ext_neg=[build_role(CT_CLASS, scp_role=True)],
            evt_handlers=[(evt.EVT_C_STORE, keep)],
            tls_args=(context, "127.0.0.1"),
        )
        assert association.is_established
        wanted = Dataset()
        wanted.QueryRetrieveLevel, wanted.StudyInstanceUID = "STUDY", "1.2.3"
        answers = list(association.send_c_get(wanted, StudyRootQueryRetrieveInformationModelGet))
        association.release()
    assert answers[-1][0].Status == 0
    return got


def test_move_and_get_when_both_speak_tls_then_bytes_arrive_as_they_are(
    tmp_path: Path, files: tuple[TlsFiles, TlsFiles]
) -> None:
    ours, theirs = files
    port = free_port()
    tls_port = free_port()
    node = NodeSettings(
        port=0,
        unknown_peers="accept",
        peers=(PeerSettings(title="DEST", host="127.0.0.1", port=port, tls=True),),
        tls=TlsSettings(certificate=ours.certificate, key=ours.key, authorities=ours.authorities, port=tls_port),
    )
    paths = [write_file(tmp_path / f"{number}.dcm", instance=f"1.2.3.{number}") for number in range(3)]
    with open_house(Settings(home=tmp_path / "home", node=node)) as house:
        take_in(house, paths)
        with receiving(house, port=0) as reception, storescp(tmp_path / "moved", *_over_tls(theirs), port=port):
            moved = movescu(reception.port, STUDY, "DEST")
            got = _get_over_tls(tls_port, theirs)
    assert moved.status == 0
    expected = {one.uid: one.data_set for one in map(Stored.of, paths)}
    assert data_sets(tmp_path / "moved") == expected
    assert got == expected


def test_move_when_the_destination_shows_a_strange_certificate_then_nothing_is_sent(
    tmp_path: Path, files: tuple[TlsFiles, TlsFiles]
) -> None:
    ours, _ = files
    stranger = Authority(tmp_path / "stranger").files("CN=DEST")
    port = free_port()
    node = NodeSettings(
        port=0,
        unknown_peers="accept",
        peers=(PeerSettings(title="DEST", host="127.0.0.1", port=port, tls=True),),
        tls=TlsSettings(certificate=ours.certificate, key=ours.key, authorities=ours.authorities, port=free_port()),
    )
    with open_house(Settings(home=tmp_path / "home", node=node)) as house:
        take_in(house, [write_file(tmp_path / "1.dcm")])
        with receiving(house, port=0) as reception, storescp(tmp_path / "moved", *_over_tls(stranger), port=port):
            told = movescu(reception.port, STUDY, "DEST")
    assert told.status == 0xA702
    assert list((tmp_path / "moved").iterdir()) == []
