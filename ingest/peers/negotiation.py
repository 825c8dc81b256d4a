"""Negotiating an association as its acceptor (PS3.7 D.3, PS3.8 7.1): pynetdicom's ACSE, with a porter at the door."""

from typing import Final

from pynetdicom import evt
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE, UserIdentityNegotiation

from archive.facts.receipts import Source
from ingest.errors import PeerRefused
from ingest.peers.contexts import Answer, agree
from ingest.peers.identity import certificate_of, readable, user_of
from ingest.peers.porter import Admission, Porter, Visitor

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
"""That of DICOM, the only one there is (PS3.7 Annex A)."""

_OTHER_APPLICATION: Final = (1, 1, 2)  # PS3.8 9.3.4: permanent, service user, application context not supported
_ONE_AT_A_TIME: Final = (1, 1)


class Negotiation(ACSE):
    """Negotiates associations that are asked for, as the porter says; those we ask for as pynetdicom does.

    Attributes
    ----------
    admission
        What holds for the association; None before it was let in.
    """

    def __init__(self, association: Association, porter: Porter) -> None:
        super().__init__(association)
        self.admission: Admission | None = None
        self._porter = porter

    def negotiate_association(self) -> None:
        """Let the association in or reject it, and decide on its presentation contexts."""
        request = self.requestor.primitive
        if self.assoc.is_requestor or not isinstance(request, A_ASSOCIATE):
            super().negotiate_association()
            return
        self.requestor.ae_title = request.calling_ae_title
        if request.application_context_name != APPLICATION_CONTEXT:
            self._reject(_OTHER_APPLICATION)
            return
        try:
            self.admission = self._porter.admit(self._visitor(request), _Guest(self.assoc))
        except PeerRefused as error:
            self._reject(error.rejection)
            return
        self._accept(request, self.admission)

    def _reject(self, rejection: tuple[int, int, int]) -> None:
        self.send_reject(*rejection)
        evt.trigger(self.assoc, evt.EVT_REJECTED, {})
        self.assoc.kill()

    def _visitor(self, request: A_ASSOCIATE) -> Visitor:
        connection = self.assoc.dul.socket
        return Visitor(
            calling=readable(request.calling_ae_title),
            called=readable(request.called_ae_title),
            address=self.requestor.address or "",
            certificate=certificate_of(connection and connection.socket),
            user=user_of(self.requestor.user_identity),
        )

    def _accept(self, request: A_ASSOCIATE, admission: Admission) -> None:
        self._answer_extended()
        roles = {str(uid): (item.scu_role, item.scp_role) for uid, item in self.requestor.role_selection.items()}
        agreement = agree(
            request.presentation_context_definition_list, roles, rule=admission.rule, offered=self._porter.offered
        )
        self._porter.told_of(agreement, admission)
        accepted = [one for one in agreement.contexts if one.result == Answer.ACCEPTED]
        self.assoc._accepted_cx = {one.context_id: one for one in accepted if one.context_id is not None}
        self.assoc._rejected_cx = [one for one in agreement.contexts if one.result != Answer.ACCEPTED]
        for role in agreement.roles:
            self.acceptor.add_negotiation_item(role)
        self.send_accept()
        evt.trigger(self.assoc, evt.EVT_ACCEPTED, {})
        self.assoc.is_established = True
        evt.trigger(self.assoc, evt.EVT_ESTABLISHED, {})

    def _answer_extended(self) -> None:
        """Answer the rest of extended negotiation, the services' own by the handlers they bound."""
        if user_of(self.requestor.user_identity).can_be_answered:
            confirmed = UserIdentityNegotiation()
            confirmed.server_response = b""
            self.acceptor.add_negotiation_item(confirmed)
        for item in self._check_sop_class_extended():
            self.acceptor.add_negotiation_item(item)
        self.acceptor._common_ext = self._check_sop_class_common_extended()
        if self.requestor.asynchronous_operations != _ONE_AT_A_TIME:
            window = self._check_async_ops()
            if window:
                self.acceptor.add_negotiation_item(window)


class _Guest:
    """An association as the porter counts it."""

    def __init__(self, association: Association) -> None:
        self._association = association

    def is_alive(self) -> bool:
        return self._association.is_alive()

    @property
    def is_over(self) -> bool:
        one = self._association
        return one.is_released or one.is_aborted or one.is_rejected


def admission_of(association: Association) -> Admission:
    """Return what holds for an association that was let in: the rule of the peer, and what receipts say of it."""
    acse = association.acse
    if isinstance(acse, Negotiation) and acse.admission is not None:
        return acse.admission
    raise PeerRefused(f"The association {association.name} was not let in")


def source_of(association: Association) -> Source:
    """Return what receipts say of the peer of an association."""
    return admission_of(association).source
