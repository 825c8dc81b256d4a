"""An association we ask for, to store instances at a peer: one thread, no queues, no polling.

pynetdicom encodes and decodes the negotiation; its state machine, made for
every service at once, costs two threads and a sleeping loop and is not needed
by somebody who only says C-STORE and waits for the answer (PS3.8 9.2, the
states of a requestor).
"""

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ingest.dataset.part10 import IMPLEMENTATION_CLASS_UID
from ingest.errors import AssociationLost, BadMessage, BadTls, NotSent
from ingest.node.wire import (
    P_DATA_TF,
    PDU_HEADER,
    Buffer,
    StoreRequest,
    StoreResponse,
    command_pdus,
    data_set_pdus,
    parse_command,
    parse_pdvs,
)
from ingest.retrieve.line import Line, Stopped, both
from ingest.retrieve.peer import Peer

if TYPE_CHECKING:
    from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ
    from pynetdicom.pdu_primitives import A_ASSOCIATE

MOST_CONTEXTS: Final = 128
"""Presentation contexts of one association (PS3.8 9.3.2.2: odd numbers from 1 to 255)."""

_ACCEPTED, _REJECTED, _RELEASE_REQUESTED, _RELEASED, _ABORTED = 0x02, 0x03, 0x05, 0x06, 0x07
_RELEASE_RQ: Final = PDU_HEADER.pack(0x05, 4) + bytes(4)
_RELEASE_RP: Final = PDU_HEADER.pack(0x06, 4) + bytes(4)
_ABORT: Final = PDU_HEADER.pack(0x07, 4) + bytes(4)
_APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
_OUR_PDU_BYTES: Final = 64 * 1024
_GOODBYE_S: Final = 5.0

Kind = tuple[str, str]
"""SOP Class UID and transfer syntax UID of a presentation context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a peer is waited for.

    Parameters
    ----------
    connect_s
        Until the connection stands and the association is answered.
    answer_s
        Until it answers a request: planning systems file while we wait.
    """

    connect_s: float = 15.0
    answer_s: float = 120.0


class Association:
    """An association with a peer that stores for us.

    Parameters
    ----------
    line
        On which it was agreed.
    accepted
        Numbers of the accepted presentation contexts.
    peer_pdu_bytes
        The longest PDU the peer takes; 0 is no limit.
    """

    def __init__(self, line: Line, *, accepted: Mapping[Kind, int], peer_pdu_bytes: int) -> None:
        self._line = line
        self.accepted = accepted
        self.peer_pdu_bytes = peer_pdu_bytes

    @classmethod
    def request(
        cls,
        peer: Peer,
        kinds: Sequence[Kind],
        *,
        calling: str,
        patience: Patience,
        is_stopped: Stopped = lambda: False,
    ) -> "Association":
        """Connect, and agree on one presentation context for each of `kinds`, at most 128.

        Raises
        ------
        NotSent
            The peer can't be reached, refuses, or takes none of these.
        """
        made = _connected(peer, patience)
        try:
            line = Line(made, patience_s=patience.connect_s, is_stopped=is_stopped)
            line.send([[_request_pdu(peer, kinds, calling)]])
            kind, body = line.read_pdu()
            answer = _agreed(peer, kind, body)
            accepted = _accepted(answer, kinds)
            if not accepted:
                line.send([[_ABORT]])
                raise NotSent(f"{peer} takes none of these objects")
        except BaseException as error:
            made.close()
            if isinstance(error, AssociationLost):
                raise NotSent(f"{peer} does not answer: {error}") from error
            raise
        patient = line.with_patience(patience.answer_s, is_stopped=is_stopped)
        return cls(patient, accepted=accepted, peer_pdu_bytes=_pdu_bytes(answer))

    def store(
        self,
        context_id: int,
        request: StoreRequest,
        pieces: Iterable[Buffer],
        *,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> StoreResponse:
        """Send one instance and return what the peer answers.

        Parameters
        ----------
        meanwhile
            Called when all is sent, before the answer is waited for.

        Raises
        ------
        AssociationLost
            It is over; whether the instance was stored nobody knows.
        """
        line, most = self._line, self.peer_pdu_bytes
        command = command_pdus(context_id, request.encode(), peer_pdu_bytes=most)
        line.send(both(command, data_set_pdus(context_id, pieces, peer_pdu_bytes=most)))
        meanwhile()
        while True:
            answer = self._answer()
            if answer.message_id == request.message_id:
                return answer

    def _answer(self) -> StoreResponse:
        encoded = bytearray()
        while True:
            kind, body = self._line.read_pdu()
            if kind != P_DATA_TF:
                self._over(kind)
            try:
                for pdv in parse_pdvs(body):
                    encoded += pdv.fragment if pdv.is_command else b""
                    if pdv.is_command and pdv.is_last:
                        return StoreResponse.of(parse_command(encoded))
            except BadMessage as error:
                self.abort()
                raise AssociationLost(f"The peer's answer can't be read: {error}") from error

    def _over(self, kind: int) -> None:
        if kind == _RELEASE_REQUESTED:
            self._line.send([[_RELEASE_RP]])
        self._line.socket.close()
        told = {_ABORTED: "The peer aborted the association", _RELEASE_REQUESTED: "The peer released the association"}
        raise AssociationLost(told.get(kind, f"The peer sent a PDU of type {kind:02X} instead of an answer"))

    def release(self) -> None:
        """End it in good order."""
        goodbye = self._line.with_patience(_GOODBYE_S)
        with suppress(AssociationLost):  # gone already: then it is over as well
            goodbye.send([[_RELEASE_RQ]])
            while goodbye.read_pdu()[0] not in (_RELEASED, _ABORTED):
                pass
        goodbye.socket.close()

    def abort(self) -> None:
        """End it at once: the peer throws an unfinished instance away."""
        hasty = self._line.with_patience(0.0)
        with suppress(AssociationLost):
            hasty.send([[_ABORT]])
        hasty.socket.close()


def _connected(peer: Peer, patience: Patience) -> socket.socket:
    try:
        made = socket.create_connection((peer.host, peer.port), timeout=patience.connect_s)
    except (OSError, UnicodeError) as error:  # UnicodeError: no host has such a name
        why = error.strerror if isinstance(error, OSError) else None
        raise NotSent(f"{peer} does not answer: {why or error}") from error
    try:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if peer.seal is not None:
            made = peer.seal(made)
        made.setblocking(False)
    except (OSError, BadTls) as error:
        made.close()
        raise NotSent(f"{peer} does not agree on TLS: {error}") from error
    return made


def _request_pdu(peer: Peer, kinds: Sequence[Kind], calling: str) -> bytes:
    from pynetdicom.pdu import A_ASSOCIATE_RQ
    from pynetdicom.pdu_primitives import (
        A_ASSOCIATE,
        ImplementationClassUIDNotification,
        ImplementationVersionNameNotification,
        MaximumLengthNotification,
    )
    from pynetdicom.presentation import build_context

    asked = A_ASSOCIATE()
    asked.application_context_name = _APPLICATION_CONTEXT
    asked.calling_ae_title = calling
    asked.called_ae_title = peer.aet
    length = MaximumLengthNotification()
    length.maximum_length_received = _OUR_PDU_BYTES
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = "LASTGATE"
    asked.user_information = [length, implementation, version]
    contexts = []
    for number, (sop_class, syntax) in enumerate(kinds):
        context = build_context(sop_class, syntax)
        context.context_id = _context_id(number)
        contexts.append(context)
    asked.presentation_context_definition_list = contexts
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(asked)
    return pdu.encode()


def _context_id(number: int) -> int:
    return 2 * number + 1


def _agreed(peer: Peer, kind: int, body: memoryview) -> "A_ASSOCIATE":
    from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ

    if kind == _REJECTED:
        told = _decoded(peer, A_ASSOCIATE_RJ(), kind, body)
        raise NotSent(
            f"{peer} refuses the association: it does not know our title or its own, or takes no more "
            f"(result {told.result}, source {told.result_source}, reason {told.diagnostic})"
        )
    if kind != _ACCEPTED:
        raise NotSent(f"{peer} aborts instead of agreeing on an association")
    return _decoded(peer, A_ASSOCIATE_AC(), kind, body)


def _decoded(peer: Peer, pdu: "A_ASSOCIATE_AC | A_ASSOCIATE_RJ", kind: int, body: memoryview) -> "A_ASSOCIATE":
    try:
        pdu.decode(PDU_HEADER.pack(kind, len(body)) + bytes(body))
        return pdu.to_primitive()
    except Exception as error:  # whatever pynetdicom stumbles over, the bytes are wrong
        raise NotSent(f"The answer of {peer} can't be read: {error}") from error


def _accepted(answer: "A_ASSOCIATE", kinds: Sequence[Kind]) -> dict[Kind, int]:
    results = answer.presentation_context_definition_results_list
    ids = {one.context_id for one in results if one.result == 0}
    return {kind: _context_id(number) for number, kind in enumerate(kinds) if _context_id(number) in ids}


def _pdu_bytes(answer: "A_ASSOCIATE") -> int:
    from pynetdicom.pdu_primitives import MaximumLengthNotification

    lengths = [one for one in answer.user_information if isinstance(one, MaximumLengthNotification)]
    return lengths[0].maximum_length_received if lengths else 0
