"""Requests and reports over the network, between our node and pynetdicom."""

from datetime import timedelta
from pathlib import Path

import pytest

from ingest.commitment.transactions import Transactions
from ingest.peers import Destination
from storage.errors import StoreUnavailable
from tests.ingest.commitment.conftest import Archive, Requestor, ask
from tests.ingest.datasets import write_file


def test_commitment_when_all_is_held_then_the_waiting_requestor_hears_it_on_its_association(
    archive: Archive, requestor: Requestor, tmp_path: Path
) -> None:
    archive.house.take(*(write_file(tmp_path / f"{n}.dcm", instance=f"1.2.3.{n}") for n in (1, 2)))
    with archive.node() as port, requestor.calling(port) as association:
        assert ask(association, "1.9.1", "1.2.3.1", "1.2.3.2") == 0x0000
        archive.answering().round(archive.stop)
        heard = requestor.heard.get(timeout=20)
    assert (heard.event, heard.transaction) == (1, "1.9.1")
    assert (heard.committed, heard.failed) == ({"1.2.3.1", "1.2.3.2"}, {})


def test_commitment_when_the_requestor_released_then_it_is_called_with_the_role_of_the_provider(
    archive: Archive, requestor: Requestor, tmp_path: Path
) -> None:
    archive.house.take(write_file(tmp_path / "a.dcm", instance="1.2.3.1"))
    with archive.node() as port, requestor.listening():
        archive.destinations["SCANNER"] = Destination(aet="SCANNER", host="127.0.0.1", port=requestor.port)
        with requestor.calling(port) as association:
            assert ask(association, "1.9.1", "1.2.3.1", "1.2.3.2") == 0x0000
        archive.pass_time(timedelta(minutes=11))
        answering = archive.answering()
        answering.round(archive.stop)
        answering.round(archive.stop)
        heard = requestor.heard.get(timeout=20)
    assert heard.event == 2
    assert (heard.committed, heard.failed) == ({"1.2.3.1"}, {"1.2.3.2": 0x0112})
    (roles,) = requestor.roles
    assert [(role.scu_role, role.scp_role) for role in roles.values()] == [(False, True)]
    assert [one.state.stage for one in archive.transactions.closed()] == ["told"]
    assert list(archive.transactions.open()) == []


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_commitment_when_the_requestor_is_away_then_it_is_called_again_until_it_listens(
    archive: Archive, requestor: Requestor, tmp_path: Path
) -> None:
    archive.house.take(write_file(tmp_path / "a.dcm", instance="1.2.3.1"))
    with requestor.listening():
        archive.destinations["SCANNER"] = Destination(aet="SCANNER", host="127.0.0.1", port=requestor.port)
    with archive.node() as port, requestor.calling(port) as association:
        assert ask(association, "1.9.1", "1.2.3.1") == 0x0000
        association.abort()
    for _ in range(3):
        archive.answering().round(archive.stop)  # decided, called in vain, not called again yet
    (waiting,) = archive.transactions.open()
    assert (waiting.state.stage, waiting.state.tries) == ("decided", 1)
    assert "SCANNER at 127.0.0.1" in waiting.state.reason
    with requestor.listening():
        archive.pass_time(timedelta(seconds=31))
        archive.answering().round(archive.stop)
        assert requestor.heard.get(timeout=20).committed == {"1.2.3.1"}
    assert list(archive.transactions.open()) == []


def test_commitment_when_the_requestor_has_no_room_then_it_is_told_again(
    archive: Archive, requestor: Requestor, tmp_path: Path
) -> None:
    archive.house.take(write_file(tmp_path / "a.dcm", instance="1.2.3.1"))
    requestor.answers = 0x0213
    with archive.node() as port, requestor.calling(port) as association:
        assert ask(association, "1.9.1", "1.2.3.1") == 0x0000
        archive.answering().round(archive.stop)
        requestor.heard.get(timeout=20)
    (waiting,) = archive.transactions.open()
    assert waiting.state.stage == "decided"


@pytest.mark.parametrize(
    ("action", "uids", "status"), [(2, ("1.2.3.1",), 0x0123), (1, (), 0x0114), (1, ("1.2.3.1",), 0x0000)]
)
def test_commitment_when_the_request_is_wrong_then_it_is_refused_and_not_kept(
    archive: Archive, requestor: Requestor, action: int, uids: tuple[str, ...], status: int
) -> None:
    with archive.node() as port, requestor.calling(port) as association:
        assert ask(association, "1.9.1", *uids, action=action) == status
        assert len(list(archive.transactions.open())) == (status == 0x0000)


def test_commitment_when_a_transaction_is_asked_twice_then_the_second_is_refused(
    archive: Archive, requestor: Requestor
) -> None:
    with archive.node() as port, requestor.calling(port) as association:
        assert [ask(association, "1.9.1", "1.2.3.1") for _ in range(2)] == [0x0000, 0x0131]


def test_commitment_when_the_store_is_away_then_the_request_is_not_accepted(
    archive: Archive, requestor: Requestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_arguments: object) -> None:
        raise StoreUnavailable("the store is away")

    monkeypatch.setattr(Transactions, "record", away)
    with archive.node() as port, requestor.calling(port) as association:
        assert ask(association, "1.9.1", "1.2.3.1") == 0x0110
