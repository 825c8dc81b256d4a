"""Sends files to another node as they are (C-STORE SCU), as a modality would."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.retrieve.outgoing import Sender
from ingest.retrieve.outgoing import Sent as SentParcel
from ingest.retrieve.parcel import Parcel
from ingest.retrieve.peer import Peer

__all__ = ["Peer", "Sent", "send"]


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
        """Whether the peer said that it stored it (success or a warning, PS3.4 table B.2-1)."""
        return not self.reason


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
        The peer can't be reached or refuses the association, or a file is no DICOM file; nothing was sent.
    """
    parcels = [Parcel.of_file(path) for path in paths]
    places = {id(parcel): number for number, parcel in enumerate(parcels)}
    results: dict[int, Sent] = {}
    for sent in Sender(calling=calling).send(parcels, peer):
        if sent is None:
            continue
        number = places[id(sent.parcel)]
        results[number] = _told(paths[number], sent)
        if on_sent:
            on_sent(results[number])
    return tuple(results[number] for number in sorted(results))


def _told(path: Path, sent: SentParcel) -> Sent:
    return Sent(path=path, status=sent.status, reason=sent.reason)
