"""Reading all that is kept of an instance beside its bytes: the digests its receiver left out, and its header."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from archive.headers import InstanceHeader
from ingest.dataset.limits import Limits
from ingest.errors import BadDataSet, TooLarge, Undescribable
from ingest.filing.header import read_header
from ingest.judge import digested
from ingest.spool.arrival import Arrival


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadInstance:
    """An arrival with its digests, and what a receipt keeps of its data set."""

    arrival: Arrival
    header: InstanceHeader


def read_instance(path: Path, arrival: Arrival, *, limits: Limits, digest_bytes: int | None = None) -> ReadInstance:
    """Read the data set in `path`, which was judged when it came.

    Parameters
    ----------
    digest_bytes
        Leave the digests of a longer one to others; None leaves none.

    Raises
    ------
    Undescribable
        The values can't be read.
    OSError
        The file can't be read.
    """
    if digest_bytes is None or arrival.size_bytes <= digest_bytes:
        arrival = with_digests(path, arrival, limits=limits)
    return ReadInstance(arrival=arrival, header=read_header(path, arrival, limits=limits))


def with_digests(path: Path, arrival: Arrival, *, limits: Limits) -> Arrival:
    """Return an arrival with the digests of its data set, itself if it has them.

    Bytes that have changed since they came are left to whoever compares them with the digest of the file: the
    arrival lacks its other digests then.

    Raises
    ------
    Undescribable
        A fault of ours: what was judged sound is not.
    OSError
        The file can't be read.
    """
    with path.open("rb") as stream:
        try:
            return digested(stream, arrival, limits=limits)
        except (BadDataSet, TooLarge) as error:
            stream.seek(0)
            if hashlib.file_digest(stream, "sha256").hexdigest() == arrival.file_sha256:
                raise Undescribable(f"It was judged sound when it came, and now is not: {error}") from error
            return arrival
