"""The conformance statement is what the code prints, and what a running node negotiates."""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import pytest
from pydicom._uid_dict import UID_dictionary
from pynetdicom import AE, build_context, build_role

from ingest.peers.classes import SERVICES
from ingest.peers.contexts import Answer, agree
from ingest.peers.rules import PeerRule
from ingest.service import Context
from lastgate.conforming import statement_of
from lastgate.reception import receiving
from lastgate.settings import NodeSettings, Settings
from lastgate.wiring import open_house
from tests.lastgate import pages

PAGE = pages.DOCS / "conformance.md"
MOST_CONTEXTS = 128
IMPLICIT, PRIVATE_SYNTAX = "1.2.840.10008.1.2", "1.2.3.4.5.6"
PRIVATE_CLASSES = ("1.2.246.352.70.1.70", "1.3.46.670589.2.5.1.1", "2.25.77")
YOUNGER_CLASS = "1.2.840.10008.5.1.4.1.1.481.9999"
COMMITMENT = "1.2.840.10008.1.20.1"


def rows(heading: str) -> dict[str, list[str]]:
    """Return the rows of the tables of a section by the UID in them."""
    return {row[1]: row for row in pages.rows(pages.section(PAGE, heading)) if row[1][:1].isdigit()}


STORAGE = tuple(rows("Storage SOP classes"))
SYNTAXES = tuple(rows("Transfer syntaxes of storage"))
OFFERED = {uid: row[3].split(", ") for uid, row in rows("Overview").items()}
NAMES = {uid: row[0] for uid, row in rows("Transfer syntaxes of storage").items()}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A node as it is joined, with default settings but for the port, that lets strangers do everything."""
    node = NodeSettings(port=0, unknown_peers="accept")
    with open_house(Settings(home=tmp_path_factory.mktemp("conform"), node=node)) as house, receiving(house) as running:
        yield running.port


def accepted(port: int, asked: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return which pairs of abstract and transfer syntax the node accepts, each asked for in a context of its own."""
    found = set()
    for start in range(0, len(asked), MOST_CONTEXTS):
        entity = AE(ae_title="READER")
        for abstract, syntax in asked[start : start + MOST_CONTEXTS]:
            entity.add_requested_context(abstract, [syntax])
        association = entity.associate("127.0.0.1", port, ae_title="LASTGATE")
        # pynetdicom breaks off an association of which no context was accepted; it was answered all the same
        contexts = association.accepted_contexts
        assert len(contexts) + len(association.rejected_contexts) == len(entity.requested_contexts)
        found |= {(str(one.abstract_syntax), str(one.transfer_syntax[0])) for one in contexts}
        if association.is_established:
            association.abort()
    return found


def test_statement_when_printed_then_it_is_the_committed_one(tmp_path: Path) -> None:
    with open_house(Settings(home=tmp_path)) as house:
        printed = statement_of(house)
    # `lastgate conformance > docs/conformance.md` brings the page up to date
    assert printed == PAGE.read_text("utf-8")


def test_statement_when_read_then_its_tables_are_not_empty() -> None:
    assert len(STORAGE) > 150
    assert len(SYNTAXES) > 40
    assert {"1.2.840.10008.1.1", COMMITMENT} <= set(OFFERED)
    assert "1.2.840.10008.5.1.4.1.1.481.5" in STORAGE
    assert "1.2.840.10008.5.1.4.1.1.481.12" in STORAGE  # RT Radiation Set, second generation
    assert not set(STORAGE) & set(OFFERED)


def test_node_when_classes_of_storage_are_proposed_then_they_are_accepted_in_every_syntax(port: int) -> None:
    """Each class meets a third of the syntaxes, each syntax a third of the classes; the next test has all pairs."""
    pairs = product(enumerate(STORAGE), enumerate(SYNTAXES))
    asked = [(uid, syntax) for (row, uid), (column, syntax) in pairs if (row + column) % 3 == 0]
    assert accepted(port, asked) == set(asked)


def test_negotiation_when_any_storage_class_meets_any_syntax_then_they_are_agreed_on() -> None:
    asked = [build_context(uid, [syntax]) for uid, syntax in product(STORAGE, SYNTAXES)]
    rule = PeerRule(title="*", services=SERVICES)
    nothing_else: dict[str, Context] = {}
    agreement = agree(asked, {}, rule=rule, offered=nothing_else)
    assert len(agreement.contexts) > 10_000
    assert {one.result for one in agreement.contexts} == {Answer.ACCEPTED}


def test_node_when_private_or_younger_classes_and_syntaxes_are_proposed_then_they_are_accepted(port: int) -> None:
    asked = list(product((*PRIVATE_CLASSES, YOUNGER_CLASS, STORAGE[0]), (IMPLICIT, PRIVATE_SYNTAX)))
    assert accepted(port, asked) == set(asked)


def test_node_when_classes_of_services_are_proposed_then_it_accepts_the_syntaxes_the_statement_lists(port: int) -> None:
    asked = list(product(OFFERED, SYNTAXES))
    stated = {(uid, syntax) for uid, syntax in asked if NAMES[syntax] in OFFERED[uid]}
    assert accepted(port, asked) == stated
    assert len(stated) >= 2 * len(OFFERED)


def test_node_when_classes_of_other_services_are_proposed_then_it_refuses_them_all(port: int) -> None:
    known = {uid for uid, (_, kind, *_) in UID_dictionary.items() if kind in ("SOP Class", "Meta SOP Class")}
    others = sorted(known - set(STORAGE) - set(OFFERED))
    assert len(others) > 80
    assert accepted(port, [(uid, IMPLICIT) for uid in others]) == set()


@pytest.mark.parametrize(("uid", "may_provide"), [(COMMITMENT, True), ("1.2.840.10008.1.1", False)])
def test_node_when_a_peer_would_be_provider_then_roles_are_as_stated(port: int, uid: str, may_provide: bool) -> None:
    entity = AE(ae_title="READER")
    entity.add_requested_context(uid, [IMPLICIT])
    role = build_role(uid, scu_role=True, scp_role=True)
    association = entity.associate("127.0.0.1", port, ae_title="LASTGATE", ext_neg=[role])
    assert association.is_established
    (context,) = association.accepted_contexts
    assert (context.as_scu, context.as_scp) == (True, may_provide)
    assert ("user of what a peer provides" in rows("Overview")[uid][2]) is may_provide
    association.release()
