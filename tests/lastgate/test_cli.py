"""The command line: what each command prints, answers in JSON and returns as exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

from lastgate.sample import Department
from tests.acceptance import dcmtk
from tests.ingest.datasets import write_file
from tests.lastgate.program import PASSWORD, PROGRAM, Told, environment, lastgate

COMMANDS = (
    "demo", "serve", "drain", "import", "send", "quarantine", "find", "show", "gate", "close", "sign", "deliver",
    "seal", "choose-dose", "dvh", "composite", "enter", "summary", "verify", "rebuild", "journal", "doctor", "account",
)  # fmt: skip


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
    assert "135 stored" in told.out
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
    shown = lastgate("show", listed["id"][:8], "--json", env=env).json
    kept = shown.pop("kept")
    assert shown == listed
    assert (kept["until"], kept["hold"]) == (None, None)  # no term runs before it is sealed
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
    assert set(body) == {"dossiers", "late", "identities", "unattached", "damage", "quarantine", "sends"}
    asked = {one["code"]: one["asked"] for one in body["dossiers"][-1]["findings"]}
    assert asked["FRACTIONS-MISSING"] == [{"kind": "machine", "name": "SAMPLE-L1"}]
    assert "treatment machine SAMPLE-L1: FRACTIONS-MISSING" in told.words
    assert [one["last_fraction"] for one in body["dossiers"]] == ["2015-03-31", "2026-06-10", "2026-10-27"]


def test_gate_when_a_dossier_lacks_something_then_exit_code_1_and_what_to_do(env: dict[str, str]) -> None:
    told = lastgate("gate", "fonxda", env=env)
    assert told.code == 1
    for word in ("DOSE-MISSING", "blocking", "Plan Rectum_50Gy has no dose grid here."):
        assert word in told.words
    told = lastgate("gate", "fonxda", "--json", env=env)
    assert told.code == 1
    assert [one["code"] for one in told.json["findings"]] == [
        "CONSENT-MISSING",
        "DOSE-MISSING",
        "FRACTIONS-MISSING",
        "NOT-CLOSED",
        "SLICES-COARSE",
    ]


def test_quarantine_when_something_is_there_then_says_what_and_why(env: dict[str, str]) -> None:
    (note,) = lastgate("quarantine", "--json", env=env).json
    assert (note["reason"], note["bytes"]) == ("LG-ING-406", 14)
    assert "name the patient" in note["hint"]
    told = lastgate("quarantine", env=env)
    assert "letter.txt  LG-ING-406" in told.out
    assert f"   {note['hint']}\n" in told.out


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
        (["seal", "fonxda", "--as", "doctor"], ["4 finding(s) hold it at the gate", "lastgate gate DOSSIER"]),
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
    assert "TPS@127.0.0.1:1 does not answer: Connection refused" in told.stderr
    assert "LG-ING-500" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.server
def test_send_when_a_peer_takes_it_then_says_how_many(env: dict[str, str], tmp_path: Path) -> None:
    with dcmtk.storescp(tmp_path / "received") as port:
        told = lastgate("send", "fonxda", f"JUDGE@127.0.0.1:{port}", env=env)
        body = lastgate("send", "fonxda", f"JUDGE@127.0.0.1:{port}", "--json", env=env).json
    assert told.code == 0
    assert f"38 of 38 objects of fonxda2rw2 are stored at JUDGE@127.0.0.1:{port}." in told.words
    assert (body["stored"], body["refused"]) == (38, [])


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
    path = tmp_path / "[bold]plan.dcm"
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
