"""Rules for other systems: whom a title means, and what it may."""

from ipaddress import ip_network
from typing import Any

import pytest

from ingest.errors import BadPeerRule
from ingest.peers.classes import ServiceName
from ingest.peers.rules import Destination, PeerRule, Peers

CT = "1.2.840.10008.5.1.4.1.1.2"
PLAN = "1.2.840.10008.5.1.4.1.1.481.5"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"


def test_find_when_title_and_patterns_fit_then_the_title_wins_and_then_the_first_pattern() -> None:
    exact, first, second = PeerRule(title="LINAC1"), PeerRule(title="LINAC?"), PeerRule(title="L*")
    peers = Peers(rules=(first, second, exact), unknown="refuse")

    assert peers.find("LINAC1") is exact
    assert peers.find(" LINAC1  ") is exact
    assert peers.find("LINAC2") is first
    assert peers.find("LINAC22") is second
    assert peers.find("linac1") is None


def test_find_when_a_title_holds_a_bracket_then_it_is_no_pattern() -> None:
    peers = Peers(rules=(PeerRule(title="CT[1]*"),), unknown="refuse")

    assert peers.find("CT[1]A") is not None
    assert peers.find("CT1A") is None


def test_find_when_nobody_knows_the_title_then_the_setting_decides() -> None:
    giving = Peers(unknown="accept-store").find("X")
    everything = Peers(unknown="accept").find("X")

    assert giving is not None
    assert everything is not None
    assert (giving.may_use(PLAN), giving.may_use(FIND), giving.may_be_given(CT)) == (True, False, False)
    assert (everything.may_use(PLAN), everything.may_use(FIND), everything.may_be_given(CT)) == (True, True, True)
    assert Peers(unknown="refuse").find("X") is None


def test_rule_when_classes_are_named_then_others_are_not_taken_nor_given() -> None:
    rule = PeerRule(title="TPS", services=frozenset({"store", "find", "get"}), sop_classes=frozenset({PLAN}))

    assert (rule.may_use(PLAN), rule.may_use(CT), rule.may_use(FIND)) == (True, False, True)
    assert (rule.may_be_given(PLAN), rule.may_be_given(CT)) == (True, False)


@pytest.mark.parametrize(
    ("address", "fits"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("10.2.0.1", False),
        ("fe80::1%eth0", True),
        ("nonsense", False),
    ],
)
def test_rule_when_addresses_are_named_then_others_do_not_fit(address: str, fits: bool) -> None:
    rule = PeerRule(title="TPS", addresses=(ip_network("10.1.0.0/16"), ip_network("fe80::/10")))

    assert rule.may_come_from(address) is fits


def test_destination_when_the_rule_names_a_host_then_it_is_returned() -> None:
    rule = PeerRule(title="TPS", host="tps.example", port=2762, tls=True, certificates=("CN=TPS",))
    peers = Peers(rules=(rule, PeerRule(title="CT")))

    assert peers.destination("TPS ") == Destination(
        aet="TPS", host="tps.example", port=2762, tls=True, certificates=("CN=TPS",)
    )
    assert peers.destination("CT") is None
    assert peers.destination("OTHER") is None


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"title": ""}, "title"),
        ({"title": "SEVENTEEN_LETTERS"}, "title"),
        ({"title": "A\\B"}, "title"),
        ({"title": "A", "called": ("ü",)}, "title"),
        ({"title": "A*", "host": "10.0.0.1"}, "pattern"),
        ({"title": "A", "tls": True}, "host"),
        ({"title": "A", "port": 0}, "port"),
        ({"title": "A", "services": frozenset({"print"})}, "print"),
        ({"title": "A", "certificates": ("TPS",)}, "certificate"),
        ({"title": "A", "certificates": ("sha256:12",)}, "certificate"),
        ({"title": "A", "certificates": ("",)}, "certificate"),
        ({"title": "A", "character_set": "UTF-8"}, "Specific Character Set"),
    ],
)
def test_rule_when_it_can_not_be_then_it_says_why(values: dict[str, Any], told: str) -> None:
    with pytest.raises(BadPeerRule, match=told):
        PeerRule(**values)


def test_peers_when_two_rules_have_one_title_then_they_are_refused() -> None:
    with pytest.raises(BadPeerRule, match="TPS"):
        Peers(rules=(PeerRule(title="TPS"), PeerRule(title="TPS", host="10.0.0.1")))


def test_rule_when_only_the_title_guards_patients_data_then_it_is_open() -> None:
    reading: frozenset[ServiceName] = frozenset({"find", "move"})

    assert PeerRule(title="A", services=reading).is_open
    assert not PeerRule(title="A").is_open
    assert not PeerRule(title="A", services=reading, certificates=("CN=A",)).is_open
    assert not PeerRule(title="A", services=reading, addresses=(ip_network("10.0.0.1"),)).is_open
