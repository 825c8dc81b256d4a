"""The rules in force of a house: taken from its file, stored, journalled, applied to what waits, and shown."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.errors import BadRules
from archive.facts.receipts import PatientKey
from lastgate.ruling import judge_anew, packs_answer, rules_answer
from lastgate.settings import GateSettings, Settings
from lastgate.wiring import House, open_house
from search.kinds import Kind
from search.query import Query
from tests.factories import course, key_of, receipt
from tests.lastgate.program import lastgate

OFF = '[packs.base]\noff = ["CONSENT-MISSING"]\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gate.toml"
    path.write_text(OFF, "utf-8")
    return path


def settings(tmp_path: Path, rules: Path | None = None) -> Settings:
    return Settings(home=tmp_path / "home", gate=GateSettings(rules=rules))


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[House]:
    """A house of a department without rules of its own, with one dossier that waits."""
    with open_house(settings(tmp_path)) as house:
        house.facts.write_receipts(key_of(), [receipt(one) for one in course(fractions=5)])
        house.on_facts(key_of())
        yield house


def indexed(house: House) -> list[set[str]]:
    bodies = [hit.body for hit in house.hits(Query(kind=Kind.DOSSIER))]
    return [{one["code"] for one in body["findings"]} for body in bodies]


def test_rules_when_the_file_changes_then_they_are_stored_under_the_next_number_and_journalled(
    tmp_path: Path, file: Path
) -> None:
    numbers = []
    for one in (None, None, file, file):
        with open_house(settings(tmp_path, one)) as house:
            numbers.append(house.rules.number)
            house.journal.flush()
    stored = sorted(path.name for path in (tmp_path / "home" / "archive" / "site" / "rules").iterdir())

    assert numbers == [1, 1, 2, 2]
    assert stored == ["1.json", "2.json"]
    lines = "".join(path.read_text("utf-8") for path in (tmp_path / "home" / "archive" / "journal").rglob("*.jsonl"))
    assert lines.count('"act":"rules"') + lines.count('"act": "rules"') == 2


def test_rules_when_they_change_then_what_waits_is_judged_anew_by_the_next_look(
    waiting: House, tmp_path: Path, file: Path
) -> None:
    assert ["CONSENT-MISSING" in one for one in indexed(waiting)] == [True]
    waiting.close()

    with open_house(settings(tmp_path, file)) as house:
        assert ["CONSENT-MISSING" in one for one in indexed(house)] == [False]
        assert judge_anew(house) == 0
        before = [hit.body for hit in house.hits(Query(kind=Kind.DOSSIER))]
        house.rebuild()
        assert [hit.body for hit in house.hits(Query(kind=Kind.DOSSIER))] == before


def test_judge_anew_when_a_node_on_older_rules_wrote_since_then_a_thorough_look_finds_it(
    waiting: House, tmp_path: Path, file: Path
) -> None:
    with open_house(settings(tmp_path, file)) as newer:
        assert indexed(newer)
        waiting.on_facts(PatientKey(key_of()))  # it was started before and still runs on the rules of then

        assert judge_anew(newer) == 0
        assert judge_anew(newer, is_thorough=True) == 1
        assert ["CONSENT-MISSING" in one for one in indexed(newer)] == [False]


@pytest.mark.parametrize(
    ("body", "told"), [(b"[packs", "no TOML"), (b"\xff\xfe", "no text in UTF-8"), (None, "can't be read")]
)
def test_rules_when_the_file_is_bad_then_nothing_is_judged_by_others_in_its_place(
    tmp_path: Path, body: bytes | None, told: str
) -> None:
    path = tmp_path / "gate.toml"
    if body is not None:
        path.write_bytes(body)

    with open_house(settings(tmp_path, path)) as house, pytest.raises(BadRules, match=told):
        _ = house.desk


def test_answer_of_rules_then_packs_and_what_is_off_are_told(waiting: House, tmp_path: Path, file: Path) -> None:
    with open_house(settings(tmp_path, file)) as house:
        body = rules_answer(house.rules)
        (dossier,) = house.desk.record(PatientKey(key_of())).dossiers
        packs = packs_answer(house.gate.rules_for(dossier), dossier)

    assert (body["number"], body["sha256"]) == (2, house.rules.mark.sha256)
    assert body["packs"]["imrt"]["off"] == ["CONSENT-MISSING"]
    assert body["packs"]["imrt"]["rules"]["SLICES-MISSING"]["figures"] == {"most_times": 1.5}
    assert body["sources"]["VERIFICATION-MISSING"] == "AAPM TG-218"
    assert [plan["pack"] for plan in packs["plans"]] == ["stereotactic"]


def test_gate_command_when_asked_for_rules_then_what_is_off_stands_out(tmp_path: Path, file: Path) -> None:
    env = {"LASTGATE_HOME": str(tmp_path / "home"), "LASTGATE_GATE__RULES": str(file)}

    told = lastgate("gate", "--rules", env=env)
    body = lastgate("gate", "--rules", "--json", env=env).json

    assert told.code == 0
    for word in ("SWITCHED OFF", "CONSENT-MISSING", "In: all", "Stereotactic", "立体定向"):
        assert word in told.words
    assert body["packs"]["base"]["off"] == ["CONSENT-MISSING"]
    assert lastgate("gate", "--rules", "--urgent", env=env).code == 2


def test_gate_command_when_the_file_is_bad_then_it_says_what_to_mend(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text('[packs.base]\noff = ["NO-SUCH"]\n', "utf-8")

    told = lastgate("gate", env={"LASTGATE_HOME": str(tmp_path / "home"), "LASTGATE_GATE__RULES": str(path)})

    assert told.code != 0
    assert "NO-SUCH" in told.err
    assert "gate.rules" in told.err
