"""The Storage Commitment Push Model (PS3.4 Annex J) on the node: takes requests, and the answers to our own."""

from collections.abc import Callable, Iterable
from datetime import datetime
from io import BytesIO
from typing import Any, Final
from weakref import WeakKeyDictionary

import structlog
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_ACTION_RSP

from ingest.commitment.asking import Answers
from ingest.commitment.errors import BadRequest
from ingest.commitment.references import read_message
from ingest.commitment.telling import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, SameAssociation
from ingest.commitment.transactions import Asked, Transactions
from ingest.errors import IngestError, TooLarge, TooMany
from ingest.service import Context, Handler
from ingest.status import StatusClass, error_comment
from storage.errors import StorageError

REQUEST_COMMITMENT: Final = 1

NO_SUCH_INSTANCE: Final = 0x0112
NO_SUCH_ARGUMENT: Final = 0x0114
INVALID_ARGUMENT: Final = 0x0115
NO_SUCH_CLASS: Final = 0x0118
NO_SUCH_ACTION: Final = 0x0123
RESOURCE_LIMITATION: Final = 0x0213
_LOG = structlog.get_logger(__name__)


class CommitmentService:
    """Answers N-ACTION and N-EVENT-REPORT.

    Parameters
    ----------
    transactions
        Where requests are kept; accepted is what is durable there.
    same_association
        Tells requestors that wait.
    answers
        Takes the answers to our own requests.
    node
        Id of this node.
    """

    def __init__(
        self,
        transactions: Transactions,
        same_association: SameAssociation,
        answers: Answers,
        *,
        node: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._transactions = transactions
        self._answers = answers
        self._same_association = same_association
        self._taken: WeakKeyDictionary[Association, str] = WeakKeyDictionary()
        self._node = node
        self._clock = clock

    def contexts(self) -> Iterable[Context]:
        """Return the one context of this service."""
        return (Context(abstract_syntax=STORAGE_COMMITMENT, peer_may_provide=True),)

    def handlers(self) -> Iterable[Handler]:
        """Return what answers N-ACTION, and takes the answers to what we asked."""
        return (
            (evt.EVT_N_ACTION, self.on_n_action),
            (evt.EVT_DIMSE_SENT, self.on_sent),
            (evt.EVT_N_EVENT_REPORT, self._answers.on_n_event_report),
        )

    def on_n_action(self, event: evt.Event) -> tuple[Dataset, None]:
        """Take one request and answer whether it is kept."""
        try:
            asked = self._take(event)
        except BadRequest as error:
            _LOG.warning("commitment.refused", code=error.code, association=event.assoc.name)
            return _answer(error.dimse_status, error_comment(error.code, str(error))), None
        except (TooMany, TooLarge) as error:
            return _answer(RESOURCE_LIMITATION, error_comment(error.code, str(error))), None
        except IngestError as error:
            return _answer(INVALID_ARGUMENT, error_comment(error.code, str(error))), None
        except StorageError as error:
            _LOG.error("commitment.not_kept", code=error.code, error=str(error))
            return _answer(StatusClass.PROCESSING_FAILURE, error_comment(error.code, str(error))), None
        self._taken[event.assoc] = asked.id
        return _answer(StatusClass.SUCCESS), None

    def on_sent(self, event: evt.Event) -> None:
        """Begin to wait for the answer once the requestor was told that its request is taken, never before."""
        if isinstance(event.message, N_ACTION_RSP):
            identity = self._taken.pop(event.assoc, None)
            if identity is not None:
                self._same_association.watch(identity, event.assoc)

    def _take(self, event: evt.Event) -> Asked:
        request: Any = event.request
        _check_command(request)
        information = request.ActionInformation or BytesIO()
        information.seek(0)
        message = read_message(information, str(event.context.transfer_syntax))
        if not message.transaction_uid:
            raise BadRequest("The request has no Transaction UID", dimse_status=NO_SUCH_ARGUMENT)
        if not message.references:
            raise BadRequest("The request names no instance", dimse_status=NO_SUCH_ARGUMENT)
        requestor = event.assoc.requestor
        primitive = requestor.primitive
        asked = Asked(
            transaction_uid=message.transaction_uid,
            requestor=requestor.ae_title.strip(),
            called=primitive.called_ae_title.strip() if primitive is not None else "",
            address=requestor.address or "",
            node=self._node,
            received_at=self._clock(),
            count=len(message.references),
        )
        self._transactions.record(asked, message.references)
        return asked


def _check_command(request: Any) -> None:
    if str(request.RequestedSOPClassUID) != STORAGE_COMMITMENT:
        raise BadRequest("This SOP class can't be asked for commitment", dimse_status=NO_SUCH_CLASS)
    if str(request.RequestedSOPInstanceUID) != STORAGE_COMMITMENT_INSTANCE:
        raise BadRequest("This is not the instance that commits", dimse_status=NO_SUCH_INSTANCE)
    if request.ActionTypeID != REQUEST_COMMITMENT:
        raise BadRequest(f"There is no action {request.ActionTypeID}", dimse_status=NO_SUCH_ACTION)


def _answer(status: int, comment: str = "") -> Dataset:
    answer = Dataset()
    answer.Status = int(status)
    if comment:
        answer.ErrorComment = comment
    return answer
