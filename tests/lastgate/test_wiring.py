"""The wiring: which parts a house is made of, and how dossiers and patients are named in it."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest
from moto import mock_aws

from archive.errors import Ambiguous, NotFound
from archive.facts.receipts import PatientKey
from archive.journal.journal import Event
from lastgate.reception import take_in
from lastgate.sample import Department
from lastgate.settings import IndexSettings, NodeSettings, Settings, SettingsError, StoreSettings
from lastgate.wiring import House, open_house
from lastgate.worklist import worklist
from search.elastic import ElasticEngine
from search.sqlite import SqliteEngine
from storage.errors import StorageError, StoreUnavailable
from storage.filesystem import FilesystemStore
from storage.s3 import S3Store
from tests.acceptance.houses import found, local
from tests.ingest.datasets import write_file


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sample_department: Department) -> Iterator[House]:
    """An archive on local disk with the breast course (two plans), the mediastinum and the rectum."""
    second, fifth = (sample_department.patient(f"SAMPLE-000{number}") for number in (2, 5))
    with local(tmp_path_factory.mktemp("wiring") / "home") as opened:
        report = take_in(opened, [second.folder, fifth.folder])
        assert set(report.counts) == {"stored"}
        yield opened


def _ids(house: House) -> dict[str, str]:
    return {answer["plans"][0]["label"]: answer["id"] for answer in found(house)}


def test_dossier_when_named_by_id_or_its_beginning_then_is_that_one(house: House) -> None:
    whole = _ids(house)["Rectum_50Gy"]
    for name in (whole, whole[:10], whole[:6], whole[:10].upper()):
        key, dossier = house.dossier(name)
        assert dossier.id == whole
        assert dossier.person.identifiers[0].value == "SAMPLE-0005"
        assert key in set(house.facts.patients())


def test_dossier_when_named_by_the_id_of_its_other_plan_then_is_the_same(house: House) -> None:
    (breast,) = [answer for answer in found(house) if len(answer["plans"]) == 2]
    (alias,) = breast["aliases"]
    assert alias != breast["id"]
    assert house.dossier(alias)[1].id == house.dossier(alias[:10])[1].id == breast["id"]


def test_dossier_when_the_beginning_fits_two_then_refused_with_their_names(house: House) -> None:
    ids = [whole for whole in _ids(house).values() if whole.startswith("f")]
    assert len(ids) == 2
    with pytest.raises(Ambiguous, match="fits 2 dossiers") as raised:
        house.dossier("f")
    assert all(whole in str(raised.value) for whole in ids)


@pytest.mark.parametrize("name", ["nosuch", "", "  ", "*", "SAMPLE-0005", "Rectum_50Gy"])
def test_dossier_when_nothing_bears_the_name_then_not_found(house: House, name: str) -> None:
    with pytest.raises(NotFound):
        house.dossier(name)


@pytest.mark.parametrize("name", ["SAMPLE-0002", "SAMPLE-HIS/SAMPLE-0002"])
def test_patient_when_named_by_identifier_then_is_that_person(house: House, name: str) -> None:
    record = house.patient(name)
    assert record.person.name == "Li^XiuYing=李^秀英"
    assert len(record.dossiers) == 2


def test_patient_when_named_by_a_dossier_then_is_the_one_it_belongs_to(house: House) -> None:
    assert house.patient(_ids(house)["Rectum_50Gy"][:10]).person.identifiers[0].value == "SAMPLE-0005"


@pytest.mark.parametrize("name", ["", " ", "*", "SAMPLE-*", "SAMPLE-000?", "sample-0002", "ELSEWHERE/SAMPLE-0002"])
def test_patient_when_the_name_is_not_exactly_an_identifier_then_not_found(house: House, name: str) -> None:
    with pytest.raises(NotFound):
        house.patient(name)


def test_dossier_when_two_patients_have_one_plan_then_refused_until_the_patient_is_named(
    tmp_path: Path, sample_department: Department
) -> None:
    plan = sample_department.patient("SAMPLE-0003").courses[0].plans[0].path
    other = pydicom.dcmread(plan)
    other.PatientID = "SOMEBODY-ELSE"
    other.save_as(tmp_path / "other.dcm")
    with local(tmp_path / "home") as house:
        take_in(house, [plan, tmp_path / "other.dcm"])
        (identity,) = {answer["id"] for answer in found(house)}

        with pytest.raises(Ambiguous, match="2 patients") as raised:
            house.dossier(identity[:10])
        named = [house.dossier(f"{identity[:10]}@{who}")[1] for who in ("SAMPLE-0003", "SOMEBODY-ELSE")]

    assert "DOSSIER@ID" in raised.value.advice
    assert [one.person.identifiers[0].value for one in named] == ["SAMPLE-0003", "SOMEBODY-ELSE"]


@pytest.fixture
def two_persons(tmp_path: Path) -> Iterator[House]:
    """Two persons to whom two clinics gave the same number."""
    home = tmp_path / "home"
    for issuer, instance in (("EAST", "1.2.8.1"), ("WEST", "1.2.8.2")):
        path = write_file(tmp_path / f"{issuer}.dcm", instance=instance, patient="7", name=f"{issuer}^One")
        with open_house(Settings(home=home, node=NodeSettings(port=0, issuer=issuer))) as house:
            take_in(house, [path])
    with local(home) as house:
        yield house


def test_patient_when_two_persons_have_the_identifier_then_refused_until_its_issuer_is_named(
    two_persons: House,
) -> None:
    with pytest.raises(Ambiguous, match="2 patients have the identifier '7'") as raised:
        two_persons.patient("7")
    assert "ISSUER/ID" in raised.value.advice
    assert [two_persons.patient(f"{issuer}/7").person.name for issuer in ("EAST", "WEST")] == ["EAST^One", "WEST^One"]


def test_patient_when_the_identifier_holds_a_slash_then_is_found_whole(tmp_path: Path) -> None:
    with local(tmp_path / "home") as house:
        take_in(house, [write_file(tmp_path / "a.dcm", patient="2026/17", name="Slash^One")])
        assert house.patient("2026/17").person.name == "Slash^One"


def test_rebuild_when_the_index_is_lost_then_every_answer_is_as_before(
    tmp_path: Path, sample_department: Department
) -> None:
    home = tmp_path / "home"
    with local(home) as house:
        take_in(house, [sample_department.patient("SAMPLE-0003").folder])
        take_in(house, [write_file(tmp_path / "loose.dcm")])
        before = found(house), worklist(house)
    for path in home.glob("index.sqlite*"):
        path.unlink()
    with local(home) as house:
        assert found(house) == []
        assert house.rebuild() > 0
        assert (found(house), worklist(house)) == before


def test_patients_with_when_an_instance_is_known_then_names_its_patient(
    house: House, sample_department: Department
) -> None:
    plan = sample_department.patient("SAMPLE-0005").courses[0].plans[0]
    key, _ = house.dossier(_ids(house)["Rectum_50Gy"])
    assert house.patients_with(plan.uid) == frozenset({PatientKey(key)})
    assert house.patients_with("1.2.3.4.5") == frozenset()


def test_worklist_when_something_waits_then_names_open_loose_and_quarantined(
    tmp_path: Path, sample_department: Department
) -> None:
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(sample_department.paths[0].read_bytes()[:-1])
    loose = write_file(tmp_path / "loose.dcm", patient="L1")
    with local(tmp_path / "home") as house:
        take_in(house, [sample_department.patient("SAMPLE-0005").folder, loose, broken])
        body = worklist(house)
    (open_dossier,) = body["dossiers"]
    assert (open_dossier["state"], open_dossier["patient"]["ids"][0]["value"]) == ("open", "SAMPLE-0005")
    (unattached,) = body["unattached"]
    assert unattached["patient"]["ids"][0]["value"] == "L1"
    assert [one["uid"] for one in unattached["unattached"]] == ["1.2.3.4"]
    (note,) = body["quarantine"]
    assert note["reason"] == "LG-ING-102"
    assert note["hint"]


def test_house_when_nothing_is_asked_of_it_then_makes_nothing(tmp_path: Path) -> None:
    with local(tmp_path / "home"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_house_when_settings_name_nothing_else_then_stands_on_local_disk(tmp_path: Path) -> None:
    with open_house(Settings(home=tmp_path / "h", store=StoreSettings(root=tmp_path / "elsewhere"))) as house:
        assert isinstance(house.stores.work, FilesystemStore)
        assert house.stores.locked is house.stores.work
        assert isinstance(house.index, SqliteEngine)
    assert {path.name for path in tmp_path.iterdir()} == {"h", "elsewhere"}


def test_house_when_settings_name_elasticsearch_then_the_index_is_there(tmp_path: Path) -> None:
    with open_house(Settings(home=tmp_path, index=IndexSettings(kind="elasticsearch", name="n1"))) as house:
        assert isinstance(house.index, ElasticEngine)


def test_house_when_kept_for_years_then_the_last_day_of_february_has_a_term(tmp_path: Path) -> None:
    from unittest import mock

    leap = datetime(2028, 2, 29, 12, tzinfo=UTC)
    with local(tmp_path) as house, mock.patch("lastgate.wiring.utc_now", return_value=leap):
        assert house.end_of_retention() == datetime(2058, 3, 1, 12, tzinfo=UTC)


def _credentials(folder: Path, text: str = "any", *, mode: int = 0o400) -> Path:
    path = folder / f"credential-{text}-{mode:o}"
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


def _on_s3(home: Path, **settings: Path | None) -> Settings:
    return Settings(home=home, node=NodeSettings(port=0), store=StoreSettings(kind="s3", **settings))  # type: ignore[arg-type]


def test_house_when_settings_name_s3_then_vault_and_work_have_buckets_and_the_vault_locks(tmp_path: Path) -> None:
    key = _credentials(tmp_path)
    with mock_aws(), open_house(_on_s3(tmp_path / "h", access_key_file=key, secret_key_file=key)) as house:
        work, locked = house.stores.work, house.stores.locked
        assert isinstance(work, S3Store)
        assert isinstance(locked, S3Store)
        assert not work.capabilities.locks_versions
        assert locked.capabilities.locks_versions


def test_house_when_a_credential_is_not_in_a_file_of_its_own_then_refused(tmp_path: Path) -> None:
    good = _credentials(tmp_path)
    wrong = {
        "store.secret_key_file is not set": None,
        "can't be read: No such file": tmp_path / "missing",
        "can be read by anybody": _credentials(tmp_path, mode=0o444),
        "is empty": _credentials(tmp_path, "\n"),
    }
    for told, path in wrong.items():
        with (
            open_house(_on_s3(tmp_path / "h", access_key_file=good, secret_key_file=path)) as house,
            pytest.raises(SettingsError, match=told),
        ):
            house.stores  # noqa: B018


def test_close_when_the_journal_cannot_be_chained_then_the_index_is_let_go_all_the_same(
    tmp_path: Path, sample_department: Department
) -> None:
    house = House(Settings(home=tmp_path / "home", node=NodeSettings(port=0)))
    take_in(house, [sample_department.patient("SAMPLE-0003").courses[0].plans[0].path])
    shutil.rmtree(tmp_path / "home" / "archive")
    (tmp_path / "home" / "archive").write_text("a file in the way", "utf-8")
    with pytest.raises((StorageError, OSError)):
        house.close()
    with pytest.raises(Exception, match="closed"):
        found(house)


def test_house_when_the_disk_of_its_archive_is_not_there_then_no_empty_archive_begins(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", store=StoreSettings(root=tmp_path / "disk" / "archive"))
    with open_house(settings) as house:
        house.journal.append(Event(act="view", account="anybody"))
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    (tmp_path / "disk").mkdir()

    with pytest.raises(StoreUnavailable), open_house(settings) as house:
        house.stores.work.list("facts/")

    assert list((tmp_path / "disk").iterdir()) == []
