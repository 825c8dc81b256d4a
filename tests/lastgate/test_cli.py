"""The command line: what each command prints, answers in JSON and returns as exit code."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from lastgate.sample import Department
from tests.acceptance import dcmtk
from tests.ingest.datasets import write_file
from tests.lastgate.program import PASSWORD, Told, environment, lastgate

COMMANDS = (
    "demo", "serve", "import", "send", "quarantine", "find", "show", "gate", "close", "sign", "deliver", "seal",
    "choose-dose", "dvh", "composite", "enter", "summary", "verify", "rebuild", "journal", "doctor", "account",
)  # fmt: skip
PROGRAM = Path(sys.executable).with_name("lastgate")


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory, sample_department: Department) -> dict[str, str]:
    """An archive nobody changes: three dossiers of two persons, one letter in quarantine."""
    home = tmp_path_factory.mktemp("cli")
    env = environment(home / "home")
    letter = home / "letter.txt"
    letter.write_text("Dear colleague", "utf-8")
    folders = [sample_department.patient(f"SAMPLE-000{number}").folder for number in (2, 5)]
    told = lastgate("import", *folders, letter, env=env)
    assert told.code == 1
    assert "121 stored" in told.out
    assert "1 quarantined" in told.out
    for name in ("doctor", "physicist", "file-manager", "administrator"):
        assert lastgate("account", "add", name, "--role", name, env=env).code == 0
    return env


@pytest.fixture
def fresh(tmp_path: Path) -> dict[str, str]:
    """An empty archive."""
    return environment(tmp_path / "home")


def _check_refusal(told: Told, code: int, *words: str) -> None:
    """An error is a sentence, what to do and a code; on the error output, without a traceback."""
    assert told.code == code, told
    assert told.out == ""
    assert "Traceback" not in told.err
    for word in words:
        assert word in told.err


def test_help_when_asked_then_lists_every_command(env: dict[str, str]) -> None:
    told = lastgate("--help", env=env)
    assert told.code == 0
    listed = {line.split()[1] for line in told.out.splitlines() if line.startswith("│ ") and line[2] != " "}
    assert listed >= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_when_asked_of_a_command_then_explains_it(command: str, env: dict[str, str]) -> None:
    told = lastgate(command, "--help", env=env)
    assert told.code == 0
    assert f"lastgate {command}" in told.out


def test_help_when_asked_of_the_program_then_nothing_heavy_is_imported() -> None:
    """What costs seconds on a cold disk is imported by the command that needs it."""
    code = (
        "import sys; sys.argv = ['lastgate', '--help']\n"
        "from lastgate.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {
        "numpy", "scipy", "pydicom", "pynetdicom", "boto3", "botocore", "elasticsearch", "reportlab", "fontTools",
        "PIL", "contourpy", "pypinyin", "pydantic", "cryptography", "argon2", "jinja2", "archive", "courses", "dose",
        "ingest", "reports", "search", "storage",
    }  # fmt: skip
    assert heavy & set(told.stderr.split()) == set()


def test_program_when_installed_then_answers_by_its_name(env: dict[str, str]) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LASTGATE_")}
    told = subprocess.run(
        [PROGRAM, "find", "rectum", "--json"], capture_output=True, text=True, env={**plain, **env}, check=False
    )
    assert (told.returncode, told.stderr) == (0, "")
    (answer,) = json.loads(told.stdout)
    assert answer["patient"]["name"] == "Muster^Max"


def test_version_when_asked_then_printed_without_an_archive() -> None:
    from importlib.metadata import version

    told = lastgate("--version", env={})
    assert (told.code, told.out) == (0, f"lastgate {version('lastgate')}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nosuch"],
        ["find", "--nosuch"],
        ["find", "--state", "finished"],
        ["find", "--modality", "xray"],
        ["find", "--from", "2026"],
        ["find", "--from", "2026-02-01", "--to", "2026-01-01"],
        ["show"],
        ["show", "nosuch"],
        ["show", ""],
        ["gate", "nosuch"],
        ["dvh", "nosuch"],
        ["composite", "nobody"],
        ["composite", "SAMPLE-0002", "--as-of", "soon"],
        ["composite", "SAMPLE-0002", "--onto", "1.2.3"],
        ["verify", "nosuch"],
        ["import", "/nosuch/folder"],
        ["send", "nosuch", "TPS@127.0.0.1:1"],
        ["send", "f", "TPS"],
        ["close", "fonxda", "--outcome", "completed", "--last-date", "yesterday", "--as", "doctor"],
        ["close", "fonxda", "--outcome", "happy", "--last-date", "2026-01-01", "--as", "doctor"],
        ["seal", "fonxda", "--as", "nobody"],
        ["seal", "fonxda", "--as", "doctor", "--password-file", "/nosuch/file"],
        ["summary", "fonxda", "--as", "doctor", "-o", "x.pdf", "--lang", "fr"],
        ["summary", "fonxda", "--as", "doctor", "-o", "x.pdf", "--date", "3"],
        ["enter", "fonxda", "/nosuch.toml", "--as", "doctor"],
        ["deliver", "fonxda", "nosuch", "--was-delivered", "--reason", "r", "--as", "doctor"],
        ["sign", "fonxda", "NO-SUCH", "--reason", "r", "--as", "doctor"],
        ["demo", "--scale", "huge"],
    ],
)
def test_command_when_used_wrongly_then_exit_code_2_and_words(arguments: list[str], env: dict[str, str]) -> None:
    told = lastgate(*arguments, env=env)
    _check_refusal(told, 2)
    assert told.err.strip()


def test_find_when_nothing_restricts_then_a_row_for_each_dossier(env: dict[str, str]) -> None:
    told = lastgate("find", env=env)
    assert told.code == 0
    assert told.out.startswith("3 dossiers")
    for word in ("Li^XiuYing", "Muster^Max", "15/15, 5/5", "12/25", "open"):
        assert word in told.words


@pytest.mark.parametrize(
    ("arguments", "labels"),
    [
        ([], {"Mediast_30.6", "BreastL_40.05", "Rectum_50Gy"}),
        (["lixiuying"], {"Mediast_30.6", "BreastL_40.05"}),
        (["lxy"], {"Mediast_30.6", "BreastL_40.05"}),
        (["秀英"], {"Mediast_30.6", "BreastL_40.05"}),
        (["--patient", "SAMPLE-0005"], {"Rectum_50Gy"}),
        (["--patient", "SAMPLE-000?"], {"Mediast_30.6", "BreastL_40.05", "Rectum_50Gy"}),
        (["--name", "Muster"], {"Rectum_50Gy"}),
        (["--site", "breast"], {"BreastL_40.05"}),
        (["--modality", "proton"], set()),
        (["--state", "sealed"], set()),
        (["--state", "open", "--from", "2026-01-01"], {"BreastL_40.05", "Rectum_50Gy"}),
        (["--to", "2015-12-31"], {"Mediast_30.6"}),
    ],
)
def test_find_when_restricted_then_names_those_that_fit(
    arguments: list[str], labels: set[str], env: dict[str, str]
) -> None:
    told = lastgate("find", *arguments, "--json", env=env)
    assert (told.code, told.err) == (0, "")
    assert {answer["plans"][0]["label"] for answer in told.json} == labels


def test_find_when_nothing_fits_then_says_what_to_try(env: dict[str, str]) -> None:
    told = lastgate("find", "zzz", env=env)
    assert (told.code, told.out) == (0, "No dossier fits. Try fewer words, or a part of the name.\n")


def test_find_when_asked_twice_then_the_json_is_the_same_letter_by_letter(env: dict[str, str]) -> None:
    first, second = (lastgate("find", "--json", env=env).out for _ in range(2))
    assert first == second
    (answer,) = [one for one in json.loads(first) if one["plans"][0]["label"] == "BreastL_40.05"]
    promised = {
        "id", "state", "origin", "outcome", "patient", "intent", "first_fraction", "last_fraction", "interruptions",
        "sites", "modalities", "techniques", "phases", "plans", "instances", "bytes", "findings",
    }  # fmt: skip
    assert set(answer) >= promised
    assert set(answer["patient"]) >= {"ids", "name", "names", "birth_date", "sex"}


def test_show_when_a_dossier_is_named_then_find_and_show_say_the_same(env: dict[str, str]) -> None:
    (listed,) = lastgate("find", "rectum", "--json", env=env).json
    assert lastgate("show", listed["id"][:8], "--json", env=env).json == listed
    told = lastgate("show", listed["id"][:8], env=env)
    assert told.code == 0
    for word in ("Muster^Max", "born 1949-09-17", "Rectum_50Gy", "SAMPLE-L1", "12/25", "50.00 Gy", "24.00 Gy"):
        assert word in told.words
    assert "DOSE-MISSING" in told.out


def test_show_when_a_course_was_interrupted_then_says_when(env: dict[str, str]) -> None:
    (breast,) = lastgate("find", "--site", "breast", "--json", env=env).json
    told = lastgate("show", breast["id"], env=env)
    assert "Interrupted from 2026-05-19 to 2026-05-25: 3 weekdays" in told.words


def test_gate_when_no_dossier_is_named_then_is_the_worklist(env: dict[str, str]) -> None:
    told = lastgate("gate", env=env)
    assert told.code == 0
    for word in ("At the gate", "Muster^Max", "DOSE-MISSING", "Quarantine", "letter.txt", "No patient was named"):
        assert word in told.words
    body = lastgate("gate", "--json", env=env).json
    assert set(body) == {"dossiers", "unattached", "quarantine"}
    assert [one["last_fraction"] for one in body["dossiers"]] == ["2015-03-31", "2026-06-10", "2026-10-27"]


def test_gate_when_a_dossier_lacks_something_then_exit_code_1_and_what_to_do(env: dict[str, str]) -> None:
    told = lastgate("gate", "fonxda", env=env)
    assert told.code == 1
    for word in ("DOSE-MISSING", "blocking", "Plan Rectum_50Gy has no dose grid here."):
        assert word in told.words
    told = lastgate("gate", "fonxda", "--json", env=env)
    assert told.code == 1
    assert [one["code"] for one in told.json["findings"]] == ["DOSE-MISSING", "FRACTIONS-MISSING", "NOT-CLOSED"]


def test_quarantine_when_something_is_there_then_says_what_and_why(env: dict[str, str]) -> None:
    (note,) = lastgate("quarantine", "--json", env=env).json
    assert (note["reason"], note["bytes"]) == ("LG-ING-406", 14)
    assert "name the patient" in note["hint"]
    told = lastgate("quarantine", env=env)
    assert "LG-ING-406" in told.out
    assert "name the patient" in told.words


def test_account_when_listed_then_names_and_roles_without_passwords(env: dict[str, str]) -> None:
    told = lastgate("account", "list", "--json", env=env)
    assert {"name": "doctor", "role": "doctor"} in told.json
    assert len(told.json) == 4
    assert all(set(one) == {"name", "role"} for one in told.json)
    assert "physicist" in lastgate("account", "list", env=env).out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["doctor", "--role", "doctor"], ["There is an account 'doctor' already", "LG-ARC-005"]),
        (["other", "--role", "nurse"], ["There is no role 'nurse'", "file-manager, physicist, doctor"]),
    ],
)
def test_account_add_when_refused_then_says_why(arguments: list[str], words: list[str], env: dict[str, str]) -> None:
    _check_refusal(lastgate("account", "add", *arguments, env=env), 1, *words)


def test_account_add_when_the_password_is_short_then_refused(env: dict[str, str]) -> None:
    told = lastgate("account", "add", "short", "--role", "doctor", env={**env, "LASTGATE_PASSWORD": "short"})
    _check_refusal(told, 1, "shorter than eight characters")


def test_password_when_from_a_file_then_its_last_line_end_is_no_part_of_it(env: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "password"
    no_variable = {**env, "LASTGATE_PASSWORD": ""}
    file.write_text(f"{PASSWORD}\n", "utf-8")
    told = lastgate("seal", "fonxda", "--as", "doctor", "--password-file", file, env=no_variable)
    _check_refusal(told, 1, "The dossier is not ready")
    file.write_text("something else\n", "utf-8")
    told = lastgate("seal", "fonxda", "--as", "doctor", "--password-file", file, env=no_variable)
    _check_refusal(told, 1, "The password of 'doctor' is wrong")
    file.write_bytes(b"\xff\xfe\xfd")
    told = lastgate("seal", "fonxda", "--as", "doctor", "--password-file", file, env=no_variable)
    _check_refusal(told, 2, "no text in UTF-8")


def test_password_when_nobody_can_be_asked_then_the_command_ends(env: dict[str, str]) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LASTGATE_")}
    told = subprocess.run(
        [PROGRAM, "seal", "fonxda", "--as", "doctor"],
        env={**plain, **env, "LASTGATE_PASSWORD": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["seal", "fonxda", "--as", "doctor"], ["3 finding(s) hold it at the gate", "lastgate gate DOSSIER"]),
        (
            ["sign", "fonxda", "DOSE-MISSING", "--reason", "r", "--as", "doctor"],
            ["A doctor may not sign DOSE-MISSING", "Ask a physicist", "LG-ARC-005"],
        ),
        (["sign", "fonxda", "DOSE-MISSING", "--reason", " ", "--as", "physicist"], ["A waiver needs a reason"]),
        (["sign", "fonxda", "NOT-CLOSED", "--reason", "r", "--as", "doctor"], ["NOT-CLOSED can't be waived"]),
        (
            ["close", "fonxda", "--outcome", "stopped", "--last-date", "2026-10-27", "--as", "doctor"],
            ["without a reason", "--reason TEXT"],
        ),
        (
            ["choose-dose", "fonxda", "Rectum_50Gy", "1.2.3", "--reason", "r", "--as", "doctor"],
            ["may not choose a dose", "Ask a physicist"],
        ),
        (
            ["deliver", "fonxda", "Rectum_50Gy", "--was-delivered", "--reason", "r", "--as", "administrator"],
            ["is administrator and may not"],
        ),
        (["dvh", "fonxda"], ["LG-CRS-001"]),
        (["verify", "fonxda"], []),
    ],
)
def test_command_when_refused_then_exit_code_1_and_what_to_do(
    arguments: list[str], words: list[str], env: dict[str, str]
) -> None:
    told = lastgate(*arguments, env=env)
    assert told.code == 1
    assert "Traceback" not in told.err
    for word in words:
        assert word in told.err


def test_send_when_nobody_listens_then_exit_code_1_and_what_to_check(env: dict[str, str]) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LASTGATE_")}
    told = subprocess.run(
        [PROGRAM, "send", "fonxda", "TPS@127.0.0.1:1"],
        capture_output=True,
        text=True,
        env={**plain, **env},
        check=False,
    )
    assert (told.returncode, told.stdout) == (1, "")
    assert "TPS at 127.0.0.1:1 does not answer" in told.stderr
    assert "LG-ING-500" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.server
def test_send_when_a_peer_takes_it_then_says_how_many(env: dict[str, str], tmp_path: Path) -> None:
    with dcmtk.storescp(tmp_path / "received") as port:
        told = lastgate("send", "fonxda", f"JUDGE@127.0.0.1:{port}", env=env)
        body = lastgate("send", "fonxda", f"JUDGE@127.0.0.1:{port}", "--json", env=env).json
    assert told.code == 0
    assert f"34 of 34 objects of fonxda2rw2 are stored at JUDGE@127.0.0.1:{port}." in told.words
    assert (body["stored"], body["refused"]) == (34, [])


def test_rebuild_when_run_then_says_how_many_documents(env: dict[str, str]) -> None:
    before = lastgate("find", "--json", env=env).out
    told = lastgate("rebuild", env=env)
    assert told.code == 0
    assert told.out.startswith("The index holds ")
    assert lastgate("find", "--json", env=env).out == before


def test_doctor_when_the_stores_are_fit_then_says_so(fresh: dict[str, str]) -> None:
    told = lastgate("doctor", env=fresh)
    assert told.code == 0
    assert "work store" in told.out
    assert "index: readable." in told.out


@pytest.mark.parametrize("command", ["find", "gate", "quarantine", "verify", "journal", "account list"])
def test_command_when_the_archive_is_empty_then_says_so_and_json_is_json(command: str, fresh: dict[str, str]) -> None:
    told = lastgate(*command.split(), env=fresh)
    assert told.code == 0
    assert told.out.strip()
    body = lastgate(*command.split(), "--json", env=fresh)
    assert body.code == 0
    assert isinstance(body.json, list | dict)


def test_names_when_they_hold_markup_or_control_characters_then_are_printed_harmlessly(
    fresh: dict[str, str], tmp_path: Path, sample_department: Department
) -> None:
    """A label may look like the marks of the table printer, or steer a terminal; find and show survive both."""
    plan = pydicom.dcmread(sample_department.patient("SAMPLE-0005").courses[0].plans[0].path)
    plan.PatientName = "Test[/b]^:x:[red]"
    plan.RTPlanLabel = "Plan[/]\x1b[31m"
    path = tmp_path / "[bold]plan[/x].dcm"
    plan.save_as(path)
    told = lastgate("import", path, env=fresh)
    assert told.code == 0
    (body,) = lastgate("find", "--json", env=fresh).json
    assert body["patient"]["name"] == "Test[/b]^:x:[red]"
    for arguments in (["find"], ["show", body["id"]], ["gate"], ["gate", body["id"]], ["journal"]):
        told = lastgate(*arguments, env=fresh)
        assert told.code in (0, 1), told.err
        assert "\x1b" not in told.out
    assert "Test[/b]^:x:[red]" in lastgate("show", body["id"], env=fresh).words


def test_import_when_all_is_stored_then_exit_code_0(fresh: dict[str, str], tmp_path: Path) -> None:
    path = write_file(tmp_path / "one.dcm")
    assert lastgate("import", path, env=fresh).out == "1 files: 1 stored.\n"
    told = lastgate("import", path, "--json", env=fresh)
    assert (told.code, told.err) == (0, "")
    assert told.json["counts"] == {"duplicate": 1}
    assert told.json["files"][0]["path"] == str(path)


def test_import_when_a_document_has_an_owner_then_it_lies_with_that_patient(
    fresh: dict[str, str], tmp_path: Path
) -> None:
    letter = tmp_path / "letter.pdf"
    letter.write_bytes(b"%PDF-1.7 Dear colleague")
    told = lastgate("import", letter, "--patient", "CLINIC/7", env=fresh)
    assert told.code == 0
    (patient,) = lastgate("gate", "--json", env=fresh).json["unattached"]
    assert patient["patient"]["ids"][0] | {"kind": ""} == {"value": "7", "issuer": "CLINIC", "kind": ""}


def test_settings_when_wrong_then_one_clear_error(fresh: dict[str, str]) -> None:
    told = lastgate("find", env={**fresh, "LASTGATE_NODE__PORT": "many"})
    _check_refusal(told, 2, "node.port", "lastgate.toml", "LG-SET-001")


def test_home_when_it_cannot_be_made_then_one_clear_line(tmp_path: Path) -> None:
    in_the_way = tmp_path / "home"
    in_the_way.write_text("a file", "utf-8")
    told = lastgate("import", write_file(tmp_path / "one.dcm"), env=environment(in_the_way))
    assert told.code == 1
    assert "Traceback" not in told.err
    assert str(in_the_way) in told.err


def test_summary_when_the_folder_is_missing_then_says_so(env: dict[str, str], tmp_path: Path) -> None:
    told = lastgate("summary", "fonxda", "--as", "doctor", "-o", tmp_path / "no" / "x.pdf", env=env)
    _check_refusal(told, 2, "No such file or directory", "x.pdf")


def test_serve_when_interrupted_then_ends_quietly(tmp_path: Path) -> None:
    import signal

    plain = {name: value for name, value in os.environ.items() if not name.startswith("LASTGATE_")}
    server = subprocess.Popen(
        [PROGRAM, "serve"],
        env={**plain, **environment(tmp_path / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("LASTGATE listens on 127.0.0.1:")
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=30)
    finally:
        server.kill()
    assert (server.returncode, out, err) == (0, "", "")


def test_import_when_interrupted_then_ends_quietly(fresh: dict[str, str], tmp_path: Path) -> None:
    from unittest import mock

    with mock.patch("lastgate.reception.import_paths", side_effect=KeyboardInterrupt):
        told = lastgate("import", write_file(tmp_path / "one.dcm"), env=fresh)
    assert (told.code, told.out, told.err) == (130, "", "")


class Journey:
    """The paper journey of one course, by commands alone."""

    def __init__(self, folder: Path, department: Department) -> None:
        self.folder = folder
        self.course = department.patient("SAMPLE-0003").courses[0]
        self.env = environment(folder / "home")
        self.told: dict[str, Told] = {}

    def run(self, step: str, *arguments: object) -> Told:
        """Run a command and keep its answer under the name of the step."""
        self.told[step] = lastgate(*arguments, env=self.env)
        return self.told[step]


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory, sample_department: Department) -> Iterator[Journey]:
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
    run("seal early", "seal", name, "--as", "file-manager")
    run("close", "close", name, "--outcome", "completed", "--last-date", course.last_fraction, "--as", "doctor")
    run("gate ready", "gate", name, "--json")
    run("seal", "seal", name, "--as", "file-manager")
    run("verify 1", "verify", "--json")
    run("draft", "summary", name, "-o", folder / "draft.pdf", "--date", "2026-11-02", "--as", "doctor")
    run("enter", "enter", name, folder / "entries.toml", "--as", "doctor")
    run("summary", "summary", name, "-o", folder / "summary.pdf", "--date", "2026-11-02", "--as", "doctor")
    run("late", "import", late)
    run("gate late", "gate", name, "--json")
    run("show late", "show", name, "--json")
    run("seal 2", "seal", name, "--as", "file-manager")
    run("seal 3", "seal", name, "--as", "file-manager")
    run("verify 2", "verify", name)
    run("dvh", "dvh", name, "-o", folder / "dvh.csv", "--json")
    run("composite", "composite", "SAMPLE-0003", "-o", folder / "composite", "--json")
    run("journal", "journal", "--verify", "--json")
    before = run("find before", "find", "--json").out
    for path in (folder / "home").glob("index.sqlite*"):
        path.unlink()
    run("rebuild", "rebuild")
    assert run("find after", "find", "--json").out == before
    yield made


def test_journey_when_each_step_is_done_then_its_exit_code_is_as_documented(journey: Journey) -> None:
    refused = {"gate open", "dvh early", "sign wrong role", "seal early", "draft", "seal 3"}
    codes = {step: told.code for step, told in journey.told.items()}
    assert codes == {step: int(step in refused) for step in codes}, journey.told
    assert not [step for step, told in journey.told.items() if "Traceback" in told.err]


def test_journey_when_the_dose_is_missing_then_only_a_physicist_may_sign(journey: Journey) -> None:
    findings = journey.told["gate open"].json["findings"]
    assert [one["code"] for one in findings if one["blocks"]] == ["DOSE-MISSING", "CLOSE-PROPOSED"]
    assert "A doctor may not sign DOSE-MISSING" in journey.told["sign wrong role"].err
    assert journey.told["sign"].out.startswith("Signed DOSE-MISSING")
    assert "CLOSE-PROPOSED" in journey.told["seal early"].err


def test_journey_when_closed_then_is_ready_and_the_waiver_names_who_signed_why(journey: Journey) -> None:
    assert "it is now ready" in journey.told["close"].words
    body = journey.told["gate ready"].json
    (waived,) = body["findings"]
    assert (body["state"], waived["code"], waived["blocks"]) == ("ready", "DOSE-MISSING", False)
    assert waived["waivers"] == [{"account": "physicist", "role": "physicist", "reason": "never exported"}]


def test_journey_when_sealed_then_every_file_reads_back(journey: Journey) -> None:
    assert "as version 1: 28 objects" in journey.told["seal"].words
    assert journey.told["verify 1"].json == {"dossiers": 1, "problems": []}


def test_journey_when_facts_are_missing_then_the_paper_is_a_draft_until_they_are_entered(journey: Journey) -> None:
    from pypdf import PdfReader

    draft, paper = (PdfReader(journey.folder / f"{name}.pdf") for name in ("draft", "summary"))
    assert "It is a DRAFT" in journey.told["draft"].out
    assert "lastgate enter" in journey.told["draft"].out
    assert all("DRAFT" in page.extract_text() for page in draft.pages)
    assert not any("DRAFT" in page.extract_text() for page in paper.pages)
    assert "Example" in paper.pages[0].extract_text()


def test_journey_when_a_dose_comes_late_then_it_waits_with_a_finding_and_sealing_makes_version_2(
    journey: Journey,
) -> None:
    (late,) = [one for one in journey.told["gate late"].json["findings"] if one["code"] == "LATE"]
    assert late["message"].startswith("1 object(s) arrived after the seal")
    shown = journey.told["show late"].json
    assert (shown["state"], shown["version"], shown["late"]) == ("sealed", 1, 1)
    assert "as version 2: 29 objects" in journey.told["seal 2"].words
    assert "1 sealed dossiers read back, 0 problems." in journey.told["verify 2"].out
    (after,) = journey.told["find after"].json
    assert (after["state"], after["version"], after["late"], after["instances"]) == ("sealed", 2, 0, 29)
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
    told = ("receive", "sign", "close", "seal", "print", "enter-summary", "print", "receive", "seal", "compose")
    assert [act for act in acts if act in told] == list(told)
    who = {event["act"]: event["account"] for event in body["events"]}
    assert (who["sign"], who["close"], who["seal"]) == ("physicist", "doctor", "file-manager")
