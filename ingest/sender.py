"""Sends stored files to another node as they are (C-STORE SCU): a planning system, or our own node in the demo."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from ingest.errors import BadPeer, NotSent

if TYPE_CHECKING:
    from pynetdicom.association import Association

MOST_CONTEXTS: Final = 128
"""Presentation contexts of one association (PS3.8 2026c 9.3.2.2: odd numbers from 1 to 255)."""

_MOST_TITLE_CHARS: Final = 16
_CONNECT_S: Final = 15.0
_ANSWER_S: Final = 120.0
"""How long the peer may take to store one object: planning systems file while we wait."""

_NOT_TAKEN: Final = "The peer does not accept objects of this class in this transfer syntax"
_LOST: Final = "The association was lost"

Context = tuple[str, str]
"""SOP Class UID and transfer syntax UID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Where to send to: application entity title, host and port."""

    aet: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Peer":
        """Read ``AET@HOST:PORT``.

        Raises
        ------
        BadPeer
            It is not written so.
        """
        aet, _, place = text.partition("@")
        host, _, port = place.rpartition(":")
        if not (aet.strip() and host and port.isascii() and port.isdecimal()):
            raise BadPeer(f"{text!r} names no peer; write AET@HOST:PORT, such as TPS@10.0.0.7:104")
        if len(aet) > _MOST_TITLE_CHARS or not (aet.isascii() and aet.isprintable()) or "\\" in aet:
            raise BadPeer(f"{aet!r} is no application entity title: it has 1 to 16 ASCII characters and no backslash")
        if not 1 <= int(port) <= 65535:
            raise BadPeer(f"{port} is no port: it lies between 1 and 65535")
        return cls(aet=aet, host=host, port=int(port))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of one file.

    Parameters
    ----------
    status
        DIMSE status the peer answered; None if it never answered.
    reason
        In plain words why it is not stored, empty if it is.
    """

    path: Path
    status: int | None = None
    reason: str = ""

    @property
    def is_stored(self) -> bool:
        """Whether the peer said that it stored it (success or a warning, PS3.4 2026c table B.2-1)."""
        return self.status is not None and (self.status == 0 or self.status & 0xF000 == 0xB000)


def send(
    paths: Sequence[Path], peer: Peer, *, calling: str, on_sent: Callable[[Sent], None] | None = None
) -> tuple[Sent, ...]:
    """Send files over as few associations as their classes and transfer syntaxes allow, data sets unchanged.

    Parameters
    ----------
    paths
        DICOM files whose file meta group names the data set in them.
    calling
        Our own application entity title.
    on_sent
        Called with each file in turn.

    Returns
    -------
    tuple of Sent
        One for each path, in the same order; what the peer did not take says why.

    Raises
    ------
    NotSent
        The peer can't be reached or refuses the association, or a file is no DICOM file; nothing, or with more
        than 128 kinds of objects not everything, was sent.
    """
    results: list[Sent] = []
    for batch in _batches(paths):
        for sent in _send_batch(batch, peer, calling):
            results.append(sent)
            if on_sent:
                on_sent(sent)
    return tuple(results)


def _batches(paths: Sequence[Path]) -> list[list[tuple[Path, Context]]]:
    """Group files in order so that no group needs more presentation contexts than an association has."""
    batches: list[list[tuple[Path, Context]]] = []
    known: set[Context] = set()
    for path in paths:
        context = _context(path)
        if not batches or (context not in known and len(known) == MOST_CONTEXTS):
            batches.append([])
            known = set()
        known.add(context)
        batches[-1].append((path, context))
    return batches


def _context(path: Path) -> Context:
    try:
        meta = read_file_meta_info(path)
        return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
    except (InvalidDicomError, AttributeError, OSError, EOFError) as error:
        raise NotSent(f"{path} is no DICOM file that can be sent: {error}") from error


def _send_batch(batch: Sequence[tuple[Path, Context]], peer: Peer, calling: str) -> Iterator[Sent]:
    from pynetdicom import AE, _config

    _config.STORE_SEND_CHUNKED_DATASET = True  # the data set goes out as it lies in the file, unread
    entity = AE(ae_title=calling)
    entity.connection_timeout = _CONNECT_S
    entity.dimse_timeout = _ANSWER_S
    for sop_class, syntax in dict.fromkeys(context for _, context in batch):
        entity.add_requested_context(sop_class, syntax)
    association = entity.associate(peer.host, peer.port, ae_title=peer.aet)
    if not association.is_established:
        raise NotSent(f"{peer.aet} at {peer.host}:{peer.port} {_why_not(association)}")
    _send_at_once(association)
    accepted = {(str(one.abstract_syntax), str(one.transfer_syntax[0])) for one in association.accepted_contexts}
    is_lost = False
    try:
        for path, context in batch:
            if context not in accepted:
                yield Sent(path=path, reason=_NOT_TAKEN)
            elif is_lost:
                yield Sent(path=path, reason=_LOST)
            else:
                sent = _store(association, path)
                is_lost = sent.status is None  # pynetdicom notices later, and would wait for each answer
                yield sent
    finally:
        association.abort() if is_lost else association.release()


def _send_at_once(association: "Association") -> None:
    """Turn Nagle's algorithm off: with a peer's delayed acknowledgement each object would wait 40 ms and more."""
    connection = association.dul.socket and association.dul.socket.socket
    if connection:
        with suppress(OSError):  # closed already: sending tells
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _why_not(association: "Association") -> str:
    if association.is_rejected:
        return "refuses the association: it does not know our title or its own, or takes no more"
    return "does not answer, or takes none of these objects"


def _store(association: "Association", path: Path) -> Sent:
    try:
        answer = association.send_c_store(path)
    except RuntimeError:  # it is not established any more
        return Sent(path=path, reason=_LOST)
    if "Status" not in answer:
        return Sent(path=path, reason=_LOST)
    status = int(answer.Status)
    sent = Sent(path=path, status=status)
    return sent if sent.is_stored else Sent(path=path, status=status, reason=f"The peer answered {status:04X}")
