"""What the settings say of other systems, and what is said of settings that can't work."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from ingest.peers import Destination
from ingest.peers.classes import service_of
from lastgate.listening import bound
from lastgate.peering import check_peering, peers_of, server_tls_of, tls_files_of
from lastgate.reception import services_of
from lastgate.settings import NodeSettings, Settings, SettingsError, load_settings
from lastgate.wiring import open_house
from tests.ingest.peers.authority import Authority


def node(**values: Any) -> NodeSettings:
    return NodeSettings.model_validate(values)


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, Any]:
    """Settings of TLS with files that can be used."""
    files = Authority(tmp_path / "authority").files("CN=LASTGATE")
    return {"certificate": files.certificate, "key": files.key, "authorities": files.authorities, "port": 0}


def test_peers_when_a_file_has_rules_then_they_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lastgate.toml"
    path.write_text(
        """
        [node]
        unknown_peers = "refuse"
        port = "off"
        [[node.peers]]
        title = "TPS"
        addresses = ["10.1.7.20", "10.2.0.0/16", "fd00::/8"]
        services = ["verify", "find", "move"]
        character_set = "\\\\ISO 2022 IR 149"
        most_bytes = 1000
        most_associations = 3
        host = "10.1.7.20"
        tls = true
        [[node.peers]]
        title = "LINAC?"
        """
    )
    monkeypatch.setenv("LASTGATE_CONFIG", str(path))
    settings = load_settings().node

    peers = peers_of(settings)

    rule = peers.find("TPS")
    assert rule is not None
    assert rule.addresses == (ip_network("10.1.7.20/32"), ip_network("10.2.0.0/16"), ip_network("fd00::/8"))
    assert (rule.services, rule.object_bytes, rule.associations) == (frozenset({"verify", "find", "move"}), 1000, 3)
    assert rule.character_set == "\\ISO 2022 IR 149"
    assert peers.destination("TPS") == Destination(aet="TPS", host="10.1.7.20", port=104, tls=True)
    assert peers.find("LINAC7") is not None
    assert peers.find("X") is None
    assert settings.port is None


def test_peers_when_nothing_is_set_then_strangers_may_give_and_not_take() -> None:
    rule = peers_of(Settings().node).find("ANYBODY")

    assert rule is not None
    assert rule.services == {"verify", "store", "commit", "mpps"}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"peers": [{"title": "A"}, {"title": "A"}]}, "two rules for A"),
        ({"peers": [{"title": "A", "certificates": ["x"]}]}, "names no certificate"),
        ({"peers": [{"title": "A", "character_set": "UTF-8"}]}, "LG-ING-608"),
        ({"peers": [{"title": "A", "certificates": ["CN=A"]}]}, "no peer is asked for one"),
        ({"peers": [{"title": "A", "host": "h", "tls": True}]}, "node.tls"),
        ({"tls": {"key": "/nowhere"}}, "node.tls.certificate, node.tls.authorities"),
        ({"tls": {"key": "/nowhere", "certificate": "/nowhere", "authorities": "/nowhere"}}, "LG-ING-609"),
    ],
)
def test_check_when_settings_can_not_work_then_it_says_why(values: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        check_peering(node(**values))


def test_check_when_only_a_title_guards_patients_data_then_it_warns() -> None:
    with capture_logs() as logs:
        check_peering(node(peers=[{"title": "TPS", "services": ["find"]}], unknown_peers="accept"))

    assert [(one["event"], one["title"]) for one in logs] == [("peers.open", "TPS"), ("peers.open", "*")]


def test_check_when_a_certificate_ends_soon_then_it_warns(tmp_path: Path) -> None:
    files = Authority(tmp_path).files("CN=LASTGATE", days=3)
    with capture_logs() as logs:
        check_peering(node(tls={"certificate": files.certificate, "key": files.key, "authorities": files.authorities}))

    assert [(one["event"], one["subject"], one["days"]) for one in logs] == [("tls.expires", "CN=LASTGATE", 2)]


def test_services_when_joined_then_a_rule_can_name_each_of_them(tmp_path: Path) -> None:
    """A class that no service name stands for would be refused to everybody, whatever the rules say."""
    with open_house(Settings(home=tmp_path / "home")) as house:
        offered = [context.abstract_syntax for service in services_of(house) for context in service.contexts()]

    assert {service_of(uid) for uid in offered} >= {"find", "move", "get", "commit"}
    assert [uid for uid in offered if service_of(uid) is None] == []


def test_tls_when_its_port_is_off_then_it_is_spoken_only_to_others(tls: dict[str, Any]) -> None:
    settings = node(tls={**tls, "port": "off"}, peers=[{"title": "A", "host": "h", "tls": True}])

    check_peering(settings)
    assert server_tls_of(settings) is None
    assert tls_files_of(settings) is not None


def test_listeners_when_bound_then_each_port_that_is_on_has_one(tls: dict[str, Any]) -> None:
    for values, plain, secure in (
        ({"port": 0}, True, False),
        ({"port": 0, "tls": tls}, True, True),
        ({"port": "off", "tls": tls}, False, True),
    ):
        with bound(Settings(node=node(**values))) as listeners:
            assert (listeners.plain is not None, listeners.tls is not None) == (plain, secure)
            assert listeners.port > 0


def test_listeners_when_both_are_off_then_it_is_said() -> None:
    with pytest.raises(SettingsError, match="nobody could call"), bound(Settings(node=node(port="off"))):
        pass


def test_listeners_when_the_port_of_tls_is_taken_then_its_setting_is_named(tls: dict[str, Any]) -> None:
    with bound(Settings(node=node(port=0))) as taken:
        taken.listen()
        settings = Settings(node=node(port=0, tls={**tls, "port": taken.port}))
        with pytest.raises(SettingsError, match=r"node\.tls\.port"), bound(settings):
            pass
