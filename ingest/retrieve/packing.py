"""Making an instance ready before its turn: read, proven, and converted where the receiver can't take it as stored."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import structlog

from ingest.dataset.encoding import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from ingest.errors import IngestError
from ingest.node.wire import Buffer
from ingest.retrieve.association import MOST_CONTEXTS, Kind
from ingest.retrieve.convert import CONVERTED_TO, converted
from ingest.retrieve.native import NATIVE
from ingest.retrieve.parcel import Parcel
from storage.errors import StorageError, StoreUnavailable

PLAIN_SYNTAXES: Final = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
"""What is proposed beside the stored transfer syntax."""

NOT_TAKEN: Final = "The peer does not accept objects of this class in this transfer syntax"
_SHORT_BYTES: Final = 1 << 20
_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """An instance ready to be sent, or the reason why it can't be.

    Parameters
    ----------
    kind
        Presentation context it goes out on; None if it can't.
    pieces
        The data set in the transfer syntax of `kind`.
    is_passing
        Whether the reason may be gone another time: a store that could not be read.
    """

    parcel: Parcel
    kind: Kind | None = None
    pieces: Iterable[Buffer] = ()
    reason: str = ""
    is_passing: bool = False


def pack(parcel: Parcel, accepted: Collection[Kind], *, folder: Path | None = None) -> Packed:
    """Make an instance ready for a receiver that accepts these presentation contexts.

    It goes out as it is stored wherever the receiver takes that; else as the
    first of `ingest.retrieve.convert.CONVERTED_TO` it takes.

    Parameters
    ----------
    folder
        For what is converted and too long for memory; None is the system's own for temporary files.
    """
    sop_class, stored = parcel.sop_class_uid, parcel.transfer_syntax_uid
    try:
        if (sop_class, stored) in accepted:
            return Packed(parcel=parcel, kind=(sop_class, stored), pieces=parcel.data_set())
        syntax = next((one for one in CONVERTED_TO if (sop_class, one) in accepted), None)
        if syntax is None:
            return Packed(parcel=parcel, reason=NOT_TAKEN)
        return Packed(parcel=parcel, kind=(sop_class, syntax), pieces=_begun(converted(parcel, syntax, folder=folder)))
    except (IngestError, StorageError) as error:
        _LOG.warning("send.unpackable", uid=parcel.sop_instance_uid, code=error.code, error=str(error))
        return Packed(parcel=parcel, reason=f"{error} ({error.code})", is_passing=isinstance(error, StoreUnavailable))


class PackedAhead:
    """Packs the next instance while the one before is on its way.

    A short one is packed by the thread that sends, in `look_ahead`: between the last byte that goes out and the peer's
    answer it would only wait, and to hand the work to another thread and back costs as much as the work. What takes
    longer is packed beside, from the moment on when the one before was taken.

    Parameters
    ----------
    parcels
        Taken one by one; never more than one ahead.
    """

    def __init__(self, parcels: Iterator[Parcel], *, folder: Path | None) -> None:
        self._parcels = parcels
        self._folder = folder
        self._pool = ThreadPoolExecutor(1, "packing")
        self._begun = False
        self._ready: Packed | Future[Packed] | None = None
        self.waiting: Parcel | None = None
        """The instance that is packed, or will be next, and was not taken."""

    def __enter__(self) -> "PackedAhead":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def take(self, accepted: Collection[Kind]) -> Packed | None:
        """Return the next instance packed, and begin with the one behind it; None at the end."""
        if not self._begun:
            self._begun = True
            self._begin(accepted)
        if self.waiting is None:
            return None
        self.look_ahead(accepted)
        packed = self._ready.result() if isinstance(self._ready, Future) else self._ready
        self._begin(accepted)
        return packed

    def look_ahead(self, accepted: Collection[Kind]) -> None:
        """Pack the next instance now, unless that is done or goes on elsewhere."""
        if self.waiting is not None and self._ready is None:
            self._ready = pack(self.waiting, accepted, folder=self._folder)

    def _begin(self, accepted: Collection[Kind]) -> None:
        parcel = self.waiting = next(self._parcels, None)
        self._ready = None
        if parcel is not None and _takes_long(parcel, accepted):
            self._ready = self._pool.submit(pack, parcel, accepted, folder=self._folder)


def _takes_long(parcel: Parcel, accepted: Collection[Kind]) -> bool:
    """Whether an instance is long, or an image that must be decompressed."""
    if parcel.size_bytes > _SHORT_BYTES:
        return True
    stored = parcel.transfer_syntax_uid
    return stored not in NATIVE and (parcel.sop_class_uid, stored) not in accepted


def _begun(pieces: Iterator[Buffer]) -> Iterator[Buffer]:
    """Return pieces of which the first are made already: a failure shows before anything is sent."""
    made: list[Buffer] = []
    size = 0
    for piece in pieces:
        made.append(piece)
        size += len(piece)
        if size >= _SHORT_BYTES:
            break
    return chain(made, pieces)


def loads(parcels: Iterable[Parcel]) -> list[tuple[tuple[Kind, ...], list[Parcel]]]:
    """Part instances into as few associations as their presentation contexts allow, order kept within each.

    Each transfer syntax has a context of its own, so that which of them is used stays our choice: the stored ones
    first, then the plain ones of each class.
    """
    found: list[tuple[dict[Kind, None], list[Parcel]]] = []
    place: dict[Kind, int] = {}
    for parcel in parcels:
        stored = (parcel.sop_class_uid, parcel.transfer_syntax_uid)
        if stored not in place:
            place[stored] = _place_for(stored, found)
        found[place[stored]][1].append(parcel)
    return [(_in_order(kinds, there), there) for kinds, there in found]


def _place_for(stored: Kind, found: list[tuple[dict[Kind, None], list[Parcel]]]) -> int:
    wanted = dict.fromkeys((stored, *((stored[0], plain) for plain in PLAIN_SYNTAXES)))
    for number, (kinds, _) in enumerate(found):
        if len(kinds | wanted) <= MOST_CONTEXTS:
            kinds.update(wanted)
            return number
    found.append((wanted, []))
    return len(found) - 1


def _in_order(kinds: Iterable[Kind], parcels: Sequence[Parcel]) -> tuple[Kind, ...]:
    stored = dict.fromkeys((one.sop_class_uid, one.transfer_syntax_uid) for one in parcels)
    return tuple(dict.fromkeys((*stored, *kinds)))
