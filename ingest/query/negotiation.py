"""Extended negotiation of queries (PS3.4 C.5.1.1): what a peer asks to be done beyond the baseline, and gets."""

from typing import Final

from pydicom.uid import UID
from pynetdicom.association import Association

from ingest.query.models import Model
from ingest.query.query import Behaviour

_OFFERED: Final = b"\1\1\1\0\0"
"""Relational queries, combined dates and times, fuzzy names; neither time zones nor enhanced multi-frame views."""


def agreement(asked: bytes) -> bytes:
    """Return the answer to the application information of a peer: as long as what it sent (PS3.7 D.3.3.5)."""
    return bytes(wanted & offered for wanted, offered in zip(asked, _OFFERED, strict=False))


def agreed(association: Association, model: Model) -> Behaviour:
    """Return what was agreed on with the peer of an association."""
    asked = association.requestor.sop_class_extended.get(UID(model.find_class), b"")
    relational, datetimes, fuzzy = (agreement(bytes(asked)) + b"\0\0\0")[:3]
    return Behaviour(relational=bool(relational), datetimes=bool(datetimes), fuzzy=bool(fuzzy))
