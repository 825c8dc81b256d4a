"""A house answers queries about what it received, and its journal says who asked."""

import subprocess
from pathlib import Path

from lastgate.reception import receiving
from lastgate.sample import Department
from lastgate.settings import NodeSettings, Settings
from lastgate.wiring import open_house

FINDSCU = "/usr/bin/findscu"


def test_house_when_asked_for_what_it_received_then_it_answers_and_the_journal_says_who_asked(
    sample_department: Department, tmp_path: Path
) -> None:
    patient = next(one for one in sample_department.patients if one.patient_id == "SAMPLE-0003")
    settings = Settings(home=tmp_path / "node", node=NodeSettings(unknown_peers="accept"))
    with open_house(settings) as house:
        with receiving(house, port=0) as reception:
            _run("/usr/bin/storescu", "-R", str(reception.port), *map(str, patient.paths))
            reception.file()
            found = _run(FINDSCU, "-P", str(reception.port), keys=("QueryRetrieveLevel=PATIENT", "PatientID=SAMPLE-*"))
        assert found.count("[SAMPLE-0003") == 1
        house.trail.close()
        house.journal.flush()
        (event,) = [one for one in _events(tmp_path / "node") if '"act":"query"' in one.replace(" ", "")]
    assert '"PatientID":"SAMPLE-*"' in event.replace(" ", "")
    assert "FINDSCU" in event


def _run(program: str, option: str, port: str, *paths: str, keys: tuple[str, ...] = ()) -> str:
    asked = [part for key in keys for part in ("-k", key)]
    told = subprocess.run(
        [program, option, "-v", *asked, "127.0.0.1", port, *paths],
        capture_output=True, check=True, env={"TCP_NODELAY": "1"},
    )  # fmt: skip
    answers = (told.stdout + told.stderr).decode("utf-8", "replace")
    return answers.partition("Find Response: 1")[2] if keys else answers


def _events(home: Path) -> list[str]:
    return [line for path in home.rglob("journal/**/*.jsonl") for line in path.read_text("utf-8").splitlines()]
