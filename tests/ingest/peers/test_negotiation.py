"""Rules at the door: who is let in, what is negotiated, what is told; with real clients where they can ask for it."""

import time
from collections.abc import Callable, Iterable
from ipaddress import ip_network
from pathlib import Path

import pytest
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import UserIdentityNegotiation

from ingest.peers import PeerRule
from ingest.peers.classes import SERVICES
from ingest.service import Context, Handler
from tests.ingest.conftest import House
from tests.ingest.datasets import BIG, EXPLICIT, IMPLICIT, dataset, part10, write_file
from tests.ingest.peers.conftest import Listen, dcmtk

pytestmark = pytest.mark.server


CT = "1.2.840.10008.5.1.4.1.1.2"
PLAN = "1.2.840.10008.5.1.4.1.1.481.5"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
COMMIT = "1.2.840.10008.1.20.1"
PRINT = "1.2.840.10008.5.1.1.9"
JPEG = "1.2.840.10008.1.2.4.50"
JPIP = "1.2.840.10008.1.2.4.94"


class Offering:
    """A service that offers contexts and answers nothing."""

    def __init__(self, *contexts: Context) -> None:
        self._contexts = contexts

    def contexts(self) -> Iterable[Context]:
        """Return what it offers."""
        return self._contexts

    def handlers(self) -> Iterable[Handler]:
        """Return nothing."""
        return ()


def ask(
    port: int,
    *contexts: tuple[str, list[str]],
    title: str = "TPS",
    called: str = "LASTGATE",
    roles: dict[str, tuple[bool, bool]] | None = None,
    user: UserIdentityNegotiation | None = None,
) -> Association:
    """Ask for an association and return it."""
    entity = AE(ae_title=title)
    for uid, syntaxes in contexts or (("1.2.840.10008.1.1", [IMPLICIT]),):
        entity.add_requested_context(uid, syntaxes)
    selected = [build_role(uid, scu_role=u, scp_role=p) for uid, (u, p) in (roles or {}).items()]
    return entity.associate("127.0.0.1", port, ae_title=called, ext_neg=[*selected, *([user] if user else [])])


def results(association: Association) -> dict[str, int | str]:
    """Return what became of each class: the transfer syntax, or the result that is none; releases it."""
    found: dict[str, int | str] = {
        str(c.abstract_syntax): str(c.transfer_syntax[0]) for c in association.accepted_contexts
    }
    found |= {str(c.abstract_syntax): c.result or 0 for c in association.rejected_contexts}
    association.release()
    return found


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("-aet", "TPS", "-aec", "LASTGATE"), "Received Echo Response (Success)"),
        (("-aet", "TPS", "-aec", "OTHER"), "Called AE Title Not Recognized"),
        (("-aet", "NOBODY", "-aec", "LASTGATE"), "Calling AE Title Not Recognized"),
        (("-aet", "AWAY", "-aec", "LASTGATE"), "Calling AE Title Not Recognized"),
        (("-aet", "BOUND", "-aec", "LASTGATE"), "Calling AE Title Not Recognized"),
        (("-aet", "ALIAS", "-aec", "OLD_NAME"), "Received Echo Response (Success)"),
        (("-aet", "ALIAS", "-aec", "LASTGATE"), "Called AE Title Not Recognized"),
    ],
)
def test_association_when_asked_for_then_title_address_and_certificate_decide(
    listen: Listen, options: tuple[str, ...], told: str
) -> None:
    rules = (
        PeerRule(title="TPS", addresses=(ip_network("127.0.0.0/8"),)),
        PeerRule(title="AWAY", addresses=(ip_network("10.0.0.0/8"),)),
        PeerRule(title="BOUND", certificates=("CN=BOUND",)),
        PeerRule(title="ALIAS", called=("OLD_NAME",)),
    )
    with listen(*rules, checks_called_ae=True) as node:
        assert told in dcmtk("echoscu", node.port, *options)


def test_rejections_when_many_are_equal_then_the_journal_has_one_entry_with_their_count(listen: Listen) -> None:
    with listen() as node:
        for _ in range(3):
            assert ask(node.port, title="SCANNER").is_rejected

    (event,) = node.events
    assert (event.act, event.account, event.outcome) == ("refuse", "SCANNER", "refused")
    assert event.subject == {"address": "127.0.0.1", "called": "LASTGATE", "reason": "LG-ING-602", "count": 3}


def test_limit_when_a_peer_has_enough_then_it_is_told_to_try_again(listen: Listen) -> None:
    with listen(PeerRule(title="ONE", associations=1), PeerRule(title="TWO")) as node:
        first, other = ask(node.port, title="ONE"), ask(node.port, title="TWO")
        said = dcmtk("echoscu", node.port, "-aet", "ONE")
        first.release()
        other.release()

        assert "Rejected Transient" in said
        assert "Local Limit Exceeded" in said
        assert eventually(lambda: "Success" in dcmtk("echoscu", node.port, "-aet", "ONE"))


def test_limit_when_the_node_has_enough_then_everybody_is_told_to_try_again(listen: Listen) -> None:
    with listen(unknown="accept", associations=1) as node:
        first = ask(node.port, title="A")
        said = dcmtk("echoscu", node.port, "-aet", "B")
        first.release()

        assert "Local Limit Exceeded" in said
        assert eventually(lambda: "Success" in dcmtk("echoscu", node.port, "-aet", "B"))


def eventually(is_so: Callable[[], bool]) -> bool:
    """Return whether it becomes so within a while."""
    for _ in range(50):
        if is_so():
            return True
        time.sleep(0.1)
    return False


def test_contexts_when_a_peer_may_not_use_them_then_they_alone_are_refused(listen: Listen) -> None:
    rule = PeerRule(title="TPS", services=frozenset({"verify", "store"}), sop_classes=frozenset({PLAN}))
    with listen(rule, services=(Offering(Context(abstract_syntax=FIND)),)) as node:
        got = results(
            ask(
                node.port,
                (PLAN, [EXPLICIT]),
                (CT, [EXPLICIT]),
                (FIND, [EXPLICIT]),
                (PRINT, [EXPLICIT]),
                (COMMIT, [EXPLICIT]),
                ("1.2.840.10008.1.1", [JPEG]),
            )
        )

    assert got == {PLAN: EXPLICIT, CT: 1, FIND: 1, PRINT: 3, COMMIT: 3, "1.2.840.10008.1.1": 4}
    (event,) = node.events
    assert (event.act, event.subject["reason"], event.subject["classes"]) == ("refuse", "LG-ING-606", [CT, FIND])


def test_find_when_dcmtk_asks_as_a_stranger_then_it_is_refused_and_as_a_friend_it_is_not(listen: Listen) -> None:
    friend = PeerRule(title="FRIEND", services=SERVICES)
    with listen(friend, unknown="accept-store", services=(Offering(Context(abstract_syntax=FIND)),)) as node:
        options = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID")
        stranger = dcmtk("findscu", node.port, "-aet", "STRANGER", *options)
        known = results(ask(node.port, (FIND, [IMPLICIT]), title="FRIEND"))

    assert "No Acceptable Presentation Contexts" in stranger
    assert known == {FIND: IMPLICIT}


@pytest.mark.parametrize(
    ("proposed", "chosen"),
    [
        ([EXPLICIT, IMPLICIT], EXPLICIT),
        ([IMPLICIT, EXPLICIT], IMPLICIT),
        ([BIG, IMPLICIT], IMPLICIT),
        ([BIG], BIG),
        ([JPEG, EXPLICIT], JPEG),
        ([JPIP, EXPLICIT], EXPLICIT),
        ([JPIP, BIG], JPIP),
        (["1.2.3.4.5"], "1.2.3.4.5"),
    ],
)
@pytest.mark.parametrize("uid", [CT, "1.2.246.352.70.1.70"])
def test_storage_when_syntaxes_are_proposed_then_the_first_fit_one_is_taken(
    listen: Listen, uid: str, proposed: list[str], chosen: str
) -> None:
    with listen(unknown="accept") as node:
        assert results(ask(node.port, (uid, proposed))) == {uid: chosen}


def test_roles_when_proposed_as_getscu_does_then_they_are_answered_by_the_rule(listen: Listen) -> None:
    getting, giving = PeerRule(title="GETTING", services=SERVICES), PeerRule(title="GIVING")
    classes = PeerRule(title="PLANS", services=frozenset({"get"}), sop_classes=frozenset({PLAN}))
    asked = {CT: (False, True), PLAN: (True, True)}
    with listen(getting, giving, classes) as node:
        roles = {}
        for title in ("GETTING", "GIVING", "PLANS"):
            association = ask(node.port, (CT, [EXPLICIT]), (PLAN, [EXPLICIT]), title=title, roles=asked)
            answered = association.acceptor.role_selection
            roles[title] = {str(uid): (item.scu_role, item.scp_role) for uid, item in answered.items()}
            association.release()

    assert roles == {
        "GETTING": {CT: (False, True), PLAN: (True, True)},
        "GIVING": {PLAN: (True, False)},
        "PLANS": {PLAN: (False, True)},
    }


def test_roles_when_none_are_proposed_then_none_are_answered_and_we_are_the_provider(listen: Listen) -> None:
    with listen(unknown="accept") as node:
        association = ask(node.port, (CT, [EXPLICIT]))
        (context,) = association.accepted_contexts
        roles = (context.as_scu, context.as_scp, dict(association.acceptor.role_selection))
        association.release()

    assert roles == (True, False, {})


def test_roles_when_a_service_takes_reports_then_the_peer_may_provide(listen: Listen) -> None:
    offered = Offering(Context(abstract_syntax=COMMIT, peer_may_provide=True))
    with listen(unknown="accept", services=(offered,)) as node:
        association = ask(node.port, (COMMIT, [EXPLICIT]), roles={COMMIT: (False, True)})
        (item,) = association.acceptor.role_selection.values()
        association.release()

    assert (item.scu_role, item.scp_role) == (False, True)


def test_store_when_the_class_of_the_command_is_another_than_negotiated_then_the_rule_holds_for_it(
    house: House, listen: Listen, tmp_path: Path
) -> None:
    """A context for what is allowed is no way in for what is not."""
    from pydicom import dcmread

    path = write_file(tmp_path / "plan.dcm")
    instance = dcmread(path)
    rule = PeerRule(title="TPS", sop_classes=frozenset({"1.2.840.10008.5.1.4.1.1.481.9"}))
    with listen(rule) as node:
        association = ask(node.port, ("1.2.840.10008.5.1.4.1.1.481.9", [EXPLICIT]))
        association._accepted_cx = {
            number: context for number, context in association._accepted_cx.items() if not _renamed(context, instance)
        }
        answer = association.send_c_store(instance)
        association.release()

    assert answer.Status == 0x0124
    assert not house.spool.pending()


def _renamed(context: object, instance: object) -> bool:
    context.abstract_syntax = instance.SOPClassUID  # type: ignore[attr-defined]
    return False


def test_store_when_it_is_longer_than_the_rule_says_then_it_is_refused(
    house: House, listen: Listen, tmp_path: Path
) -> None:
    with listen(PeerRule(title="SMALL", object_bytes=100), unknown="accept") as node:
        path = write_file(tmp_path / "a.dcm")
        said = dcmtk("storescu", node.port, "-aet", "SMALL", paths=(path,))
        other = dcmtk("storescu", node.port, "-aet", "OTHER", paths=(path,))

    assert "Success" not in said
    assert "Success" in other
    assert len(house.spool.pending()) == 1


def test_store_when_the_rule_names_issuer_and_character_set_then_receipts_follow_it(
    house: House, listen: Listen, tmp_path: Path
) -> None:
    written = "王^小东".encode("gb18030") + b" "
    path = tmp_path / "a.dcm"
    path.write_bytes(part10(dataset(name="N" * len(written)).replace(b"N" * len(written), written)))
    rule = PeerRule(title="LINAC", issuer="THERE", character_set="ISO_IR 144")
    with listen(rule, unknown="accept", issuer="HERE") as node:
        dcmtk("storescu", node.port, "-aet", "LINAC", paths=(path,))
    house.filer.drain()

    (receipt,) = house.receipts()
    assert receipt.header.patient.name == "王^小东".encode("gb18030").decode("iso-8859-5")
    assert receipt.header.patient.identifier.issuer == "THERE"
    assert "charset-of-sender:ISO_IR 144" in receipt.header.flags


@pytest.mark.parametrize(
    ("options", "kind", "name"),
    [
        (("-usr", "mei"), "name", "mei"),
        (("-usr", "mei", "-rsp"), "name", "mei"),
        (("-usr", "mei", "-pwd", "secret", "-rsp"), "name-passcode", "mei"),
        (("--saml", "FILE"), "saml", ""),
        (("--jwt", "FILE"), "jwt", ""),
        (("-kt", "FILE"), "kerberos", ""),
    ],
)
def test_user_when_named_then_receipt_and_journal_have_it_and_never_what_proves_it(
    house: House, listen: Listen, tmp_path: Path, options: tuple[str, ...], kind: str, name: str
) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    given = tuple(str(token) if one == "FILE" else one for one in options)
    with listen(unknown="accept") as node:
        said = dcmtk("storescu", node.port, "-aet", "TPS", *given, paths=(write_file(tmp_path / "a.dcm"),))
    house.filer.drain()

    assert "Received Store Response (Success)" in said
    (receipt,) = house.receipts()
    assert (receipt.source.user_kind, receipt.source.user) == (kind, name)
    (event,) = [event for event in node.events if event.act == "identify"]
    assert event.subject["user_kind"] == kind
    assert "secret" not in repr((receipt, event))


@pytest.mark.parametrize(("kind", "answered"), [(1, True), (2, True), (3, False), (4, False), (5, False)])
def test_user_when_an_answer_is_asked_for_then_it_comes_for_those_we_can_answer(
    listen: Listen, kind: int, answered: bool
) -> None:
    user = UserIdentityNegotiation()
    user.user_identity_type, user.positive_response_requested = kind, True
    user.primary_field, user.secondary_field = b"mei", b"x"
    with listen(unknown="accept") as node:
        association = ask(node.port, user=user)
        found = association.acceptor.user_identity
        association.release()

    assert (found is not None) is answered
    assert found is None or found.server_response == b""


def test_negotiation_when_services_bind_their_own_then_extended_negotiation_still_reaches_them(listen: Listen) -> None:
    from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

    class Extended(Offering):
        def handlers(self) -> Iterable[Handler]:
            return ((evt.EVT_SOP_EXTENDED, lambda event: dict(event.app_info)),)

    item = SOPClassExtendedNegotiation()
    item.sop_class_uid, item.service_class_application_information = FIND, b"\x01\x00\x01"
    with listen(unknown="accept", services=(Extended(Context(abstract_syntax=FIND)),)) as node:
        entity = AE(ae_title="TPS")
        entity.add_requested_context(FIND, [EXPLICIT])
        association = entity.associate("127.0.0.1", node.port, ext_neg=[item])
        answered = {str(uid): info for uid, info in association.acceptor.sop_class_extended.items()}
        association.release()

    assert answered == {FIND: b"\x01\x00\x01"}
