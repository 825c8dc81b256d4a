"""Sends stored files to another node as they are (C-STORE SCU): a planning system, or our own node in the demo."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from ingest.errors import IngestError

MOST_CONTEXTS = 128
"""Presentation contexts of one association (PS3.8 9.3.2.2)."""


class NotSent(IngestError):
    """A file did not reach its peer."""

    code = "LG-ING-500"
    hint = "Check that the peer runs, that title, host and port are right, and that it knows our title."


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
        NotSent
            It is not written so.
        """
        aet, _, place = text.partition("@")
        host, _, port = place.rpartition(":")
        if not (aet and host and port.isdecimal()):
            raise NotSent(f"{text!r} names no peer; write AET@HOST:PORT, such as TPS@10.0.0.7:104")
        return cls(aet=aet, host=host, port=int(port))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One file and the DIMSE status the peer answered; None where the association was lost."""

    path: Path
    status: int | None

    @property
    def is_stored(self) -> bool:
        """Whether the peer said that it stored it (success or a warning, PS3.4 Table B.2-1)."""
        return self.status is not None and (self.status == 0 or self.status & 0xF000 == 0xB000)


def send(
    paths: Sequence[Path], peer: Peer, *, calling: str, on_sent: Callable[[Sent], None] | None = None
) -> tuple[Sent, ...]:
    """Send files over as few associations as their classes and transfer syntaxes allow, bytes unchanged.

    Raises
    ------
    NotSent
        The peer can't be reached, refuses the association, or a file is no DICOM file.
    """
    results: list[Sent] = []
    for batch in _batches(paths):
        for sent in _send_batch(batch, peer, calling):
            results.append(sent)
            if on_sent:
                on_sent(sent)
    return tuple(results)


def _batches(paths: Iterable[Path]) -> list[dict[Path, tuple[str, str]]]:
    """Group files so that no group needs more than 128 presentation contexts."""
    batches: list[dict[Path, tuple[str, str]]] = [{}]
    for path in paths:
        try:
            meta = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"]).file_meta
            context = (str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))
        except (InvalidDicomError, AttributeError, OSError) as error:
            raise NotSent(f"{path} is no DICOM file that can be sent: {error}") from error
        known = set(batches[-1].values())
        if context not in known and len(known) == MOST_CONTEXTS:
            batches.append({})
        batches[-1][path] = context
    return [batch for batch in batches if batch]


def _send_batch(batch: dict[Path, tuple[str, str]], peer: Peer, calling: str) -> Iterable[Sent]:
    from pynetdicom import AE, _config

    _config.STORE_SEND_CHUNKED_DATASET = True  # the file's bytes go out as they are, unread
    entity = AE(ae_title=calling)
    for sop_class, syntax in dict.fromkeys(batch.values()):
        entity.add_requested_context(sop_class, syntax)
    association = entity.associate(peer.host, peer.port, ae_title=peer.aet)
    if not association.is_established:
        raise NotSent(f"{peer.aet} at {peer.host}:{peer.port} does not answer or refuses the association")
    try:
        for path in batch:
            try:
                answer = association.send_c_store(path)
            except (RuntimeError, ValueError, AttributeError) as error:
                raise NotSent(f"{path} was not sent: {error}") from error
            yield Sent(path=path, status=answer.get("Status") if answer else None)
    finally:
        association.release()
