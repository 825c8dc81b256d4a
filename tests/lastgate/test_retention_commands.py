"""Hold, keep, death, dispose, tidy and keys, as people type them."""

import hashlib
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from unittest import mock

import pytest

from archive.facts.decisions import Close
from lastgate.keeping import keep_tidy, timestamps_of
from lastgate.settings import SealSettings, Settings, SettingsError, load_settings
from lastgate.wiring import House, open_house
from tests.archive.house import body_of
from tests.factories import NO_PAPERS, course, key_of, receipt
from tests.lastgate.program import Told, environment, lastgate

LONG_AGO = date(1990, 3, 5)
SEALED_AT = datetime(2022, 7, 1, 12, tzinfo=UTC)
"""Thirty-two years after the course: it was kept a year from then."""
PEOPLE = (
    ("fay", "file-manager"), ("dora", "doctor"), ("phil", "physicist"), ("adam", "administrator"),
    ("rita", "retention-officer"), ("rolf", "retention-officer"),
)  # fmt: skip


@contextmanager
def opened(env: dict[str, str]) -> Iterator[House]:
    """Open the archive of an environment."""
    with mock.patch.dict("os.environ", env), open_house(load_settings()) as house:
        yield house


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of an archive with one sealed dossier whose retention has ended."""
    folder = tmp_path_factory.mktemp("archive")
    rules = folder / "rules.toml"
    rules.write_text(NO_PAPERS, "utf-8")
    found = environment(folder / "home", LASTGATE_GATE__RULES=str(rules))
    for name, role in PEOPLE:
        assert lastgate("account", "add", name, "--role", role, env=found).code == 0
    with mock.patch("lastgate.wiring.utc_now", return_value=SEALED_AT), opened(found) as house:
        _sealed(house)
    return found


@pytest.fixture
def env(archive: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Return the environment of a copy of it."""
    shutil.copytree(archive["LASTGATE_HOME"], tmp_path / "home")
    return {**archive, "LASTGATE_HOME": str(tmp_path / "home")}


def _sealed(house: House) -> None:
    receipts = []
    for header in course("plan", start=LONG_AGO, fractions=2):
        body = body_of(header)
        one = receipt(header, body=body)
        digest = hashlib.sha256(body).hexdigest()
        house.stores.work.put_if_absent(one.key, io.BytesIO(body), sha256=digest, size_bytes=len(body))
        receipts.append(replace(one, received_at=SEALED_AT))
    house.facts.write_receipts(key_of(), receipts)
    house.on_facts(key_of())
    doctor = next(one for one in house.accounts.all() if one.name == "dora")
    (dossier,) = house.desk.record(key_of()).dossiers
    end = Close(plan_uids=(), outcome="completed", last_date=dossier.last_fraction)
    ready = house.desk.close(key_of(), dossier.id, end, account=doctor)
    for finding in ready.findings:
        if finding.blocks:
            account = next(one for one in house.accounts.all() if one.role in finding.waivable_by)
            house.desk.waive(key_of(), dossier.id, finding.id, reason="long ago", account=account)
    house.desk.seal(key_of(), dossier.id, account=doctor)


def told(env: dict[str, str], *arguments: object, code: int = 0) -> Told:
    answer = lastgate(*arguments, env=env)
    assert answer.code == code, answer.out + answer.err
    return answer


def only(env: dict[str, str]) -> str:
    ((found,),) = ([one["id"] for one in told(env, "find", "--json").json],)
    return str(found)


def test_show_then_it_tells_until_when_the_dossier_is_kept_and_by_which_rule(env: dict[str, str]) -> None:
    kept = told(env, "show", only(env), "--json").json["kept"]

    assert (kept["until"], kept["terms"][0]["code"], kept["hold"]) == ("2023-07-01", "REVIEW", None)
    assert [term["until"] for term in kept["terms"][1:]] == ["2020-03-06", "2020-03-06"]
    assert "Kept until 2023-07-01: REVIEW" in told(env, "show", only(env)).words


def test_dispose_then_two_officers_destroy_it_and_the_index_says_so(env: dict[str, str]) -> None:
    name = only(env)
    assert told(env, "dispose", "--due", "--json").json == [{"id": name, "kept_until": "2023-07-01"}]

    told(env, "dispose", name, "--reason", "its term is over", "--as", "fay", code=1)
    told(env, "dispose", name, "--reason", "its term is over", "--as", "rita")
    told(env, "dispose", name, "--confirm", "--as", "rita", code=1)
    assert "is destroyed" in told(env, "dispose", name, "--confirm", "--as", "rolf").words

    assert told(env, "find", "--json").json[0]["state"] == "disposed"
    assert [one["id"] for one in told(env, "find", "--state", "disposed", "--json").json] == [name]
    shown = told(env, "show", name, "--json").json
    assert (shown["state"], shown["instances"], shown["findings"]) == ("disposed", 0, [])
    assert told(env, "dispose", "--due").words == "No retention has ended."
    acts = [one["act"] for one in told(env, "journal", "--json").json["events"]]
    assert {"ask-disposal", "confirm-disposal", "dispose"} <= set(acts)
    before = told(env, "find", "--json").out
    told(env, "rebuild")
    assert told(env, "find", "--json").out == before
    assert told(env, "verify", "--json").json["problems"] == []


def test_hold_then_it_is_shown_and_blocks_until_it_is_lifted(env: dict[str, str]) -> None:
    name = only(env)
    told(env, "hold", name, "--reason", "court", "--as", "dora")

    assert told(env, "show", name, "--json").json["kept"]["hold"]["reason"] == "court"
    assert "On hold since" in told(env, "show", name).words
    assert told(env, "dispose", "--due", "--json").json == []
    told(env, "dispose", name, "--reason", "its term is over", "--as", "rita", code=1)
    told(env, "hold", name, "--lift", "--reason", "over", "--as", "dora", code=1)
    assert "no longer on hold" in told(env, "hold", name, "--lift", "--reason", "over", "--as", "rita").words


def test_keep_and_death_then_it_is_kept_longer(env: dict[str, str]) -> None:
    name = only(env)
    told(env, "keep", name, "--until", "2020-01-01", "--reason", "a study", "--as", "dora", code=1)
    told(env, "keep", name, "--until", "nonsense", "--reason", "a study", "--as", "dora", code=2)

    assert (
        "kept until 2024-02-29"
        in told(env, "death", name, "--date", "2016-02-29", "--reason", "register", "--as", "dora").words
    )
    assert (
        "is kept until 2044-05-05"
        in told(env, "keep", name, "--until", "2044-05-05", "--reason", "a study", "--as", "fay").words
    )
    assert told(env, "dispose", "--due", "--json").json == []


def test_tidy_then_the_intake_is_empty_and_verify_is_content(env: dict[str, str]) -> None:
    later = {**env, "LASTGATE_INTAKE_GRACE_DAYS": "off"}
    assert told(later, "tidy", "--json").json == []

    with mock.patch("lastgate.wiring.utc_now", return_value=datetime(2999, 1, 1, tzinfo=UTC)):
        ((tidied),) = told(env, "tidy", "--json").json

    assert tidied["objects"] == len(course("plan", fractions=2))
    assert list((Path(env["LASTGATE_HOME"]) / "archive" / "intake").rglob("*.*")) == []
    assert told(env, "verify", "--json").json["problems"] == []


def test_keys_then_an_administrator_changes_and_revokes_them_and_old_seals_stay_valid(env: dict[str, str]) -> None:
    (first,) = told(env, "keys", "--json").json
    told(env, "keys", "--rotate", "--as", "dora", code=1)
    told(env, "keys", "--rotate", code=2)

    told(env, "keys", "--rotate", "--as", "adam")
    found = {one["id"]: one for one in told(env, "keys", "--json").json}
    assert len(found) == 2
    assert found[first["id"]]["ended"] is not None
    assert told(env, "verify", "--json").json["problems"] == []
    since = ("--since", "2022-01-01T00:00")
    told(env, "keys", "--revoke", first["id"], *since, "--reason", "stolen", "--as", "adam")
    problems = told(env, "verify", "--json", code=1).json["problems"]

    assert any("is revoked from" in str(problem) for problem in problems)
    told(env, "keys", "--revoke", first["id"], "--since", "soon", "--reason", "x", "--as", "adam", code=2)


def test_dispose_without_a_dossier_then_it_is_bad_usage(env: dict[str, str]) -> None:
    told(env, "dispose", "--as", "rita", code=2)
    told(env, "dispose", "abc", code=2)


def test_keep_tidy_when_it_is_told_to_end_then_it_ends_without_touching_anything(env: dict[str, str]) -> None:
    stop = mock.Mock()
    stop.wait.return_value = True
    with opened(env) as house:
        keep_tidy(house, stop)
        assert list(house.stores.work.list("intake/"))


def test_timestamps_when_their_settings_can_not_be_used_then_it_is_said(tmp_path: Path) -> None:
    assert timestamps_of(Settings().seal) is None
    with pytest.raises(SettingsError, match=r"without seal\.timestamp_authority"):
        timestamps_of(SealSettings(timestamp_url="http://127.0.0.1:1/"))
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for path in (empty, tmp_path / "missing.pem"):
        with pytest.raises(SettingsError, match="holds no certificates"):
            timestamps_of(SealSettings(timestamp_authority=path))
