"""The demo: the main job on a fictional department gives the same answer on every run, and a true one."""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from archive.errors import Refused
from lastgate.sample import Department
from tests.lastgate.program import PROGRAM, Told, environment, lastgate

pytestmark = pytest.mark.slow

SEALED = {"LungL_60Gy", "LungL_SBRT", "Mediast_30.6", "BreastL_40.05", "Prost_5x8", "SkullBase_54"}


class Runs:
    """Twice in one home; beside it, by the installed program, once in another."""

    def __init__(self, base: Path) -> None:
        self.homes = (base / "one", base / "another")
        self.told: list[Told] = []
        self.made: list[str] = []
        self.files: list[dict[str, str]] = []
        command = [str(PROGRAM), "demo", "--home", str(self.homes[1]), "--scale", "small", "--json"]
        plain = {name: value for name, value in os.environ.items() if not name.startswith("LASTGATE_")}
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=plain, cwd=base) as elsewhere:
            for options in ((), ("--json",)):
                self._note(
                    lastgate("demo", "--home", self.homes[0], "--scale", "small", *options, env={}), self.homes[0]
                )
            out, err = elsewhere.communicate()
        self._note(Told(code=elsewhere.returncode, out=out, err=err), self.homes[1])

    def _note(self, told: Told, home: Path) -> None:
        assert told.code == 0, told.err
        self.told.append(told)
        self.made.append((home / "made.json").read_text("utf-8"))
        self.files.append(_digests(home))

    def ask(self, *arguments: str) -> Any:
        """Ask the archive the demo left behind."""
        return lastgate(*arguments, "--json", env=environment(self.homes[0] / "archive-home")).json


def _digests(home: Path) -> dict[str, str]:
    """Return the digests of what was printed and composed; JSON names its folder and is compared elsewhere."""
    paths = [path for part in ("summaries", "composite") for path in (home / part).rglob("*") if path.is_file()]
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if path.suffix != ".json"
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Three runs of the demo in small."""
    return Runs(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def rows(runs: Runs) -> list[dict[str, Any]]:
    """What the demo says that it made."""
    body = json.loads(runs.made[0])
    assert (body["format"], body["scale"]) == ("lastgate/demo/1", "small")
    return list(body["made"])


def test_demo_when_run_again_and_elsewhere_then_the_same_was_made(runs: Runs) -> None:
    assert runs.made[0] == runs.made[1] == runs.made[2]


def test_demo_when_run_again_and_elsewhere_then_papers_and_doses_are_the_same_bytes(runs: Runs) -> None:
    first, *others = runs.files
    assert len([name for name in first if name.endswith(".pdf")]) == 4 + 2 * 2
    assert len([name for name in first if name.endswith("composite-dose.dcm")]) == 2
    assert others == [first, first]


def test_demo_when_json_is_asked_for_then_nothing_else_is_printed(runs: Runs) -> None:
    for told, made in zip(runs.told[1:], runs.made[1:], strict=True):
        assert told.out == made
        assert told.err == ""


def test_demo_when_it_tells_people_then_every_step_is_named_and_the_table_fits_80_columns(runs: Runs) -> None:
    lines = runs.told[0].out.splitlines()
    steps = [line for line in lines if line[:1].isdigit()]
    assert [step.partition(".")[0] for step in steps] == list("1234567")
    table = lines[lines.index(next(line for line in lines if line.startswith("What was made"))) :]
    rows = [line for line in table if line.startswith("SAMPLE-")]
    assert len(rows) == 7
    assert all(len(line.rstrip()) <= 80 for line in rows)
    assert runs.told[0].err == ""
    assert "329 objects acknowledged, read back from the store, and filed" in runs.told[0].out


def test_demo_when_an_organ_is_partly_outside_the_dose_then_says_so_in_words(runs: Runs) -> None:
    (line, *_) = [line for line in runs.told[0].out.splitlines() if "Heart" in line]
    assert "a part of it lies outside the calculated dose, so its maximum is at least" in line


def test_demo_when_done_then_six_dossiers_are_sealed_and_one_waits_for_what_it_lacks(
    runs: Runs, rows: list[dict[str, Any]]
) -> None:
    assert [row["state"] for row in rows].count("sealed") == 6
    (waits,) = [row for row in rows if row["state"] != "sealed"]
    assert (waits["id"], waits["course"], waits["state"]) == ("SAMPLE-0005", "2026-rectum", "open")
    codes = [name.partition(":")[0] for name in waits["missing"]]
    assert codes == ["CONSENT-MISSING", "DOSE-MISSING", "FRACTIONS-MISSING", "NOT-CLOSED"]
    assert all(not row["missing"] for row in rows if row is not waits)
    answers = {answer["id"]: answer for answer in runs.ask("find")}
    assert {answer["plans"][0]["label"] for answer in answers.values() if answer["state"] == "sealed"} == SEALED
    messages = [one["message"] for one in answers[waits["dossier"]]["findings"] if one["blocks"]]
    assert messages == [
        "There is no consent of the patient among the papers.",
        "Plan Rectum_50Gy has no dose grid here.",
        "Plan Rectum_50Gy: 25 fractions planned, 12 recorded.",
        "Nobody has stated yet that this course has ended.",
    ]


def test_demo_when_read_back_then_the_archive_tells_what_is_true_of_the_sample(
    runs: Runs, rows: list[dict[str, Any]], sample_department: Department
) -> None:
    courses = {course.key: (patient, course) for patient in sample_department.patients for course in patient.courses}
    assert [row["course"] for row in rows] == list(courses)
    answers = {answer["id"]: answer for answer in runs.ask("find")}
    for row in rows:
        patient, course = courses[row["course"]]
        answer = answers[row["dossier"]]
        assert (row["patient"], row["id"]) == (patient.name, patient.patient_id)
        assert row["fractions"] == [[plan.fractions_delivered, plan.fractions_planned] for plan in course.plans]
        assert (answer["first_fraction"], answer["last_fraction"]) == (course.first_fraction, course.last_fraction)
        assert answer["sessions"] == course.sessions
        told = {target["name"]: target for target in row["targets"]}
        for plan in course.plans:
            for target in plan.targets:
                assert told[target.name]["prescribed_gy"] == pytest.approx(target.prescribed_gy)
                assert told[target.name]["delivered_gy"] == pytest.approx(target.delivered_gy, abs=0.01)
        assert answer["instances"] == row["objects"] >= len(list(course.folder.rglob("*.dcm"))) - 1


def test_demo_when_the_machine_failed_then_the_interruption_is_told(rows: list[dict[str, Any]]) -> None:
    told = {row["course"]: row["interruptions"] for row in rows if row["interruptions"]}
    assert told["2026-breast-left"] == [
        {"last_before": "2026-05-19", "first_after": "2026-05-25", "weekdays_missed": 3}
    ]


def test_demo_when_papers_are_printed_then_they_are_final_and_name_the_person(
    runs: Runs, rows: list[dict[str, Any]]
) -> None:
    printed = {row["id"]: row["summary"] for row in rows if row["summary"]}
    assert sorted(printed) == [f"SAMPLE-000{number}" for number in range(1, 5)]
    assert not any("draft" in name for name in printed.values())
    paper = PdfReader(runs.homes[0] / "summaries" / printed["SAMPLE-0001"])
    assert "SAMPLE-0001" in paper.pages[0].extract_text()
    assert not any("DRAFT" in page.extract_text() for page in paper.pages)


def test_demo_when_over_then_vault_and_journal_prove_themselves(runs: Runs) -> None:
    assert runs.ask("verify").items() >= {"dossiers": 6, "problems": []}.items()
    journal = runs.ask("journal", "--verify")
    assert journal["verified"] == len(journal["events"])
    assert [event["act"] for event in journal["events"]].count("seal") == 6


def test_demo_when_passwords_are_made_then_only_their_owner_reads_them(runs: Runs) -> None:
    path = runs.homes[0] / "demo-passwords.json"
    assert path.stat().st_mode & 0o077 == 0
    passwords = json.loads(path.read_text("utf-8"))
    env = environment(runs.homes[0] / "archive-home", LASTGATE_PASSWORD=passwords["demo-doctor"])
    told = lastgate("sign", "fonxda", "NOT-CLOSED", "--reason", "r", "--as", "demo-doctor", env=env)
    assert "can't be waived" in told.err


def test_demo_when_a_site_has_settings_then_it_leaves_that_archive_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lastgate.demo import _settings

    monkeypatch.setenv("LASTGATE_STORE__KIND", "s3")
    monkeypatch.setenv("LASTGATE_INDEX__KIND", "elasticsearch")
    settings = _settings(tmp_path)
    assert (settings.store.kind, settings.index.kind) == ("filesystem", "sqlite")
    assert settings.home == tmp_path / "archive-home"


@pytest.mark.parametrize("scale", ["full", "small"])
def test_demo_when_the_folder_holds_something_else_then_refused(tmp_path: Path, scale: str) -> None:
    (tmp_path / "thesis.txt").write_text("mine", "utf-8")
    told = lastgate("demo", "--home", tmp_path, "--scale", scale, env={})
    assert told.code == 1
    assert "is not empty and holds no demo" in told.err
    assert "--home" in told.err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_demo_when_the_folder_holds_one_of_another_scale_then_refused(runs: Runs) -> None:
    told = lastgate("demo", "--home", runs.homes[0], env={})
    assert told.code == 1
    assert "holds a demo of scale small" in told.err


def test_demo_when_the_folder_cannot_be_made_then_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    told = lastgate("demo", "--home", tmp_path / "file" / "home", env={})
    assert told.code == 1
    assert told.err.splitlines()[0] == f"Not a directory: {tmp_path / 'file' / 'home'}"
    assert len(told.err.splitlines()) == 1


def test_demo_when_an_object_is_not_taken_then_it_does_not_end_as_if_all_were_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lastgate import demo
    from lastgate.sample import write_department

    def spoiled(folder: Path, *, scale: Any) -> Department:
        made = write_department(folder, scale=scale)
        path = made.patients[0].paths[0]
        path.write_bytes(path.read_bytes()[:-1])
        return made

    monkeypatch.setattr(demo, "write_department", spoiled)
    with pytest.raises(Refused, match="1 objects are not stored"):
        demo.run(tmp_path / "home", as_json=True, scale="small")
    assert not (tmp_path / "home" / "made.json").exists()
