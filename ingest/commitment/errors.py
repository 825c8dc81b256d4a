"""Errors of Storage Commitment and of the procedure steps of modalities; part of the tree of `ingest.errors`.

IngestError
├── BadRequest               a request that can't be answered: its status says why
│   └── DuplicateTransaction the transaction UID is in use
└── NotTold                  the requestor can't be told now
    └── Unreachable          nobody knows where it takes associations from us
"""

from ingest.errors import IngestError


class BadRequest(IngestError):
    """A request that can't be answered; `dimse_status` is the answer (PS3.7 Annex C)."""

    code = "LG-ING-700"
    hint = "The message names what is wrong: ask the vendor of the requesting system."

    def __init__(self, message: str, *, dimse_status: int = 0x0110) -> None:
        super().__init__(message)
        self.dimse_status = dimse_status


class DuplicateTransaction(BadRequest):
    """This requestor has a transaction of this UID already."""

    code = "LG-ING-701"
    hint = "Each request needs a transaction UID of its own: ask the vendor of the requesting system."

    def __init__(self, message: str) -> None:
        super().__init__(message, dimse_status=0x0131)


class NotTold(IngestError):
    """A peer can't be told now what it is to be told; it is tried again."""

    code = "LG-ING-702"
    hint = "Check that the peer runs, that host and port of its rule are right, and that it knows our title."


class Unreachable(NotTold):
    """No rule says where the peer takes associations from us."""

    code = "LG-ING-703"
    hint = "Write host and port into the peer's rule ([[node.peers]])."
