"""Which service a SOP class belongs to (PS3.4, PS3.6 table A-1).

Whatever is not known to be something else is taken for storage: private
classes, and those of an edition of the standard younger than the dictionary.
"""

from functools import lru_cache
from typing import Final, Literal, get_args

ServiceName = Literal["verify", "store", "find", "move", "get", "commit", "mpps"]
"""What a peer may be allowed: to ask whether we are there, to store, query, move and get, to ask for storage
commitment, and to tell of performed procedure steps and available instances."""

SERVICES: Final[frozenset[ServiceName]] = frozenset(get_args(ServiceName))
GIVING: Final[frozenset[ServiceName]] = frozenset({"verify", "store", "commit", "mpps"})
"""What gives to the archive and tells nothing about patients."""

_QUERY_RETRIEVE: Final = "1.2.840.10008.5.1.4.1.2."
_BY_CLASS: Final[dict[str, ServiceName]] = {
    "1.2.840.10008.1.1": "verify",
    "1.2.840.10008.1.20.1": "commit",
    "1.2.840.10008.3.1.2.3.3": "mpps",
    "1.2.840.10008.3.1.2.3.4": "mpps",
    "1.2.840.10008.3.1.2.3.5": "mpps",
    "1.2.840.10008.5.1.4.33": "mpps",  # Instance Availability Notification
    **{f"{_QUERY_RETRIEVE}{root}.1": "find" for root in (1, 2, 3)},
    **{f"{_QUERY_RETRIEVE}{root}.2": "move" for root in (1, 2, 3, 4)},
    **{f"{_QUERY_RETRIEVE}{root}.3": "get" for root in (1, 2, 3, 4, 5)},
}
_STORAGE_IN_NAME_ONLY: Final = frozenset(
    {
        "1.2.840.10008.1.3.10",  # Media Storage Directory: a DICOMDIR does not go over the network
        "1.2.840.10008.1.20.1",  # Storage Commitment Push Model
        "1.2.840.10008.1.20.2",  # Storage Commitment Pull Model, retired
        "1.2.840.10008.4.2",  # Storage Service Class
    }
)


def service_of(sop_class_uid: str) -> ServiceName | None:
    """Return the service a SOP class belongs to; None if it is a known one of none of ours (print, worklist ...)."""
    return "store" if is_storage(sop_class_uid) else _BY_CLASS.get(sop_class_uid)


@lru_cache(maxsize=4096)
def is_storage(sop_class_uid: str) -> bool:
    """Return whether a SOP class is a storage class, or unknown and so taken for one."""
    from pydicom.uid import UID

    known = UID(sop_class_uid)
    if known in _STORAGE_IN_NAME_ONLY or known.type not in ("", "SOP Class"):
        return False
    # Two retired storage classes (1.2.840.10008.5.1.4.1.1.40 and ...12.77) lost their names in PS3.6.
    return not known.type or not known.name or "Storage" in known.name
