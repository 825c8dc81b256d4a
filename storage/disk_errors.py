"""Translate what the operating system says into errors of the storage layer."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from storage.errors import BadKey, StorageError, StoreFull, StoreUnavailable

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FOLDER_IN_THE_WAY = frozenset({errno.ENOTDIR, errno.EISDIR})
CAN_NOT_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})
"""Other filesystem; not our file (fs.protected_hardlinks); too many links; no links there."""


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn an `OSError` inside the block into a storage error that names what was being done."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        message = f"{doing[:1].upper()}{doing[1:]} failed: {error}"
        if error.errno in FULL:
            raise StoreFull(message) from error
        if error.errno in FOLDER_IN_THE_WAY:
            raise BadKey(f"{message} (one key is the folder of another)") from error
        raise StoreUnavailable(message) from error
