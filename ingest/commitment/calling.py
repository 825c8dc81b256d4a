"""Associations we ask for to send a message of a few lines: answers, requests, notices."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ingest.commitment.errors import NotTold
from ingest.dataset.encoding import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from ingest.errors import BadTls
from ingest.peers import Destination
from ingest.service import Handler

if TYPE_CHECKING:
    from pynetdicom.association import Association

ClientArguments = Callable[[Destination], Any]
"""Returns what pynetdicom needs to speak TLS with a peer, None for a plain connection."""

_CONNECT_S: Final = 10.0
_ANSWER_S: Final = 60.0


def plain(_destination: Destination) -> None:
    """Speak without TLS."""


class Line:
    """How we call others.

    Parameters
    ----------
    ae_title
        Ours.
    tls
        See `ClientArguments`.
    """

    def __init__(self, ae_title: str, tls: ClientArguments = plain) -> None:
        self._ae_title = ae_title
        self._tls = tls

    @contextmanager
    def call(
        self, destination: Destination, sop_class_uid: str, *, as_scp: bool = False, handlers: tuple[Handler, ...] = ()
    ) -> Iterator["Association"]:
        """Open an association for one SOP class and release it in the end.

        Parameters
        ----------
        as_scp
            Propose that we are the provider: so the answer comes to whoever asked (PS3.4 J.3.3).
        handlers
            What answers requests of the peer meanwhile.

        Raises
        ------
        NotTold
            The peer can't be reached, refuses us, or does not take this SOP class.
        """
        from pynetdicom import AE, build_context, build_role

        from ingest.node.requesting import associate

        entity = AE(ae_title=self._ae_title)
        entity.connection_timeout = _CONNECT_S
        entity.acse_timeout = _CONNECT_S
        entity.dimse_timeout = _ANSWER_S
        roles: list[Any] = [build_role(sop_class_uid, scu_role=False, scp_role=True)] if as_scp else []
        try:
            secured = self._tls(destination)
        except BadTls as error:
            raise NotTold(str(error)) from error
        association = associate(
            entity,
            (destination.host, destination.port),
            ae_title=destination.aet,
            contexts=[build_context(sop_class_uid, [EXPLICIT_LITTLE, IMPLICIT_LITTLE])],
            negotiation=roles,
            handlers=list(handlers),
            tls=secured,
        )
        if not association.is_established:
            raise NotTold(f"{destination.aet} at {destination.host}:{destination.port} {_why_not(association)}")
        try:
            yield association
        finally:
            if association.is_established:
                association.release()


def syntax_of(association: "Association", sop_class_uid: str) -> str:
    """Return the transfer syntax agreed on for a SOP class; raises `NotTold` if there is none."""
    for context in association.accepted_contexts:
        if context.abstract_syntax == sop_class_uid:
            return str(context.transfer_syntax[0])
    raise NotTold("The peer does not take this SOP class on this association")


def status_of(answer: Any) -> int:
    """Return the status a peer answered; raises `NotTold` if it did not."""
    if "Status" not in answer:
        raise NotTold("The peer did not answer")
    return int(answer.Status)


def _why_not(association: "Association") -> str:
    if association.is_rejected:
        return "refuses the association: it does not know our title or its own, or takes no more"
    if association.is_aborted:
        return "can't be reached, breaks the association off, or takes none of our messages"
    return "does not answer, or takes none of our messages"
