"""What a DIMSE service gives the node: the presentation contexts it negotiates and the requests it answers.

The node is a list of services. The conformance statement is printed from the
same tables, so it can't promise what is not negotiated.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from pynetdicom import evt

from ingest.dataset.encoding import DEFLATED_LITTLE, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE

NATIVE_SYNTAXES = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED_LITTLE)
"""Transfer syntaxes of identifiers and messages, the ones we would rather have first."""

Handler = tuple[evt.EventType, Callable[[evt.Event], Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One abstract syntax a service takes.

    Parameters
    ----------
    abstract_syntax
        SOP Class UID.
    transfer_syntaxes
        In our order of preference.
    peer_may_provide
        Whether the peer may take the role of provider in an association it asks for (PS3.7 D.3.3.4): so comes the
        result of a storage commitment that we asked for.
    """

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...] = NATIVE_SYNTAXES
    peer_may_provide: bool = False


class Service(Protocol):
    """One DIMSE service of the node."""

    def contexts(self) -> Iterable[Context]:
        """Return what is negotiated for it; storage classes are taken without being listed."""

    def handlers(self) -> Iterable[Handler]:
        """Return what answers its requests."""
