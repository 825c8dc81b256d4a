"""Who is who, at the command line: proposals, links and corrections, and an index that shows one person."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from archive.facts.receipts import PatientKey, patient_key
from archive.headers import Identifier, InstanceHeader, PatientHeader
from lastgate.proposing import proposals_about
from lastgate.settings import load_settings
from lastgate.wiring import House, open_house
from search.kinds import Kind
from search.query import Query
from tests.archive.assembly.linked import YEARS_LATER, under
from tests.factories import course, dose, image, receipt, uid
from tests.lastgate.program import Told, environment, lastgate


def patient(value: str, name: str, *, issuer: str = "HIS", birth_date: str = "19500101") -> PatientHeader:
    identifier = Identifier(value=value, issuer=issuer)
    return PatientHeader(identifier=identifier, name=name, birth_date=birth_date, sex="M")


WANG = patient("H-77", "王小东")
LATIN = patient("0012345", "WANG^XIAODONG")
SWAPPED = patient("12345", "XIAODONG^WANG")
INITIALS = patient("X-1", "W X D")
OTHER = patient("H-78", "王小西", birth_date="19510101")


def key(one: PatientHeader) -> PatientKey:
    return patient_key(one.identifier, "")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return the environment of an archive with accounts and five patients, two of them with a course."""
    found = environment(tmp_path / "home")
    for name, role in (("fay", "file-manager"), ("dora", "doctor"), ("phil", "physicist")):
        assert lastgate("account", "add", name, "--role", role, env=found).code == 0
    with opened(found) as house:
        file(house, WANG, course("a", fractions=3))
        file(house, LATIN, course("b", start=YEARS_LATER, fractions=3, ct="ct2", frame="frame2"))
        for at, one in enumerate((SWAPPED, INITIALS, OTHER)):
            file(house, one, [image(f"loose {at}", series=f"loose {at}", frame=f"loose {at}")])
    return found


@contextmanager
def opened(env: dict[str, str]) -> Iterator[House]:
    """Open the archive of an environment."""
    with mock.patch.dict("os.environ", env), open_house(load_settings()) as house:
        yield house


def file(house: House, patient: PatientHeader, headers: Iterable[InstanceHeader]) -> None:
    house.facts.write_receipts(key(patient), [receipt(one) for one in under(patient, headers)])
    house.on_facts(key(patient))


def ask(env: dict[str, str], *arguments: object) -> Any:
    told = lastgate(*arguments, "--json", env=env)
    assert told.code == 0, told.err
    return told.json


def say(env: dict[str, str], *arguments: object, user: str = "fay", reason: str = "looked at the papers") -> Told:
    return lastgate(*arguments, *(("--reason", reason) if reason else ()), "--as", user, env=env)


def pairs(found: Iterable[dict[str, Any]]) -> set[frozenset[str]]:
    return {frozenset((one["one"]["key"], one["other"]["key"])) for one in found}


def everything(env: dict[str, str]) -> str:
    dossiers = ask(env, "find")
    shown = [ask(env, "show", f"{one['id']}@{one['patient']['ids'][0]['value']}") for one in dossiers]
    return json.dumps([dossiers, shown, ask(env, "people"), ask(env, "people", "--proposals")])


def test_people_when_proposals_are_asked_for_then_each_likely_pair_is_told_with_its_reasons(
    env: dict[str, str],
) -> None:
    found = ask(env, "people", "--proposals")

    alike = [key(one) for one in (WANG, LATIN, SWAPPED, INITIALS)]
    assert pairs(found) == {frozenset((one, two)) for one in alike for two in alike if one != two}
    reasons = {
        frozenset((one["one"]["key"], one["other"]["key"])): [each["code"] for each in one["reasons"]] for one in found
    }
    assert reasons[frozenset((key(LATIN), key(SWAPPED)))][:2] == ["ID_WRITTEN_OTHERWISE", "NAME_SPELT_OTHERWISE"]
    assert reasons[frozenset((key(WANG), key(INITIALS)))][0] == "INITIALS"
    assert "王小东" in lastgate("people", "--proposals", env=env).words
    with opened(env) as house:
        for one in (WANG, OTHER):
            about = proposals_about(house, key(one))
            assert pairs(about) == {pair for pair in pairs(found) if key(one) in pair}


def test_link_and_unlink_then_the_index_shows_one_person_and_two_again(env: dict[str, str]) -> None:
    before = everything(env)

    told = say(env, "link", "H-77", "HIS/0012345")
    assert told.code == 0, told.err
    for name in ("王小东", "wangxiaodong", "H-77", "0012345"):
        (person,) = [one for one in ask(env, "people", name) if len(one["members"]) > 1]
        assert person["key"] == min(key(WANG), key(LATIN))
        assert {one["value"] for one in person["patient"]["ids"]} == {"H-77", "0012345"}
        assert len(person["dossiers"]) == 2
    assert len(ask(env, "find", "--patient", "H-77")) == 2
    assert len(ask(env, "find")) == 2
    joined = everything(env)
    assert lastgate("rebuild", env=env).code == 0
    assert everything(env) == joined

    assert say(env, "unlink", "0012345", "H-77", user="dora").code == 0
    after = everything(env)
    assert json.loads(after)[0] == json.loads(before)[0]
    assert [one["told_apart"] for one in ask(env, "people", "H-77")] == [[key(LATIN)]]
    assert frozenset((key(WANG), key(LATIN))) not in pairs(ask(env, "people", "--proposals"))
    assert lastgate("rebuild", env=env).code == 0
    assert everything(env) == after


def test_unlink_of_a_proposal_then_it_does_not_come_back(env: dict[str, str]) -> None:
    assert say(env, "unlink", key(WANG)[:10], "X-1").code == 0

    assert frozenset((key(WANG), key(INITIALS))) not in pairs(ask(env, "people", "--proposals"))
    again = say(env, "unlink", "H-77", "X-1")
    assert (again.code, "two persons already" in again.err) == (1, True)


def test_link_when_it_may_not_be_then_it_is_refused_and_journalled(env: dict[str, str]) -> None:
    assert say(env, "link", "H-77", "0012345", user="phil").code == 1
    assert say(env, "link", "H-77", "nobody").code == 2
    assert say(env, "link", "H-77", "0012345", reason="").code == 2
    refused = [one for one in ask(env, "journal")["events"] if one["act"] == "refuse"]
    assert len(refused) == 1


def test_link_when_an_id_is_of_two_issuers_then_the_issuer_or_key_must_tell(env: dict[str, str]) -> None:
    twin = replace(WANG, identifier=replace(WANG.identifier, issuer="PACS"))
    with opened(env) as house:
        file(house, twin, [image("twin", series="twin", frame="twin")])

    told = say(env, "link", "H-77", "0012345")
    assert told.code == 2
    assert "2 patients" in told.err
    assert say(env, "link", "HIS/H-77", "PACS/H-77").code == 0
    assert {one["issuer"] for one in ask(env, "people", "H-77")[0]["patient"]["ids"]} == {"HIS", "PACS"}


def test_on_facts_of_an_absorbed_patient_then_the_joined_person_is_written(env: dict[str, str]) -> None:
    assert say(env, "link", "H-77", "0012345").code == 0
    absorbed, lead = sorted((key(WANG), key(LATIN)), reverse=True)
    with opened(env) as house:
        whose = WANG if key(WANG) == absorbed else LATIN
        file(house, whose, [image("new", series="new", frame="new")])

        hits = list(house.hits(Query(kind=Kind.SERIES, series_uids=(uid("new"),))))
        assert [hit.patient_key for hit in hits] == [lead]
        assert all(one.is_tombstone for one in house.index.documents_of(absorbed))
        versions = {one.patient_key: one.newest for one in house.index.patients()}
        assert versions[lead] == versions[absorbed] == house.facts.read(lead).count


def dossier_of(env: dict[str, str], plan: str) -> str:
    (found,) = [one for one in ask(env, "find") if uid(plan) in {each["uid"] for each in one["plans"]}]
    return str(found["id"])


def test_corrections_then_each_command_does_what_it_says(env: dict[str, str], tmp_path: Path) -> None:
    assert say(env, "link", "H-77", "0012345").code == 0
    a, b = dossier_of(env, "a"), dossier_of(env, "b")

    assert say(env, "move", "H-77", uid("ct"), "--to", b).words == "Moved 3 object(s)."
    assert say(env, "move", "H-77", uid("ct"), "--by-references").code == 0
    assert say(env, "move", "H-77", uid("ct"), "--to", b, "--to-no-course").code == 2
    assert say(env, "merge", a, b).code == 0
    assert len(ask(env, "find")) == 1
    assert say(env, "split", dossier_of(env, "a"), "Breast", user="dora").code == 2  # both plans are called so
    assert say(env, "split", dossier_of(env, "a"), uid("b"), user="dora").code == 0
    assert say(env, "origin", dossier_of(env, "b"), "elsewhere", "--institution", "County").code == 0
    shown = ask(env, "show", dossier_of(env, "b"))
    assert (shown["origin"], shown["institution"]) == ("elsewhere", "County")
    opened_ = say(env, "open-dossier", "H-77", "--label", "Neck", "--origin", "paper", "--from", "2009-01-05")
    assert opened_.code == 0, opened_.err
    (paper,) = ask(env, "find", "--to", "2009-12-31")
    assert (paper["origin"], paper["opened"][0]["label"], paper["first_fraction"]) == ("paper", "Neck", "2009-01-05")

    sheet = tmp_path / "sheet.csv"
    sheet.write_text("number,date,time,share\n1,2009-01-05,09:00,\n2,2009-01-06,,0.5\n", "utf-8")
    told = say(env, "transcribe", paper["id"], "Neck", sheet, "--source", "shelf 3")
    assert told.code == 0, told.err
    number = told.words.split("decision ")[1].split(".")[0]
    assert lastgate("countersign", paper["id"], number, "--as", "fay", env=env).code == 1
    assert lastgate("countersign", paper["id"], number, "--as", "phil", env=env).code == 0
    assert ask(env, "show", paper["id"])["sessions"] == 2
    before = everything(env)
    assert lastgate("rebuild", env=env).code == 0
    assert everything(env) == before


def test_move_to_another_patient_then_both_are_written_anew(env: dict[str, str]) -> None:
    with opened(env) as house:
        file(house, OTHER, [dose("a dose 2", plans=("a",))])
    (wrong,) = ask(env, "find", "--patient", "H-78")

    assert say(env, "move", "H-78", uid("a dose 2"), "--to-patient", "H-77").code == 0

    assert ask(env, "find", "--patient", "H-78") == []
    (right,) = ask(env, "find", "--patient", "H-77")
    assert right["id"] == wrong["id"]
    assert right["instances"] == len(course("a", fractions=3)) + 1


@pytest.mark.parametrize(
    "text", ["number;date\n1;2009-01-05", "number,date\nx,2009-01-05", "number,date\n1,05.01.2009"]
)
def test_transcribe_when_the_sheet_can_not_be_read_then_it_says_why(
    env: dict[str, str], tmp_path: Path, text: str
) -> None:
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(text, "utf-8")

    told = say(env, "transcribe", dossier_of(env, "a"), uid("a"), sheet, "--source", "shelf 3")

    assert told.code == 2
    assert "Traceback" not in told.err
