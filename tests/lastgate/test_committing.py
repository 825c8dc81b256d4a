"""Storage Commitment of a whole house: sealed dossiers, the index, and the commands."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.facts.decisions import Close
from archive.model import Dossier
from ingest.commitment.references import Reference
from ingest.commitment.transactions import Asked, Transactions
from lastgate.checking import check_doses
from lastgate.committing import answering_of
from lastgate.reception import filer_of, receiving, take_in
from lastgate.sample import Department
from lastgate.settings import CommitmentPart, GateSettings, NodeSettings, Settings
from lastgate.wiring import House, open_house, utc_now
from tests.factories import rules_file
from tests.lastgate.program import environment, lastgate


@pytest.fixture(scope="module")
def sealed_home(sample_department: Department, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an archive with one sealed dossier of the sample."""
    home = tmp_path_factory.mktemp("sealed") / "home"
    patient = next(one for one in sample_department.patients if one.patient_id == "SAMPLE-0003")
    rules = GateSettings(rules=rules_file(home.parent))
    with open_house(Settings(home=home, gate=rules)) as house:
        take_in(house, patient.paths)
        check_doses(house)
        account = house.accounts.add("mei", "file-manager", "correct horse")
        (key,) = house.facts.patients()
        (dossier,) = house.desk.record(key).dossiers
        end = Close(plan_uids=(), outcome="completed", last_date=dossier.last_fraction)
        house.desk.close(key, dossier.id, end, account=account)
        house.desk.seal(key, dossier.id, account=account)
    return home


@pytest.fixture
def house(sealed_home: Path, tmp_path: Path) -> Iterator[House]:
    """A copy of that archive."""
    shutil.copytree(sealed_home, tmp_path / "home")
    with open_house(Settings(home=tmp_path / "home", node=NodeSettings(port=0))) as opened:
        yield opened


@pytest.fixture
def sealed(house: House) -> Dossier:
    """Its dossier."""
    (key,) = house.facts.patients()
    (dossier,) = house.desk.record(key).dossiers
    return dossier


def ask(house: House, dossier: Dossier, transaction: str) -> dict[str, int]:
    """Ask for a whole dossier and return what was not committed to."""
    references = [Reference(one.header.sop_class_uid, one.header.sop_instance_uid) for one in dossier.instances]
    asked = Asked(
        transaction_uid=transaction,
        requestor="CT",
        called="LASTGATE",
        address="",
        node=house.settings.node.id,
        received_at=utc_now(),
        count=len(references),
    )
    transactions = Transactions(house.stores.work)
    transactions.record(asked, references)
    stop = threading.Event()
    answering_of(house, stop).round(stop)
    found = transactions.find(asked.id)
    assert found is not None
    assert found.state.stage == "decided"
    return {one.sop_instance_uid: one.reason for one in transactions.failures(found) or ()}


def copies(house: House) -> dict[str, int]:
    """Return how many copies of each place the newest answer was given on, by the journal."""
    house.journal.flush()
    return [one for one in house.journal.events() if one["act"] == "commit"][-1]["subject"]["copies"]  # type: ignore[no-any-return]


def test_committing_when_a_dossier_is_sealed_then_both_places_are_read_back(house: House, sealed: Dossier) -> None:
    count = len(sealed.instances)
    assert ask(house, sealed, "1.9.1") == {}
    assert copies(house) == {"intake": count, "vault": count}


def test_committing_when_the_intake_let_go_after_sealing_then_the_vault_answers(house: House, sealed: Dossier) -> None:
    for held in sealed.instances:
        (house.home / "archive" / held.receipt.key).unlink()
    assert ask(house, sealed, "1.9.1") == {}
    assert copies(house) == {"vault": len(sealed.instances)}


def test_committing_when_a_sealed_file_rots_then_its_instance_fails_though_the_intake_has_it(
    house: House, sealed: Dossier
) -> None:
    held = sealed.instances[0]
    (path,) = (house.home / "archive" / "vault").rglob(f"{held.uid}.dcm")
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.parent.chmod(0o700)
    path.unlink()  # no longer the same file as the intake's
    path.write_bytes(body)
    assert ask(house, sealed, "1.9.1") == {held.uid: 0x0110}


def test_committing_when_a_sealed_file_is_gone_then_its_instance_fails(house: House, sealed: Dossier) -> None:
    held = sealed.instances[0]
    (path,) = (house.home / "archive" / "vault").rglob(f"{held.uid}.dcm")
    path.parent.chmod(0o700)
    path.unlink()
    assert ask(house, sealed, "1.9.1") == {held.uid: 0x0110}


def test_committing_when_two_copies_are_demanded_of_one_filesystem_then_nothing_is_committed_to(
    house: House, sealed: Dossier
) -> None:
    settings = house.settings.model_copy(update={"commitment": CommitmentPart(least_copies=2)})
    with open_house(settings) as strict:
        assert set(ask(strict, sealed, "1.9.1").values()) == {0x0110}


def test_send_when_the_other_side_commits_then_the_command_says_so_and_lists_it(
    house: House, sealed: Dossier, tmp_path: Path
) -> None:
    """Our own node plays the other archive."""
    env = environment(tmp_path / "home")
    other = Settings(home=tmp_path / "other", node=NodeSettings(port=0, aet="OTHER"))
    with open_house(other) as theirs, receiving(theirs, port=0) as running:
        stop = threading.Event()
        committing = threading.Thread(target=_file_and_commit, args=(theirs, stop))
        committing.start()
        told = lastgate("send", sealed.id, f"OTHER@127.0.0.1:{running.port}", "--commit", env=env)
        stop.set()
        committing.join()
    assert told.code == 0, told.out + told.err
    assert f"OTHER@127.0.0.1:{running.port} answers for all {len(sealed.instances)}." in told.out
    listed = lastgate("commitments", "--json", env=env).json
    assert [(one["stage"], one["dossier"]) for one in listed["asked_by_us"]] == [("committed", sealed.id)]
    assert listed["asked_of_us"] == []
    assert "committed" in lastgate("commitments", env=env).out
    theirs_too = lastgate("commitments", "--json", env=environment(tmp_path / "other")).json
    assert [(one["stage"], one["requestor"]) for one in theirs_too["asked_of_us"]] == [("told", "LASTGATE")]


def _file_and_commit(house: House, stop: threading.Event) -> None:
    with open_house(house.settings) as own:
        answering = answering_of(own, stop)
        while not stop.is_set():
            filer_of(own).drain()
            answering.round(stop)
            stop.wait(0.2)


def test_procedure_steps_when_there_are_none_then_the_command_says_so(house: House, tmp_path: Path) -> None:
    told = lastgate("procedure-steps", env=environment(tmp_path / "home"))
    assert (told.code, told.out.strip()) == (0, "No modality has told of a step.")
    assert lastgate("procedure-steps", "--json", env=environment(tmp_path / "home")).json == []
