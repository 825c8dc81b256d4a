"""A dossier that two persons let go is gone everywhere, whatever interrupts it, and what remains says so."""

import shutil
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from archive.errors import NotFound, Refused
from archive.facts.decisions import Close, Tombstone
from archive.facts.receipts import PatientKey
from archive.model import Dossier, DossierState
from archive.vault.disposal import CERTIFICATE, is_genuine_certificate
from tests.archive.desk.kept import ENDED, FIRST, KEPT_UNTIL, SECOND, KeptHouse, sha256
from tests.archive.house import DOCTOR, FILE_MANAGER, body_of
from tests.archive.stores import PowerCut, dying
from tests.factories import course, document, other, records, uid


@pytest.fixture
def house(tmp_path: Path) -> KeptHouse:
    return KeptHouse(tmp_path)


def test_dispose_then_nothing_of_it_is_left_but_what_says_that_it_was_there(house: KeptHouse) -> None:
    key, dossier = house.ended()
    receipts = house.facts.read(key).receipts
    house.dispose(key, dossier)

    assert house.object_keys(dossier) == []
    assert house.keys("sealing/", locked=False) == []
    assert house.keys("intake/", locked=False) == []
    assert list(house.vault.dossiers()) == []
    assert house.facts.read(key).receipts == receipts
    assert [one.state for one in house.desk.record(key).dossiers] == [DossierState.DISPOSED]
    assert house.events()[-3:] == ["ask-disposal", "confirm-disposal", "dispose"]


def test_dispose_then_papers_that_were_released_for_it_are_gone_too(house: KeptHouse) -> None:
    key, dossier = house.small.ready()
    assert dossier.released is not None
    papers = [paper.key for paper in dossier.released.what.papers]
    assert set(papers) <= set(house.keys(locked=False))
    house.desk.seal(key, dossier.id, account=FILE_MANAGER)
    house.at = ENDED

    house.dispose(key, dossier)

    assert set(papers).isdisjoint(house.keys(locked=False))


def test_dispose_then_the_certificate_is_signed_and_tells_what_went_and_by_whom(house: KeptHouse) -> None:
    key, dossier = house.ended()
    house.dispose(key, dossier)

    (certificate,) = house.vault.disposals.certificates()
    (tombstone,) = [one.what for one in house.facts.read(key).decisions if isinstance(one.what, Tombstone)]
    digests = {sha256(body_of(header)) for header in course("plan", fractions=5)}
    assert is_genuine_certificate(certificate)
    assert not is_genuine_certificate(replace(certificate, confirmed_by="somebody"))
    assert (certificate.requested_by, certificate.confirmed_by, certificate.reason) == (
        "rita",
        "rolf",
        "its term is over",
    )
    assert (certificate.kept_until, certificate.made_at, certificate.version) == (KEPT_UNTIL, ENDED, 1)
    assert digests <= {file.sha256 for file in certificate.files}
    assert set(tombstone.file_sha256s) == digests
    assert set(tombstone.arrivals) == {1}
    assert tombstone.dossier_sha256s == certificate.dossier_sha256s
    assert len(certificate.dossier_sha256s) == 1
    key_of_it = house.keys("disposed/")[1]
    assert house.locked_files.retention(house.locked_files.stat(key_of_it).version) is not None


def test_dispose_then_the_certificate_names_no_patient(house: KeptHouse) -> None:
    key, dossier = house.ended()
    house.dispose(key, dossier)

    (certificate,) = house.vault.disposals.certificates()
    text = CERTIFICATE.dump_json(certificate).decode()
    for word in (*dossier.person.names, *(one.value for one in dossier.person.identifiers), dossier.person.birth_date):
        assert word not in text


def test_dispose_twice_then_there_is_nothing_left_to_ask_for(house: KeptHouse) -> None:
    key, dossier = house.ended()
    house.dispose(key, dossier)

    with pytest.raises(Refused, match="not sealed"):
        house.keeping.ask_disposal(key, dossier.id, reason="again", account=FIRST)
    with pytest.raises(NotFound):
        house.keeping.confirm_disposal(key, dossier.id, account=SECOND)
    with pytest.raises(Refused, match="disposed of"):
        house.desk.seal(key, dossier.id, account=FILE_MANAGER)
    assert house.keeping.resume() == 0


def closed(house: KeptHouse, key: PatientKey, dossier: Dossier) -> Dossier:
    """Close a dossier that arrived anew, and release its summary."""
    end = Close(plan_uids=(), outcome="completed", last_date=dossier.last_fraction)
    return house.small.released(key, house.desk.close(key, dossier.id, end, account=DOCTOR))


def test_resend_of_what_was_disposed_of_then_it_is_a_new_arrival_and_can_be_sealed_again(house: KeptHouse) -> None:
    key, dossier = house.ended()
    house.dispose(key, dossier)

    house.small.receive(course("plan", fractions=5))
    (again,) = house.desk.record(key).dossiers
    assert (again.id, again.version) == (dossier.id, 0)
    assert (again.state, again.close, again.released) == (DossierState.OPEN, None, None)
    assert closed(house, key, again).state is DossierState.READY
    sealed = house.desk.seal(key, dossier.id, account=FILE_MANAGER)

    assert (sealed.state, sealed.version) == (DossierState.SEALED, 1)
    assert list(house.vault.check(dossier.id)) == []
    assert len(list(house.vault.disposals.certificates())) == 1


def test_dispose_of_what_came_again_then_it_goes_again_with_a_certificate_of_its_own(house: KeptHouse) -> None:
    key, dossier = house.ended()
    house.dispose(key, dossier)
    house.small.receive(course("plan", fractions=5))
    closed(house, key, dossier)
    house.desk.seal(key, dossier.id, account=FILE_MANAGER)
    house.at = ENDED.replace(year=2060)

    house.dispose(key, house.desk.dossier(key, dossier.id))

    tombstones = [one.what for one in house.facts.read(key).decisions if isinstance(one.what, Tombstone)]
    assert [set(one.arrivals) for one in tombstones] == [{1}, {2}]
    assert len(list(house.vault.disposals.certificates())) == 2
    assert house.object_keys(dossier) == []
    assert [one.state for one in house.desk.record(key).dossiers] == [DossierState.DISPOSED]


def test_resend_of_a_part_then_that_lives_and_the_dossier_is_still_told_as_disposed_of(house: KeptHouse) -> None:
    key, dossier = house.ended()
    house.dispose(key, dossier)

    house.small.receive([course("plan", fractions=5)[0]])
    record = house.desk.record(key)

    assert [(one.id, one.state) for one in record.dossiers] == [(dossier.id, DossierState.DISPOSED)]
    assert [held.uid for held in record.unattached] == [uid("ct 0")]
    assert len(house.keys("intake/", locked=False)) == 1


def test_dispose_when_another_course_holds_the_same_images_then_they_stay(house: KeptHouse) -> None:
    key, dossier = house.ended()
    second = course("boost", start=date(2050, 3, 7), fractions=5)  # years later on the same planning images
    house.small.receive(
        [header for header in second if header.sop_instance_uid not in {h.uid for h in dossier.instances}]
    )
    shared = {sha256(body_of(header)) for header in second} & {h.receipt.file_sha256 for h in dossier.instances}
    assert shared

    house.dispose(key, dossier)

    (tombstone,) = [one.what for one in house.facts.read(key).decisions if isinstance(one.what, Tombstone)]
    left = {one.rsplit("/", 1)[-1] for one in house.keys("intake/", locked=False)}
    assert shared <= left
    assert shared.isdisjoint(tombstone.file_sha256s)
    states = {one.id: one.state for one in house.desk.record(key).dossiers}
    assert states.pop(dossier.id) is DossierState.DISPOSED
    assert set(states.values()) == {DossierState.OPEN}


def test_dispose_when_a_stranger_was_given_the_same_paper_then_it_stays(house: KeptHouse) -> None:
    key, dossier = house.small.sealed()
    letter = document("letter")
    house.small.receive([letter])
    house.desk.seal(key, dossier.id, account=FILE_MANAGER)
    given = next(one for one in house.facts.read(key).receipts if one.file_sha256 == sha256(body_of(letter)))
    stranger = replace(given.header.patient, identifier=replace(given.header.patient.identifier, value="another"))
    house.facts.write_receipts("0" * 64, [replace(given, header=replace(given.header, patient=stranger))])  # type: ignore[arg-type]
    house.at = ENDED.replace(year=2060)

    house.dispose(key, dossier)

    assert house.keys("intake/", locked=False) == [given.key]


class Ended:
    """An archive whose retention has ended and in which somebody asked for the disposal, to be copied and cut."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        house = KeptHouse(folder)
        self.key, dossier = house.small.sealed(fractions=1)
        house.small.receive([other("report", "plan dose")])
        self.dossier = house.desk.seal(self.key, dossier.id, account=FILE_MANAGER)
        house.at = ENDED
        house.keeping.ask_disposal(self.key, dossier.id, reason="its term is over", account=FIRST)

    def cut(self, folder: Path, *, at: int, after: bool) -> int:
        """Confirm in a copy, by a process that dies at write `at`; return how many writes there were."""
        shutil.copytree(self.folder, folder)
        counter: list[str] = []
        whole = KeptHouse(folder, at=ENDED)
        work = dying(whole.work_files, at=at, after=after, counter=counter)
        locked = dying(whole.locked_files, at=at, after=after, counter=counter)
        house = KeptHouse(folder, at=ENDED, work=work, locked=locked)
        with suppress(PowerCut):
            house.keeping.confirm_disposal(self.key, self.dossier.id, account=SECOND)
        return len(counter)


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return Ended(tmp_path_factory.mktemp("ended") / "house")


def test_dispose_when_the_process_dies_at_any_write_then_it_is_brought_to_the_same_end(
    waiting: Ended, tmp_path: Path
) -> None:
    writes = waiting.cut(tmp_path / "whole", at=10**6, after=False)
    whole = KeptHouse(tmp_path / "whole", at=ENDED)
    expected = (sorted(whole.keys("vault/")), sorted(whole.keys(locked=False)))
    assert writes > 20
    for at in range(writes):
        for after in (False, True):
            folder = tmp_path / f"{at}{after}"
            waiting.cut(folder, at=at, after=after)
            house = KeptHouse(folder, at=ENDED + timedelta(minutes=1))

            house.keeping.resume()
            (state,) = {one.state for one in house.desk.record(waiting.key).dossiers}
            if state is not DossierState.DISPOSED:  # it had not begun: the same person, or a third, confirms again
                house.keeping.confirm_disposal(waiting.key, waiting.dossier.id, account=SECOND)

            assert (sorted(house.keys("vault/")), sorted(house.keys(locked=False))) == expected, (at, after)
            decisions = [one.what.act for one in house.facts.read(waiting.key).decisions]
            assert decisions[-3:] == ["dispose", "countersign", "tombstone"], (at, after)
            (certificate,) = house.vault.disposals.certificates()
            assert is_genuine_certificate(certificate)
            assert house.keeping.resume() == 0
            house.desk.catch_up()
            events = house.events()
            assert events.count("dispose") == 1, (at, after, events)
            shutil.rmtree(folder)


def test_seal_while_a_disposal_is_not_ended_then_it_is_refused(waiting: Ended, tmp_path: Path) -> None:
    """Else what is left to be destroyed could be what has just been sealed."""
    writes = waiting.cut(tmp_path / "whole", at=10**6, after=False)
    waiting.cut(tmp_path / "cut", at=writes - 2, after=False)
    house = KeptHouse(tmp_path / "cut", at=ENDED)
    house.small.receive(course("plan", fractions=1))
    house.small.receive([other("report", "plan dose")])
    closed(house, waiting.key, waiting.dossier)

    with pytest.raises(Refused, match="not everything of it is gone yet"):
        house.desk.seal(waiting.key, waiting.dossier.id, account=FILE_MANAGER)
    assert house.keeping.resume() == 1
    sealed = house.desk.seal(waiting.key, waiting.dossier.id, account=FILE_MANAGER)

    assert sealed.version == 1
    assert list(house.vault.check(sealed.id)) == []


def test_resume_when_a_file_came_again_meanwhile_then_its_bytes_stay(waiting: Ended, tmp_path: Path) -> None:
    writes = waiting.cut(tmp_path / "whole", at=10**6, after=False)
    cuts = 0
    for at in range(writes):
        folder = tmp_path / str(at)
        waiting.cut(folder, at=at, after=True)
        house = KeptHouse(folder, at=ENDED)
        begun = list(house.vault.disposals.unfinished())
        if begun and any(isinstance(one.what, Tombstone) for one in house.facts.read(waiting.key).decisions):
            header = records(1)[0]
            house.small.receive([header])
            house.keeping.resume()
            assert [key.rsplit("/", 1)[-1] for key in house.keys("intake/", locked=False)] == [sha256(body_of(header))]
            cuts += 1
        shutil.rmtree(folder)
        if cuts == 3:
            break
    assert cuts == 3
