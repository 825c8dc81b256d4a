"""Peers are told what was filed: pynetdicom plays one."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt

from ingest.availability.notices import Notices
from ingest.availability.notifying import AVAILABILITY_NOTIFICATION, Filed, Notifying
from ingest.commitment.calling import Line
from ingest.peers import Destination
from tests.ingest.conftest import House
from tests.ingest.datasets import write_file


class Listener:
    """A system that wants to know."""

    def __init__(self, status: int = 0x0000) -> None:
        self.status = status
        self.told: list[Dataset] = []
        self.port = 0

    def on_n_create(self, event: evt.Event) -> tuple[int, Dataset]:
        self.told.append(event.attribute_list)
        return self.status, Dataset()

    @contextmanager
    def listening(self) -> Iterator[None]:
        entity = AE(ae_title="PACS")
        entity.add_supported_context(AVAILABILITY_NOTIFICATION)
        server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_N_CREATE, self.on_n_create)]
        )
        assert server is not None
        self.port = server.server_address[1]
        try:
            yield
        finally:
            server.shutdown()

    @property
    def place(self) -> Destination:
        return Destination(aet="PACS", host="127.0.0.1", port=self.port)


def notifying(house: House, listener: Listener) -> Notifying:
    """Return what gives notices, as after a start of the process."""
    notices = Notices(house.store)
    find = {"PACS": listener.place}.get
    return Notifying(notices, house.store, Line("LASTGATE"), find, retrieve_aet="LASTGATE", clock=house.clock)


def file(house: House, folder: Path, *names: tuple[str, str, str]) -> None:
    """File instances: study, series, instance."""
    house.take(
        *(write_file(folder / f"{uid}.dcm", study=study, series=series, instance=uid) for study, series, uid in names)
    )
    Filed(notices=Notices(house.store), peers=["PACS"], clock=house.clock).note(house.events)


def test_notifying_when_instances_were_filed_then_each_study_is_told_once(house: House, tmp_path: Path) -> None:
    file(house, tmp_path, ("1.1", "1.1.1", "1.1.1.1"), ("1.1", "1.1.2", "1.1.2.1"), ("1.2", "1.2.1", "1.2.1.1"))
    listener = Listener()
    with listener.listening():
        notifying(house, listener).round()
        assert listener.told == []  # more of the study may come
        house.now += timedelta(seconds=11)
        notifying(house, listener).round()
        notifying(house, listener).round()
    told = {one.StudyInstanceUID: one for one in listener.told}
    assert (len(listener.told), set(told)) == (2, {"1.1", "1.2"})
    assert [one.SeriesInstanceUID for one in told["1.1"].ReferencedSeriesSequence] == ["1.1.1", "1.1.2"]
    (instance,) = told["1.2"].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert (instance.ReferencedSOPInstanceUID, instance.InstanceAvailability) == ("1.2.1.1", "ONLINE")
    assert instance.RetrieveAETitle == "LASTGATE"


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_notifying_when_the_peer_is_away_then_it_is_told_later(house: House, tmp_path: Path) -> None:
    file(house, tmp_path, ("1.1", "1.1.1", "1.1.1.1"))
    listener = Listener()
    with listener.listening():
        pass
    house.now += timedelta(seconds=11)
    tells = notifying(house, listener)
    tells.round()
    with listener.listening():
        tells.round()
        assert listener.told == []  # it is left alone for a while
        house.now += timedelta(seconds=31)
        tells.round()
    assert [one.StudyInstanceUID for one in listener.told] == ["1.1"]
    assert list(Notices(house.store).waiting()) == []


def test_notifying_when_the_peer_has_no_room_then_the_notice_stays_for_a_week(house: House, tmp_path: Path) -> None:
    file(house, tmp_path, ("1.1", "1.1.1", "1.1.1.1"))
    listener = Listener(status=0x0213)
    with listener.listening():
        house.now += timedelta(seconds=11)
        notifying(house, listener).round()
        assert len(list(Notices(house.store).waiting())) == 1
        house.now += timedelta(days=8)
        notifying(house, listener).round()
    assert list(Notices(house.store).waiting()) == []


def test_notifying_when_the_peer_refuses_then_that_is_the_end_of_it(house: House, tmp_path: Path) -> None:
    file(house, tmp_path, ("1.1", "1.1.1", "1.1.1.1"))
    listener = Listener(status=0x0106)
    house.now += timedelta(seconds=11)
    with listener.listening():
        notifying(house, listener).round()
    assert list(Notices(house.store).waiting()) == []
