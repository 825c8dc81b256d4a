"""Which presentation contexts of a request are accepted, in which transfer syntax and in which roles (PS3.8 9.3.3.2).

pynetdicom's own negotiation knows neither who asks nor what it may: this one
asks the rule of the peer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from ingest.dataset.encoding import EXPLICIT_BIG
from ingest.peers.classes import service_of
from ingest.peers.rules import PeerRule
from ingest.service import Context

# Taken only where a peer proposes nothing else: what is retired, what leaves the pixels with the sender, and what
# is no way to write down a data set.
_LAST: Final = frozenset(
    {
        EXPLICIT_BIG,
        "1.2.840.10008.1.2.4.94",  # JPIP Referenced
        "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate
        "1.2.840.10008.1.2.4.204",  # JPIP HTJ2K Referenced
        "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate
        "1.2.840.10008.1.2.6.1",  # RFC 2557 MIME encapsulation
        "1.2.840.10008.1.2.6.2",  # XML encoding
        "1.2.840.10008.1.2.7.1",  # SMPTE ST 2110, for streams
        "1.2.840.10008.1.2.7.2",
        "1.2.840.10008.1.2.7.3",
    }
)


class Answer(IntEnum):
    """Result of one presentation context (PS3.8 table 9-18)."""

    ACCEPTED = 0
    NOT_ALLOWED = 1
    NOT_OFFERED = 3
    NO_SYNTAX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """What one side of an association is for a SOP class: user, provider, or both."""

    user: bool
    provider: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What becomes of the presentation contexts of a request.

    Parameters
    ----------
    contexts
        pynetdicom's, each with its result, in order.
    roles
        Answers to the role selections proposed, for classes that were accepted.
    """

    contexts: tuple[PresentationContext, ...]
    roles: tuple[SCP_SCU_RoleSelectionNegotiation, ...]

    def classes(self, answer: Answer) -> tuple[str, ...]:
        """Return the SOP classes of the contexts that got this answer, each once."""
        return tuple(dict.fromkeys(str(one.abstract_syntax) for one in self.contexts if one.result == answer))


def agree(
    asked: Iterable[PresentationContext],
    roles: Mapping[str, tuple[bool | None, bool | None]],
    *,
    rule: PeerRule,
    offered: Mapping[str, Context],
) -> Agreement:
    """Decide on the presentation contexts of a request.

    Parameters
    ----------
    asked
        As the peer proposes them.
    roles
        Role selections proposed, by SOP class: whether the peer would be user, and provider.
    rule
        What the peer may do.
    offered
        What the node's services offer beside storage, by SOP class.
    """
    contexts: list[PresentationContext] = []
    answered: dict[str, Roles] = {}
    for context in asked:
        uid = str(context.abstract_syntax)
        peer = _roles_of_peer(uid, roles.get(uid), rule, offered.get(uid))
        syntax = _syntax(uid, [str(one) for one in context.transfer_syntax], offered.get(uid))
        result = _result(peer, syntax)
        contexts.append(_decided(context, result, syntax, peer))
        if result is Answer.ACCEPTED and uid in roles and peer is not None:
            answered[uid] = peer
    return Agreement(
        contexts=tuple(sorted(contexts, key=lambda one: one.context_id or 0)),
        roles=tuple(_role_item(uid, peer) for uid, peer in sorted(answered.items())),
    )


def _roles_of_peer(
    uid: str, proposed: tuple[bool | None, bool | None] | None, rule: PeerRule, offered: Context | None
) -> Roles | None:
    """Return what the peer may be for a SOP class; None if the node does not offer the class."""
    is_storage = service_of(uid) == "store"
    if offered is None and not is_storage:
        return None
    as_user, as_provider = proposed or (True, False)
    may_provide = rule.may_be_given(uid) if is_storage else offered is not None and offered.peer_may_provide
    return Roles(user=bool(as_user) and rule.may_use(uid), provider=bool(as_provider) and may_provide)


def _syntax(uid: str, proposed: Sequence[str], offered: Context | None) -> str | None:
    """Choose a transfer syntax: of a service in our order, of storage in that of the peer; None if none fits."""
    if offered is not None:
        return next((one for one in offered.transfer_syntaxes if one in proposed), None)
    if service_of(uid) != "store":
        return None
    return next((one for one in proposed if one not in _LAST), next(iter(proposed), None))


def _result(peer: Roles | None, syntax: str | None) -> Answer:
    if peer is None:
        return Answer.NOT_OFFERED
    if not (peer.user or peer.provider):
        return Answer.NOT_ALLOWED
    return Answer.NO_SYNTAX if syntax is None else Answer.ACCEPTED


def _decided(asked: PresentationContext, result: Answer, syntax: str | None, peer: Roles | None) -> PresentationContext:
    decided = PresentationContext()
    decided.context_id = asked.context_id
    decided.abstract_syntax = asked.abstract_syntax
    decided.transfer_syntax = [syntax or asked.transfer_syntax[0]]
    decided.result = int(result)
    decided._as_scp = bool(peer and peer.user)  # pynetdicom's own, which tell its service classes what they may do
    decided._as_scu = bool(peer and peer.provider)
    return decided


def _role_item(uid: str, peer: Roles) -> SCP_SCU_RoleSelectionNegotiation:
    item = SCP_SCU_RoleSelectionNegotiation()
    item.sop_class_uid = uid
    item.scu_role = peer.user
    item.scp_role = peer.provider
    return item
