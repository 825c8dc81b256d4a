"""Asking others for commitment: pynetdicom plays the archive that is asked."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_role, evt

from ingest.commitment.asking import Asking
from ingest.commitment.calling import Line
from ingest.commitment.references import Failure, Message, Reference, dataset_of
from ingest.commitment.requests import OwnRequests
from ingest.commitment.telling import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from ingest.peers import Destination
from tests.ingest.commitment.conftest import Archive
from tests.ingest.datasets import CT_CLASS, IMPLICIT

REFERENCES = (Reference(CT_CLASS, "1.2.3.1"), Reference(CT_CLASS, "1.2.3.2"))


class OtherArchive:
    """Takes requests and answers as it is told."""

    def __init__(self, status: int = 0x0000, answer: Message | None = None) -> None:
        self.status = status
        self.answer = answer
        self.asked: list[Dataset] = []

    def on_n_action(self, event: evt.Event) -> tuple[int, None]:
        asked = event.action_information
        self.asked.append(asked)
        if self.answer is not None:
            threading.Timer(0.3, self._tell, args=(event.assoc, str(asked.TransactionUID))).start()
        return self.status, None

    def _tell(self, association: object, transaction: str) -> None:
        assert self.answer is not None
        message = Message(transaction_uid=transaction, references=self.answer.references, failures=self.answer.failures)
        association.send_n_event_report(  # type: ignore[attr-defined]
            dataset_of(message, IMPLICIT), 2 if message.failures else 1, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
        )

    @contextmanager
    def listening(self) -> Iterator[Destination]:
        entity = AE(ae_title="OTHER")
        entity.add_supported_context(STORAGE_COMMITMENT, [IMPLICIT])
        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_ACTION, self.on_n_action)])
        assert server is not None
        try:
            yield Destination(aet="OTHER", host="127.0.0.1", port=server.server_address[1])
        finally:
            server.shutdown()


def asking(archive: Archive, *, stays_s: float = 10.0) -> Asking:
    return Asking(archive.answers, Line("LASTGATE"), stays_s=stays_s)


def report(port: int, transaction: str, message: Message) -> int:
    """Tell our node on an association of the other archive's own, as provider."""
    entity = AE(ae_title="OTHER")
    entity.add_requested_context(STORAGE_COMMITMENT, [IMPLICIT])
    role = build_role(STORAGE_COMMITMENT, scp_role=True)
    association = entity.associate("127.0.0.1", port, ae_title="LASTGATE", ext_neg=[role])
    assert association.is_established
    (context,) = association.accepted_contexts
    assert context.as_scp
    told = Message(transaction_uid=transaction, references=message.references, failures=message.failures)
    status, _ = association.send_n_event_report(
        dataset_of(told, IMPLICIT), 1, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
    )
    association.release()
    return int(status.Status)


def test_asking_when_the_answer_comes_on_the_association_then_it_is_kept_and_journaled(archive: Archive) -> None:
    other = OtherArchive(answer=Message(references=REFERENCES))
    with other.listening() as peer:
        request = asking(archive).ask(peer, REFERENCES, dossier="abc")
    assert (request.stage, request.answered_by, request.failures) == ("committed", "OTHER", ())
    assert [str(one.ReferencedSOPInstanceUID) for one in other.asked[0].ReferencedSOPSequence] == ["1.2.3.1", "1.2.3.2"]
    event = archive.house.events[-1]
    assert (event.act, event.account, event.outcome, event.subject["dossier"]) == ("committed", "OTHER", "done", "abc")


def test_asking_when_the_answer_names_less_than_was_asked_then_the_rest_is_not_committed(archive: Archive) -> None:
    with OtherArchive(answer=Message(references=REFERENCES[:1])).listening() as peer:
        request = asking(archive).ask(peer, REFERENCES)
    assert (request.stage, request.failures) == ("failed", (Failure(CT_CLASS, "1.2.3.2", 0),))


def test_asking_when_the_answer_comes_on_the_peers_own_association_then_the_node_takes_it_once(
    archive: Archive,
) -> None:
    with OtherArchive().listening() as peer, archive.node() as port:
        request = asking(archive, stays_s=0.0).ask(peer, REFERENCES)
        assert request.stage == "asked"
        failures = (Failure(*REFERENCES[1], 0x0112),)
        message = Message(references=REFERENCES[:1], failures=failures)
        assert report(port, request.transaction_uid, message) == 0x0000
        assert report(port, request.transaction_uid, Message(references=REFERENCES)) == 0x0000  # too late
        assert report(port, "2.25.1", message) == 0x0115
    stands = OwnRequests(archive.house.store).find(request.transaction_uid)
    assert stands is not None
    assert (stands.stage, stands.failures) == ("failed", failures)
    assert [event.act for event in archive.house.events].count("committed") == 1


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_asking_when_the_peer_is_away_then_it_is_asked_again_after_a_restart(archive: Archive) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = Destination(aet="OTHER", host="127.0.0.1", port=taken.getsockname()[1])
    request = asking(archive).ask(nobody, REFERENCES)
    assert (request.stage, request.tries) == ("unsent", 1)
    assert "LG-ING-702" in request.reason
    other = OtherArchive(answer=Message(references=REFERENCES))
    asking(archive).round(archive.stop)
    assert OwnRequests(archive.house.store).find(request.transaction_uid) == request  # it is not time yet
    archive.pass_time(timedelta(minutes=1))
    asking(archive).round(archive.stop)
    stands = OwnRequests(archive.house.store).find(request.transaction_uid)
    assert stands is not None
    assert stands.tries == 2
    assert other.asked == []


def test_asking_when_the_peer_does_not_take_it_then_that_is_the_end_of_it(archive: Archive) -> None:
    with OtherArchive(status=0x0114).listening() as peer:
        request = asking(archive).ask(peer, REFERENCES)
    assert (request.stage, request.reason) == ("refused", "The peer answered 0114")


def test_asking_when_the_peer_has_no_room_then_it_is_asked_again(archive: Archive) -> None:
    with OtherArchive(status=0x0213).listening() as peer:
        request = asking(archive).ask(peer, REFERENCES)
    assert (request.stage, request.tries, request.reason) == ("unsent", 1, "The peer answered 0213")


def test_requests_when_a_year_is_over_then_only_the_open_ones_stay(archive: Archive) -> None:
    with OtherArchive(answer=Message(references=REFERENCES)).listening() as peer:
        answered = asking(archive).ask(peer, REFERENCES)
    with OtherArchive().listening() as peer:
        waiting = asking(archive, stays_s=0.0).ask(peer, REFERENCES)
    archive.pass_time(timedelta(days=366))
    asking(archive).round(archive.stop)
    kept = OwnRequests(archive.house.store)
    assert kept.find(answered.transaction_uid) is None
    assert kept.find(waiting.transaction_uid) is not None
