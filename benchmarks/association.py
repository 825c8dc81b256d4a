"""A DICOM client that costs next to nothing: a blocking socket, messages encoded before the clock starts.

Only what the benchmarks need: associate, C-ECHO, C-STORE, C-FIND, C-MOVE, release. It trusts the peer.
"""

import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

from ingest.node.wire import (
    Command,
    CommandKind,
    Field,
    Value,
    command_pdus,
    data_set_pdus,
    encode_command,
    parse_command,
)

IMPLICIT = "1.2.840.10008.1.2"
VERIFICATION = "1.2.840.10008.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
_APPLICATION = b"1.2.840.10008.3.1.1.1"
_OUR_CLASS_UID = b"1.2.826.0.1.3680043.9.7229.77.1"
_PDU_BYTES = 131_072
_PENDING = (0xFF00, 0xFF01)


class PeerBroke(Exception):
    """The peer refused the association, closed it or sent what was not expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a query gave: its last status, how many answers, and when the first came."""

    status: int
    hits: int
    first_s: float


class Association:
    """One association, requested on construction.

    Parameters
    ----------
    contexts
        Pairs of abstract and transfer syntax; each pair becomes a presentation context.
    """

    def __init__(
        self,
        port: int,
        called: str,
        contexts: Sequence[tuple[str, str]],
        *,
        calling: str = "BENCH",
        timeout_s: float = 120,
    ) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._last_id = 0
        try:
            self._socket.sendall(_request(called, calling, contexts))
            kind, body = self._pdu()
            if kind != 2:
                raise PeerBroke(f"PDU of type {kind} instead of an acceptance")
            accepted, self._peer_pdu_bytes = _acceptance(body)
        except BaseException:
            self._socket.close()
            raise
        self._contexts = {pair: 2 * at + 1 for at, pair in enumerate(contexts) if 2 * at + 1 in accepted}

    def __enter__(self) -> "Association":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Release and close; a peer that has gone already is no error."""
        try:
            self._socket.sendall(struct.pack(">BxII", 5, 4, 0))
            self._pdu()
        except (OSError, PeerBroke):
            pass
        finally:
            self._socket.close()

    def store_message(self, sop_class: str, instance: str, syntax: str, dataset: bytes) -> bytes:
        """Return a whole C-STORE request as bytes."""
        fields: dict[int, Value] = {
            Field.AFFECTED_SOP_CLASS_UID: sop_class,
            Field.COMMAND_FIELD: CommandKind.C_STORE_RQ,
            Field.PRIORITY: 0,
            Field.AFFECTED_SOP_INSTANCE_UID: instance,
        }
        return self._message((sop_class, syntax), fields, dataset)

    def exchange(self, message: bytes) -> int:
        """Send a message and return the status of the answer."""
        self._socket.sendall(message)
        return _status(self._answer())

    def echo(self) -> int:
        """Send C-ECHO and return the status."""
        fields: dict[int, Value] = {
            Field.AFFECTED_SOP_CLASS_UID: VERIFICATION,
            Field.COMMAND_FIELD: CommandKind.C_ECHO_RQ,
        }
        return self.exchange(self._message((VERIFICATION, IMPLICIT), fields, None))

    def find(self, identifier: bytes) -> Found:
        """Send C-FIND at study root and read all answers."""
        fields: dict[int, Value] = {
            Field.AFFECTED_SOP_CLASS_UID: STUDY_ROOT_FIND,
            Field.COMMAND_FIELD: CommandKind.C_FIND_RQ,
            Field.PRIORITY: 0,
        }
        started = time.perf_counter()
        self._socket.sendall(self._message((STUDY_ROOT_FIND, IMPLICIT), fields, identifier))
        first, hits = 0.0, 0
        while True:
            status = _status(self._answer())
            first = first or time.perf_counter() - started
            if status not in _PENDING:
                return Found(status=status, hits=hits, first_s=first)
            hits += 1

    def move(self, identifier: bytes, destination: str) -> tuple[int, int]:
        """Send C-MOVE at study root and return the last status and how many sub-operations completed."""
        fields: dict[int, Value] = {
            Field.AFFECTED_SOP_CLASS_UID: STUDY_ROOT_MOVE,
            Field.COMMAND_FIELD: CommandKind.C_MOVE_RQ,
            Field.PRIORITY: 0,
            Field.MOVE_DESTINATION: destination,
        }
        self._socket.sendall(self._message((STUDY_ROOT_MOVE, IMPLICIT), fields, identifier))
        while True:
            answer = self._answer()
            if _status(answer) not in _PENDING:
                return _status(answer), answer.number(Field.COMPLETED) or 0

    def _message(self, context: tuple[str, str], fields: Mapping[int, Value], dataset: bytes | None) -> bytes:
        if context not in self._contexts:
            raise PeerBroke(f"The peer takes no {context[0]} in {context[1]}")
        self._last_id = self._last_id % 0xFFFF + 1
        whole: dict[int, Value] = {
            **fields,
            Field.MESSAGE_ID: self._last_id,
            Field.DATA_SET_TYPE: 0x0101 if dataset is None else 1,
        }
        number, most = self._contexts[context], min(self._peer_pdu_bytes or _PDU_BYTES, _PDU_BYTES)
        parts = [command_pdus(number, encode_command(whole), peer_pdu_bytes=most)]
        if dataset is not None:
            parts += [b"".join(pdu) for pdu in data_set_pdus(number, [dataset], peer_pdu_bytes=most)]
        return b"".join(parts)

    def _answer(self) -> Command:
        """Return the command set of the next message; what follows it is read and dropped."""
        encoded = bytearray()
        for is_command, is_last, fragment in self._fragments():
            if is_command:
                encoded += fragment
                if is_last and not parse_command(encoded).has_data_set:
                    break
            elif is_last:
                break
        return parse_command(encoded)

    def _fragments(self) -> Iterator[tuple[bool, bool, memoryview]]:
        while True:
            kind, body = self._pdu()
            if kind != 4:
                raise PeerBroke(f"PDU of type {kind} instead of an answer")
            at, view = 0, memoryview(body)
            while at < len(body):
                length, _, control = struct.unpack_from(">IBB", body, at)
                yield bool(control & 1), bool(control & 2), view[at + 6 : at + 4 + length]
                at += 4 + length

    def _pdu(self) -> tuple[int, bytearray]:
        kind, length = struct.unpack(">BxI", self._exactly(6))
        return kind, self._exactly(length)

    def _exactly(self, count: int) -> bytearray:
        data = bytearray(count)
        view = memoryview(data)
        while view:
            read = self._socket.recv_into(view)
            if not read:
                raise PeerBroke("The peer closed the connection")
            view = view[read:]
        return data


def element(group: int, number: int, value: str) -> bytes:
    """Return an element in implicit little endian; UIDs are padded with NUL, other text with a space."""
    raw = value.encode()
    if len(raw) % 2:
        raw += b"\0" if value[:2] == "1." else b" "
    return struct.pack("<HHI", group, number, len(raw)) + raw


def identifier(level: str, keys: Mapping[tuple[int, int], str]) -> bytes:
    """Return a query or retrieve identifier."""
    filled = {**keys, (0x0008, 0x0052): level}
    return b"".join(element(*tag, filled[tag]) for tag in sorted(filled))


def _status(command: Command) -> int:
    status = command.number(Field.STATUS)
    if status is None:
        raise PeerBroke("An answer without a status")
    return status


def _sub_item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def _request(called: str, calling: str, contexts: Sequence[tuple[str, str]]) -> bytes:
    """Return an A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    items = [_sub_item(0x10, _APPLICATION)]
    for at, (abstract, syntax) in enumerate(contexts):
        syntaxes = _sub_item(0x30, abstract.encode()) + _sub_item(0x40, syntax.encode())
        items.append(_sub_item(0x20, struct.pack(">Bxxx", 2 * at + 1) + syntaxes))
    items.append(_sub_item(0x50, _sub_item(0x51, struct.pack(">I", _PDU_BYTES)) + _sub_item(0x52, _OUR_CLASS_UID)))
    body = struct.pack(">Hxx16s16s32x", 1, called.encode().ljust(16), calling.encode().ljust(16)) + b"".join(items)
    return struct.pack(">BxI", 1, len(body)) + body


def _acceptance(body: bytearray) -> tuple[set[int], int]:
    """Return the accepted contexts and the longest PDU the peer takes (PS3.8 9.3.3)."""
    accepted, pdu_bytes = set(), 0
    for kind, value in _items(bytes(body[68:])):
        if kind == 0x21 and value[2] == 0:
            accepted.add(value[0])
        elif kind == 0x50:
            pdu_bytes = next((struct.unpack(">I", one)[0] for sub, one in _items(value) if sub == 0x51), 0)
    return accepted, pdu_bytes


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from(">BxH", data, at)
        yield kind, data[at + 4 : at + 4 + length]
        at += 4 + length
