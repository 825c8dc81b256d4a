"""A physicist approves a composite: approved while the same facts give the same figures, else outdated."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from lastgate.approving import figures_sha256
from lastgate.sample import Department
from tests.lastgate.program import Told, environment, lastgate

REASON = "Courses, fractions and one setup checked; INCOMPLETE outside the grids, which lie far from the cord."


@pytest.fixture
def late(sample_department: Department) -> Path:
    """The treatment record that comes last."""
    return sample_department.patient("SAMPLE-0001").courses[0].plans[0].record_paths[-1]


@pytest.fixture
def env(tmp_path: Path, sample_department: Department, late: Path) -> dict[str, str]:
    """The archive of one person with two courses in one frame of reference; one record has not come yet."""
    env = environment(tmp_path / "home")
    paths = [path for path in sample_department.patient("SAMPLE-0001").paths if path != late]
    assert lastgate("import", *paths, env=env).code == 0
    for name in ("doctor", "physicist"):
        assert lastgate("account", "add", name, "--role", name, env=env).code == 0
    return env


def _composed(env: dict[str, str], folder: Path | None = None, *options: str) -> dict[str, Any]:
    where = ("-o", folder) if folder else ()
    told = lastgate("composite", "SAMPLE-0001", "--no-ensemble", "--json", *where, *options, env=env)
    assert told.code == 0, told
    body: dict[str, Any] = json.loads(told.out)
    return body


def _approve(env: dict[str, str], *options: str, account: str = "physicist", reason: str = REASON) -> Told:
    return lastgate(
        "approve-composite", "SAMPLE-0001", "--reason", reason, "--as", account, "--no-ensemble", *options, env=env
    )


def test_approval_when_nothing_changes_then_status_objects_and_papers_say_so_and_a_new_fact_ends_it(
    env: dict[str, str], late: Path, tmp_path: Path
) -> None:
    draft = _composed(env, tmp_path / "draft")
    assert draft["status"]["state"] == "draft"

    wrong = {**env, "LASTGATE_PASSWORD": "another"}
    assert _approve(wrong).code == 1
    refused = _approve(env, account="doctor")
    assert (refused.code, "physicist" in refused.err) == (1, True)
    told = _approve(env)
    assert told.code == 0, told

    approved = _composed(env, tmp_path / "approved")
    status = approved["status"]
    assert (status["state"], status["by"], status["reason"]) == ("approved", "physicist", REASON)
    assert figures_sha256(approved) == figures_sha256(draft)
    bodies = [(tmp_path / "approved" / name).read_bytes() for name in ("composite-zh.pdf", "composite-en.pdf")]
    assert [hashlib.sha256(body).hexdigest() for body in bodies] == status["report_sha256"]
    dose = dcmread(tmp_path / "approved" / "composite-dose.dcm")
    assert dose.SeriesDescription.endswith("as delivered, approved")
    # the same question twice is answered alike, and nobody approves twice
    assert _composed(env)["status"] == status
    assert _approve(env).code == 1
    # another question was not approved
    assert _composed(env, None, "--as-of", "2027-01-01")["status"]["state"] == "draft"

    assert lastgate("import", late, env=env).code == 0
    assert _composed(env)["status"]["state"] == "outdated"


def test_approval_when_a_reason_says_nothing_of_what_is_missing_then_it_is_refused(
    sample_department: Department, tmp_path: Path
) -> None:
    env = environment(tmp_path / "home")
    patient = sample_department.patient("SAMPLE-0001")
    missing = patient.courses[0].plans[0].dose_path
    assert lastgate("import", *[path for path in patient.paths if path != missing], env=env).code == 0
    assert lastgate("account", "add", "physicist", "--role", "physicist", env=env).code == 0

    refused = _approve(env, reason="looked at")

    assert refused.code == 1
    assert "incomplete" in refused.err
    assert _approve(env, reason="不完整：首程剂量缺失，已知悉").code == 0
