"""The paper journey of one course by commands alone: in, signed, closed, sealed, printed, and a late arrival."""

import csv
from itertools import groupby
from pathlib import Path

import pydicom
import pytest

from lastgate.sample import Department
from tests.factories import rules_file
from tests.lastgate.program import Told, environment, lastgate


class Journey:
    """The paper journey of one course, by commands alone."""

    def __init__(self, folder: Path, department: Department) -> None:
        self.folder = folder
        self.course = department.patient("SAMPLE-0003").courses[0]
        self.env = environment(folder / "home", LASTGATE_GATE__RULES=str(rules_file(folder)))
        self.told: dict[str, Told] = {}

    @property
    def objects(self) -> int:
        """How many objects the course has."""
        return len(list(self.course.folder.rglob("*.dcm")))

    def run(self, step: str, *arguments: object) -> Told:
        """Run a command and keep its answer under the name of the step."""
        self.told[step] = lastgate(*arguments, env=self.env)
        return self.told[step]


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory, sample_department: Department) -> Journey:
    """A course without its dose comes in, is signed, closed and sealed; then the dose arrives late."""
    from lastgate.sample.texts import course_text, department_text

    made = Journey(tmp_path_factory.mktemp("journey"), sample_department)
    run, folder, course = made.run, made.folder, made.course
    (folder / "department.toml").write_text(department_text(), "utf-8")
    made.env["LASTGATE_DEPARTMENT"] = str(folder / "department.toml")
    (folder / "entries.toml").write_text(course_text(course.key) or "", "utf-8")
    late = course.plans[0].dose_path
    for role in ("doctor", "physicist", "file-manager"):
        run(f"account {role}", "account", "add", role, "--role", role)
    run("import", "import", *(path for path in course.folder.rglob("*.dcm") if path != late), "--json")
    (body,) = run("find", "find", "--json").json
    name = body["id"][:10]
    run("gate open", "gate", name, "--json")
    run("dvh early", "dvh", name)
    run("sign wrong role", "sign", name, "DOSE-MISSING", "--reason", "never exported", "--as", "doctor")
    run("sign", "sign", name, "DOSE-MISSING", "--reason", "never exported", "--as", "physicist")
    for one in made.told["gate open"].json["findings"]:
        if one["blocks"] and one["waivable_by"] and one["code"] != "DOSE-MISSING":
            run(f"sign {one['id']}", "sign", name, one["id"], "--reason", "seen", "--as", one["waivable_by"][0])
    run("seal early", "seal", name, "--as", "file-manager")
    run("close", "close", name, "--outcome", "completed", "--last-date", course.last_fraction, "--as", "doctor")
    run("gate ready", "gate", name, "--json")
    run("seal", "seal", name, "--as", "file-manager")
    run("verify 1", "verify", "--json")
    run("draft", "summary", name, "-o", folder / "draft.pdf", "--date", "2026-11-02", "--as", "doctor")
    run("release early", "release", name, "--as", "doctor")
    run("enter", "enter", name, folder / "entries.toml", "--as", "doctor")
    page = ("--lang", "zh", "--for", "patient", "--as", "doctor")
    run("unreleased", "summary", name, "-o", folder / "unreleased.pdf", "--date", "2026-11-02", *page)
    run("release wrong role", "release", name, "--as", "file-manager")
    run("release", "release", name, "--date", "2026-11-02", "--as", "doctor")
    run("summary", "summary", name, "-o", folder / "summary.pdf", "--date", "2026-11-02", "--as", "doctor")
    run("late", "import", late)
    run("gate late", "gate", name, "--json")
    run("show late", "show", name, "--json")
    run("worklist", "gate", "--json")
    run("gate outdated", "gate", name)
    run("outdated", "summary", name, "-o", folder / "outdated.pdf", "--date", "2026-11-03", *page)
    run("release 2", "release", name, "--date", "2026-11-03", "--as", "physicist")
    run("seal 2", "seal", name, "--as", "file-manager")
    run("seal 3", "seal", name, "--as", "file-manager")
    run("verify 2", "verify", name)
    run("one page", "summary", name, "-o", folder / "page.pdf", *page)
    run("dvh", "dvh", name, "-o", folder / "dvh.csv", "--json")
    run("composite", "composite", "SAMPLE-0003", "-o", folder / "composite", "--json")
    run("journal", "journal", "--verify", "--json")
    before = run("find before", "find", "--json").out
    for path in (folder / "home").glob("index.sqlite*"):
        path.unlink()
    run("rebuild", "rebuild")
    assert run("find after", "find", "--json").out == before
    return made


def test_journey_when_each_step_is_done_then_its_exit_code_is_as_documented(journey: Journey) -> None:
    refused = {
        "gate open",
        "dvh early",
        "sign wrong role",
        "seal early",
        "draft",
        "seal 3",
        "gate late",
        "gate outdated",
    }
    refused |= {"release early", "unreleased", "release wrong role", "outdated"}
    codes = {step: told.code for step, told in journey.told.items()}
    assert codes == {step: int(step in refused) for step in codes}, journey.told
    assert not [step for step, told in journey.told.items() if "Traceback" in told.err]
    assert not [step for step, told in journey.told.items() if step not in refused and told.err]


def test_journey_when_the_dose_is_missing_then_only_a_physicist_may_sign(journey: Journey) -> None:
    findings = journey.told["gate open"].json["findings"]
    assert {"DOSE-MISSING", "CLOSE-PROPOSED"} <= {one["code"] for one in findings if one["blocks"]}
    assert "A doctor may not sign DOSE-MISSING" in journey.told["sign wrong role"].err
    assert journey.told["sign"].out.startswith("Signed DOSE-MISSING")
    assert "CLOSE-PROPOSED" in journey.told["seal early"].err


def test_journey_when_closed_then_is_ready_and_the_waiver_names_who_signed_why(journey: Journey) -> None:
    assert "it is now ready" in journey.told["close"].words
    body = journey.told["gate ready"].json
    (waived,) = [one for one in body["findings"] if one["code"] == "DOSE-MISSING"]
    assert (body["state"], waived["code"], waived["blocks"]) == ("ready", "DOSE-MISSING", False)
    assert waived["waivers"] == [{"account": "physicist", "role": "physicist", "reason": "never exported"}]


def test_journey_when_sealed_then_every_file_reads_back(journey: Journey) -> None:
    assert f"as version 1: {journey.objects - 1} objects" in journey.told["seal"].words
    assert journey.told["verify 1"].json.items() >= {"dossiers": 1, "repaired": 0, "problems": []}.items()


def test_journey_when_facts_are_missing_then_the_paper_is_a_draft_until_they_are_entered(journey: Journey) -> None:
    from pypdf import PdfReader

    draft, paper = (PdfReader(journey.folder / f"{name}.pdf") for name in ("draft", "summary"))
    assert "It is a DRAFT" in journey.told["draft"].out
    assert "lastgate enter" in journey.told["draft"].out
    assert "not recorded yet" in journey.told["release early"].err
    assert all("DRAFT" in page.extract_text() for page in draft.pages)
    assert not any("DRAFT" in page.extract_text() for page in paper.pages)
    assert "Example" in paper.pages[0].extract_text()


def test_journey_when_the_summary_is_not_released_or_outdated_then_it_is_printed_as_a_draft(journey: Journey) -> None:
    from pypdf import PdfReader

    assert "the summary is not released" in journey.told["unreleased"].words
    assert "what was released is outdated" in journey.told["outdated"].words
    for name in ("unreleased", "outdated"):
        assert all("DRAFT" in page.extract_text() for page in PdfReader(journey.folder / f"{name}.pdf").pages)
    assert "may not release" in journey.told["release wrong role"].err
    assert "lastgate seal DOSSIER" in journey.told["release"].words


def test_journey_when_a_late_dose_changes_what_is_printed_then_the_worklist_says_so(journey: Journey) -> None:
    (entry,) = journey.told["worklist"].json["late"]
    told = {one["code"]: one for one in entry["findings"]}
    assert {"LATE", "SUMMARY-LATE", "SUMMARY-OUTDATED"} <= set(told)
    assert "dose grids" in told["SUMMARY-OUTDATED"]["message"]
    assert told["SUMMARY-OUTDATED"]["asked"][0]["kind"] == "doctor"
    assert journey.told["gate outdated"].words.count("was printed on") == 1
    assert "by doctor (for both)" in journey.told["gate outdated"].words


def test_journey_when_a_page_is_printed_again_then_is_the_very_file_in_the_vault(journey: Journey) -> None:
    (sealed,) = (journey.folder / "home" / "archive" / "vault").rglob("v2/content/reports/summary-zh-patient.pdf")
    assert (journey.folder / "page.pdf").read_bytes() == sealed.read_bytes()
    (shown,) = journey.told["find after"].json
    assert {one["language"] for one in shown["summary"]["papers"]} == {"zh", "en"}
    assert (shown["summary"]["agrees"], shown["summary"]["sealed"], shown["summary"]["account"]) == (
        True,
        True,
        "physicist",
    )


def test_journey_when_states_moved_then_the_journal_tells_each_move_once(journey: Journey) -> None:
    moves = [one["subject"] for one in journey.told["journal"].json["events"] if one["act"] == "state"]
    assert [(one["from"], one["to"]) for one in moves] == [
        (None, "open"),
        ("open", "ready"),
        ("ready", "sealed"),
        ("sealed", "late"),
        ("late", "sealed"),
    ]


def test_journey_when_a_dose_comes_late_then_it_waits_with_a_finding_and_sealing_makes_version_2(
    journey: Journey,
) -> None:
    (late,) = [one for one in journey.told["gate late"].json["findings"] if one["code"] == "LATE"]
    assert late["message"].startswith("1 object(s) arrived after the seal")
    shown = journey.told["show late"].json
    assert (shown["state"], shown["version"], shown["late"]) == ("sealed", 1, 1)
    assert f"as version 2: {journey.objects} objects" in journey.told["seal 2"].words
    assert "1 sealed dossiers read back, 0 problems." in journey.told["verify 2"].out
    (after,) = journey.told["find after"].json
    assert (after["state"], after["version"], after["late"], after["instances"]) == ("sealed", 2, 0, journey.objects)
    assert "LATE" not in {one["code"] for one in after["findings"]}


def test_journey_when_the_dose_is_there_then_histograms_are_written_as_csv(journey: Journey) -> None:
    assert "LG-CRS-001" in journey.told["dvh early"].err
    body = journey.told["dvh"].json
    names = {one["name"] for one in body["structures"]}
    assert names == {organ.name for organ in journey.course.organs}
    with (journey.folder / "dvh.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["structure", "dose_gy", "volume_cc_at_least", "volume_cc_at_most"]
    assert {row["structure"] for row in rows} == names
    for one in body["structures"]:
        (first, *_) = [row for row in rows if row["structure"] == one["name"]]
        assert float(first["dose_gy"]) == 0
        assert float(first["volume_cc_at_most"]) == pytest.approx(one["volume_cc"], rel=1e-3)


def test_journey_when_composed_then_the_files_are_there_and_said(journey: Journey) -> None:
    body = journey.told["composite"].json
    assert body["status"]["state"] == "draft"
    (course,) = body["courses"]
    assert course["last_fraction"] == journey.course.last_fraction
    for what in ("rtdose_physical", "report_pdf"):
        assert Path(body["files"][what]).is_file()
    dose = pydicom.dcmread(body["files"]["rtdose_physical"])
    assert (dose.Modality, dose.PatientID) == ("RTDOSE", "SAMPLE-0003")


def test_journey_when_the_journal_is_verified_then_it_tells_every_act_in_order(journey: Journey) -> None:
    body = journey.told["journal"].json
    acts = [event["act"] for event in body["events"]]
    assert body["verified"] == len(acts)
    told = "receive sign close seal print enter-summary print release print receive print release seal print compose"
    assert [act for act, _ in groupby(act for act in acts if act in told.split())] == told.split()
    who = {event["act"]: event["account"] for event in body["events"]}
    assert (who["sign"], who["close"], who["seal"]) == ("physicist", "doctor", "file-manager")


def test_journey_when_an_act_is_refused_then_the_journal_says_to_whom_and_why(journey: Journey) -> None:
    refused = [event for event in journey.told["journal"].json["events"] if event["act"] == "refuse"]
    assert {event["outcome"] for event in refused} == {"refused"}
    assert ("doctor", "A doctor may not sign DOSE-MISSING") in {
        (event["account"], event["subject"]["why"]) for event in refused
    }
