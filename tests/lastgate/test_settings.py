"""Settings: file and variables, which of them wins, and one clear error for whatever is wrong."""

from pathlib import Path

import pytest

from lastgate.settings import IndexSettings, Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to start the program in, without any variable of ours."""
    import os

    for name in list(os.environ):
        if name.upper().startswith("LASTGATE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _write(site: Path, text: str) -> None:
    (site / "lastgate.toml").write_text(text, "utf-8")


def test_load_settings_when_nothing_is_set_then_the_embedded_default_holds() -> None:
    settings = load_settings()
    assert settings == Settings()
    assert (settings.store.kind, settings.index.kind, settings.retention_years) == ("filesystem", "sqlite", 30)
    assert settings.node.host == "127.0.0.1"


def test_load_settings_when_a_file_lies_there_then_it_is_read(site: Path) -> None:
    _write(
        site, 'home = "d"\nretention_years = 50\n[node]\nid = "ward7"\nport = 104\n[index]\nkind = "elasticsearch"\n'
    )
    settings = load_settings()
    assert (settings.home, settings.retention_years) == (Path("d"), 50)
    assert (settings.node.id, settings.node.port, settings.node.aet) == ("ward7", 104, "LASTGATE")
    assert settings.index == IndexSettings(kind="elasticsearch")


def test_load_settings_when_a_variable_names_the_same_then_it_wins_and_the_rest_of_the_file_stays(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(site, '[node]\nport = 104\naet = "WARD"\n')
    monkeypatch.setenv("LASTGATE_NODE__PORT", "11113")
    node = load_settings().node
    assert (node.port, node.aet) == (11113, "WARD")


def test_load_settings_when_another_file_is_named_then_it_is_read_instead(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(site, 'home = "here"\n')
    (site / "other.toml").write_text('home = "there"\n', "utf-8")
    monkeypatch.setenv("LASTGATE_CONFIG", str(site / "other.toml"))
    assert load_settings().home == Path("there")


def test_load_settings_when_the_named_file_is_missing_then_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LASTGATE_CONFIG", "nowhere")
    with pytest.raises(SettingsError, match="LASTGATE_CONFIG names nowhere, which is no file"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('homee = "x"', "homee: there is no such setting"),
        ("[node]\nprot = 5", "node.prot: there is no such setting"),
        ("[node]\nport = 70000", "node.port: .*65535"),
        ('[node]\nid = "Ward 7"', "node.id: .*lower-case letters and digits"),
        ('[node]\naet = "A23456789012345678"', "node.aet: .*16"),
        ('[store]\nkind = "tape"', "store.kind: .*'filesystem' or 's3'"),
        ("retention_years = 0", "retention_years"),
        ("node = 5", "node: "),
        ("x", "lastgate.toml is no TOML file"),
    ],
)
def test_load_settings_when_the_file_is_wrong_then_one_error_names_the_setting(
    site: Path, text: str, told: str
) -> None:
    _write(site, text)
    with pytest.raises(SettingsError, match=told) as raised:
        load_settings()
    assert "lastgate.toml" in raised.value.hint
    assert "\n" not in str(raised.value)


def test_load_settings_when_two_are_wrong_then_both_are_named(site: Path) -> None:
    _write(site, "retention_years = 0\n[node]\nport = -1\n")
    with pytest.raises(SettingsError, match=r"(?s)node\.port.*retention_years"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("LASTGATE_HOEM", "x", "The variable LASTGATE_HOEM sets nothing"),
        ("LASTGATE_NODES__PORT", "1", "The variable LASTGATE_NODES__PORT sets nothing"),
        ("LASTGATE_NODE__PROT", "1", "node.prot: there is no such setting"),
        ("LASTGATE_NODE__PORT", "many", "node.port: .*integer"),
        ("LASTGATE_NODE", '{"port":', "A variable can't be read"),
    ],
)
def test_load_settings_when_a_variable_is_wrong_then_one_error_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=told):
        load_settings()


def test_load_settings_when_a_file_is_no_text_then_says_so(site: Path) -> None:
    (site / "lastgate.toml").write_bytes(b'home = "\xff\xfe"\n')
    with pytest.raises(SettingsError, match="is no TOML file"):
        load_settings()


def test_load_settings_when_a_secret_is_written_where_none_belongs_then_refused_and_never_repeated(site: Path) -> None:
    _write(site, '[store]\nsecret_key = "hunter2hunter2"\n')
    with pytest.raises(SettingsError, match=r"store\.secret_key: there is no such setting") as raised:
        load_settings()
    assert "hunter2" not in str(raised.value)


def test_settings_when_made_in_code_then_file_and_variables_of_a_site_do_not_leak_in(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(site, '[store]\nkind = "s3"\nbucket = "patients"\n')
    monkeypatch.setenv("LASTGATE_INDEX__KIND", "elasticsearch")
    made = Settings(home=Path("demo"))
    assert (made.store.kind, made.index.kind) == ("filesystem", "sqlite")


def test_settings_when_somebody_changes_one_then_refused() -> None:
    with pytest.raises(Exception, match="frozen"):
        Settings().home = Path("elsewhere")
