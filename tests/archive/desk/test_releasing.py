"""A released summary is kept, goes into the vault, and is outdated once the dossier tells anything else."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from archive.desk.accounts import Account, Role
from archive.desk.releasing import PaperShelf, Releasing, is_current
from archive.errors import Refused
from archive.facts.decisions import EnterSummary
from archive.facts.receipts import PatientKey
from archive.journal.journal import Event
from archive.model import Dossier, DossierState, Severity
from archive.vault import ocfl
from storage.errors import DigestMismatch
from tests.archive.house import DOCTOR, FILE_MANAGER, PHYSICIST, SmallHouse, account, completed, papers
from tests.archive.stores import overwrite
from tests.factories import MONDAY, da, plan, records, weekdays


@pytest.fixture
def house(tmp_path: Path) -> SmallHouse:
    return SmallHouse(tmp_path)


def _codes(dossier: Dossier) -> set[str]:
    return {finding.code for finding in dossier.findings if finding.code.startswith("SUMMARY")}


def _sign_urgent(house: SmallHouse, key: PatientKey, dossier: Dossier, signer: Account) -> None:
    urgent = [one for one in dossier.findings if one.severity is Severity.URGENT]
    assert urgent
    for finding in urgent:
        house.desk.waive(key, dossier.id, finding.id, reason="looked at it", account=signer)


def _message(dossier: Dossier, code: str = "SUMMARY-OUTDATED") -> str:
    return next(finding.message for finding in dossier.findings if finding.code == code)


def test_release_when_the_course_is_closed_then_is_signed_with_its_papers_and_figures(house: SmallHouse) -> None:
    key, dossier = house.closed()
    after = house.released(key, dossier)

    assert after.released is not None
    assert (after.released.account, after.released.what.number) == (DOCTOR.name, "N-1")
    assert [(one.language, one.audience) for one in after.released.what.papers] == [("zh", "patient"), ("zh", "doctor")]
    assert after.released.what.figures["fractions"] == "5/5"
    assert _codes(after) == set()
    assert is_current(after)
    shelf = PaperShelf(house.work)
    assert [shelf.read(one) for one in after.released.what.papers] == [one.pdf for one in papers()]
    house.journal.flush()
    assert [event["account"] for event in house.journal.events() if event["act"] == "release"] == [DOCTOR.name]


@pytest.mark.parametrize("role", ["file-manager", "administrator"])
def test_release_when_the_role_may_not_then_refused_and_nothing_is_kept(house: SmallHouse, role: Role) -> None:
    key, dossier = house.closed()
    releasing = Releasing(desk=house.desk, shelf=PaperShelf(house.work))

    with pytest.raises(Refused, match="may not release"):
        releasing.release(key, dossier, papers(), number="N-1", account=account(role))

    assert list(house.work.list("papers/")) == []


def test_release_when_the_course_is_not_closed_then_refused(house: SmallHouse) -> None:
    key = house.receive([plan(), *records(5)])
    (dossier,) = house.desk.record(key).dossiers

    with pytest.raises(Refused, match="ended"):
        house.released(key, dossier)


def test_release_when_an_urgent_finding_stands_then_refused_until_both_signed(house: SmallHouse) -> None:
    key, dossier = house.closed()
    house.receive(records(6)[5:])
    dossier = house.desk.dossier(key, dossier.id)
    with pytest.raises(Refused, match="urgent"):
        house.released(key, dossier)

    _sign_urgent(house, key, dossier, PHYSICIST)
    with pytest.raises(Refused, match="urgent"):
        house.released(key, house.desk.dossier(key, dossier.id))
    _sign_urgent(house, key, dossier, DOCTOR)
    assert house.released(key, house.desk.dossier(key, dossier.id)).released is not None


def test_release_when_the_same_papers_are_released_again_then_refused(house: SmallHouse) -> None:
    key, dossier = house.ready()
    with pytest.raises(Refused, match="already"):
        house.released(key, dossier)
    assert house.released(key, dossier, text="another department").released is not None


def test_outdated_when_a_late_record_changes_the_figures_then_says_what_and_new_papers_mend_it(
    house: SmallHouse,
) -> None:
    key, dossier = house.ready()
    assert dossier.state is DossierState.READY
    house.receive(records(6)[5:])

    after = house.desk.dossier(key, dossier.id)

    assert after.state is DossierState.OPEN
    assert "SUMMARY-OUTDATED" in _codes(after)
    assert not is_current(after)
    assert "fractions 5/5 → 6/5" in _message(after)
    assert "number of visits 5 → 6" in _message(after)
    assert f"last day {weekdays(MONDAY, 5)[-1]} → {weekdays(MONDAY, 6)[-1]}" in _message(after)
    assert DOCTOR.name in _message(after)


def test_outdated_when_a_decision_changes_the_figures_then_says_so_and_a_new_release_ends_it(house: SmallHouse) -> None:
    key, dossier = house.ready()
    act = EnterSummary(plan_uids=dossier.plan_uids, entries={"implant": {"answer": "yes"}})
    house.desk.settle(key, act, account=DOCTOR, event=Event(act="enter-summary", account=DOCTOR.name))

    outdated = house.desk.dossier(key, dossier.id)
    assert "what was entered for the summary" in _message(outdated)
    assert next(one.message_zh for one in outdated.findings if one.code == "SUMMARY-OUTDATED").endswith(
        "小结录入内容。"
    )

    assert _codes(house.released(key, outdated, text="second")) == set()


def test_outdated_when_a_doctor_signs_that_the_paper_may_stand_then_it_is_handed_out_until_the_next_change(
    house: SmallHouse,
) -> None:
    key, dossier = house.ready()
    again = replace(completed(), outcome="stopped", reason="as planned by the board")
    house.desk.close(key, dossier.id, again, account=DOCTOR)
    house.desk.waive(key, dossier.id, "SUMMARY-OUTDATED", reason="the words are the same", account=DOCTOR)
    assert is_current(house.desk.dossier(key, dossier.id))

    house.desk.close(key, dossier.id, replace(again, outcome="died"), account=DOCTOR)

    assert not is_current(house.desk.dossier(key, dossier.id))


def test_seal_when_released_then_the_papers_stand_in_the_vault_and_the_check_accepts_them(house: SmallHouse) -> None:
    key, dossier = house.ready()

    sealed = house.desk.seal(key, dossier.id, account=FILE_MANAGER)

    assert sealed.released is not None
    assert sealed.released.is_sealed
    assert not sealed.awaits_addendum
    path = house.vault.content_key(sealed.id, "reports/summary-zh-patient.pdf")
    assert b"".join(house.vault.read(path)) == papers()[0].pdf
    told = json.loads(house.locked_files.read_bytes(house.vault.content_key(sealed.id, "dossier.json")))
    assert [one["path"] for one in told["papers"]] == [
        "reports/summary-zh-patient.pdf",
        "reports/summary-zh-doctor.pdf",
    ]
    assert told["summary"]["agrees"]
    assert list(house.vault.check(sealed.id)) == []


def test_seal_when_a_paper_in_the_vault_was_changed_then_the_check_names_it(house: SmallHouse) -> None:
    _, sealed = house.sealed()
    overwrite(house.locked_files, house.vault.content_key(sealed.id, "reports/summary-zh-doctor.pdf"), b"forged")
    (problem,) = house.vault.check(sealed.id)
    assert "reports/summary-zh-doctor.pdf" in problem


def test_seal_when_a_summary_is_released_after_it_then_waits_and_becomes_the_next_version(house: SmallHouse) -> None:
    key, sealed = house.sealed()
    house.receive(records(6)[5:])
    late = house.desk.dossier(key, sealed.id)
    assert {"SUMMARY-OUTDATED"} <= _codes(late)
    for signer in (PHYSICIST, DOCTOR):
        _sign_urgent(house, key, late, signer)
        late = house.desk.dossier(key, sealed.id)

    released = house.released(key, late, text="with six fractions")
    assert _codes(released) == {"SUMMARY-LATE"}
    after = house.desk.seal(key, sealed.id, account=FILE_MANAGER)

    assert (after.version, _codes(after)) == (2, set())
    inventory = house.vault.inventory(sealed.id)
    assert inventory is not None
    paths = [ocfl.logical_paths(inventory, version)["reports/summary-zh-patient.pdf"] for version in ("v1", "v2")]
    assert paths == ["v1/content/reports/summary-zh-patient.pdf", "v2/content/reports/summary-zh-patient.pdf"]
    assert list(house.vault.check(sealed.id)) == []
    with pytest.raises(Refused, match="nothing came"):
        house.desk.seal(key, sealed.id, account=FILE_MANAGER)


def test_seal_when_only_new_papers_came_then_is_a_version_without_new_instances(house: SmallHouse) -> None:
    key, sealed = house.sealed()
    released = house.released(key, sealed, text="in better words")
    assert released.awaits_addendum

    after = house.desk.seal(key, sealed.id, account=FILE_MANAGER)

    assert (after.version, after.awaits_addendum) == (2, False)
    assert list(house.vault.check(sealed.id)) == []


def test_paper_when_its_bytes_are_others_then_is_not_handed_out(house: SmallHouse) -> None:
    _, dossier = house.ready()
    assert dossier.released is not None
    paper = dossier.released.what.papers[0]
    overwrite(house.work_files, paper.key, b"forged")
    with pytest.raises(DigestMismatch):
        PaperShelf(house.work).read(paper)


def test_record_of_the_last_day_then_is_told_in_figures_as_iso_dates(house: SmallHouse) -> None:
    _, dossier = house.ready()
    assert dossier.figures["last-day"] == weekdays(MONDAY, 5)[-1].isoformat()
    assert dossier.last_fraction == da(weekdays(MONDAY, 5)[-1])
