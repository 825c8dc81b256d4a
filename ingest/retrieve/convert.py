"""Writing an instance in a transfer syntax the receiver takes, where it can't take the stored one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ingest.dataset.encoding import DEFLATED_LITTLE, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from ingest.errors import NotConvertible
from ingest.node.wire import Buffer
from ingest.retrieve.native import NATIVE, rewritten
from ingest.retrieve.parcel import Parcel

CONVERTED_TO: Final = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED_LITTLE)
"""What is written if it must be, the likeliest to be understood first."""


def converted(parcel: Parcel, syntax: str, *, folder: Path | None = None) -> Iterator[Buffer]:
    """Return the data set of an instance in another transfer syntax, values untouched; images are decompressed.

    Parameters
    ----------
    syntax
        One of `CONVERTED_TO`.
    folder
        For what is too long for memory while it is decompressed; None is the system's own for temporary files.

    Raises
    ------
    NotConvertible
        There is no way from the one to the other, or the image can't be decompressed.
    """
    stored = parcel.transfer_syntax_uid
    if stored in NATIVE:
        return rewritten(parcel.data_set(), stored, syntax)
    from ingest.retrieve.pixels import decompressed

    if not parcel.transfer_syntax_uid:
        raise NotConvertible("The transfer syntax it is stored in is not known")
    return decompressed(parcel, syntax, folder=folder)
