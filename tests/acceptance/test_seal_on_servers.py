"""The main job on real servers: a course comes in, is closed and sealed under Object Lock, and stays."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.facts.decisions import Close, Sealed
from archive.facts.receipts import PatientKey
from archive.model import Dossier, DossierState
from archive.vault.ocfl import object_folder
from lastgate.checking import check_doses
from lastgate.reception import take_in
from lastgate.sample import Department
from lastgate.wiring import House
from search.kinds import Kind
from search.query import Query
from storage.base import Version
from storage.errors import Retained
from tests.acceptance.houses import on_servers
from tests.servers.seaweedfs import Seaweed

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, seaweedfs: Seaweed, elasticsearch_url: str) -> Iterator[House]:
    with on_servers(tmp_path_factory.mktemp("servers") / "home", seaweedfs, elasticsearch_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def sealed(house: House, sample_department: Department) -> tuple[PatientKey, Dossier]:
    """The prostate course of the sample, brought in, closed and sealed."""
    course = sample_department.patient("SAMPLE-0003").courses[0]
    take_in(house, [course.folder])
    check_doses(house)
    (hit,) = house.hits(Query(kind=Kind.DOSSIER, patient_id="SAMPLE-0003"))
    key = PatientKey(hit.patient_key)
    doctor = house.accounts.add("mei", "doctor", "long enough")
    closed = house.desk.close(key, hit.body["id"], _end(course.last_fraction), account=doctor)
    house.desk.waive(key, closed.id, "SUMMARY-MISSING", reason="handed out on paper", account=doctor)
    ready = house.desk.dossier(key, closed.id)
    assert ready.state is DossierState.READY, [finding.message for finding in ready.findings]
    return key, house.desk.seal(key, ready.id, account=doctor)


def _end(day: str) -> Close:
    return Close(plan_uids=(), outcome="completed", last_date=day.replace("-", ""))


def test_seal_when_done_on_servers_then_every_file_reads_back(house: House, sealed: tuple[PatientKey, Dossier]) -> None:
    _, dossier = sealed
    assert dossier.state is DossierState.SEALED
    assert list(house.vault.check(dossier.id)) == []
    assert list(house.vault.dossiers()) == [dossier.id]


def test_seal_when_done_on_servers_then_its_fact_names_locked_versions(
    house: House, sealed: tuple[PatientKey, Dossier]
) -> None:
    key, dossier = sealed
    (fact,) = [one.what for one in house.facts.read(key).decisions if isinstance(one.what, Sealed)]
    assert len(fact.version_ids) >= len(dossier.instances)
    folder = object_folder(dossier.id)
    for path, version_id in fact.version_ids.items():
        version = Version(key=f"{folder}/{path}", tag="", version_id=version_id)
        until = house.stores.locked.retention(version)
        assert until is not None
        assert until.year >= int(dossier.last_fraction[:4]) + 30


def test_seal_when_somebody_deletes_a_sealed_version_then_the_server_refuses(
    house: House, sealed: tuple[PatientKey, Dossier]
) -> None:
    key, dossier = sealed
    (fact,) = [one.what for one in house.facts.read(key).decisions if isinstance(one.what, Sealed)]
    path, version_id = next((path, one) for path, one in fact.version_ids.items() if path.endswith(".dcm"))
    folder = object_folder(dossier.id)
    with pytest.raises(Retained):
        house.stores.locked.delete(
            f"{folder}/{path}", version=Version(key=f"{folder}/{path}", tag="", version_id=version_id)
        )
    assert list(house.vault.check(dossier.id)) == []


def test_journal_when_the_course_is_sealed_then_its_chain_is_whole_on_the_servers(
    house: House, sealed: tuple[PatientKey, Dossier]
) -> None:
    house.journal.flush()
    assert house.journal.verify() > 0
    acts = {event["act"] for event in house.journal.events()}
    assert {"receive", "close", "seal"} <= acts


def test_find_when_asked_by_name_part_on_servers_then_the_sealed_dossier_answers(
    house: House, sealed: tuple[PatientKey, Dossier]
) -> None:
    _, dossier = sealed
    for text in ("jorg", "Jörg", "example", "SAMPLE-0003", "prost"):
        assert [hit.body["id"] for hit in house.hits(Query(kind=Kind.DOSSIER, text=text, state=("sealed",)))] == [
            dossier.id
        ]


def test_doctor_when_the_servers_are_fit_then_the_self_tests_pass(house: House) -> None:
    house.stores.work.self_test()
    house.stores.locked.self_test()


def test_home_when_the_archive_lies_on_servers_then_no_object_is_kept_on_disk(house: House, tmp_path: Path) -> None:
    assert not (house.home / "archive").exists()
