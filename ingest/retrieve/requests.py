"""A retrieve request as it came: C-MOVE or C-GET, in which model, by whom, and what it asks for."""

from dataclasses import dataclass
from io import BytesIO
from typing import Final

from pynetdicom.presentation import PresentationContext

from ingest.errors import BadIdentifier
from ingest.node.wire import Command, CommandKind, Field
from ingest.retrieve.identifier import Root, Wanted
from ingest.service import NATIVE_SYNTAXES, Context

MOVE_CLASSES: Final = {"1.2.840.10008.5.1.4.1.2.1.2": Root.PATIENT, "1.2.840.10008.5.1.4.1.2.2.2": Root.STUDY}
"""Query/Retrieve Information Model - MOVE (PS3.4 table C.6-1 and following)."""
GET_CLASSES: Final = {"1.2.840.10008.5.1.4.1.2.1.3": Root.PATIENT, "1.2.840.10008.5.1.4.1.2.2.3": Root.STUDY}
"""Query/Retrieve Information Model - GET."""

_ANSWERED: Final = {CommandKind.C_MOVE_RQ: CommandKind.C_MOVE_RSP, CommandKind.C_GET_RQ: CommandKind.C_GET_RSP}
_CLASSES: Final = {CommandKind.C_MOVE_RQ: MOVE_CLASSES, CommandKind.C_GET_RQ: GET_CLASSES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request.

    Parameters
    ----------
    calling, address
        Who asks, and from where.
    destination
        Move Destination; empty for C-GET.
    """

    kind: CommandKind
    context_id: int
    message_id: int
    sop_class_uid: str
    transfer_syntax_uid: str
    root: Root
    calling: str
    address: str
    destination: str = ""

    @classmethod
    def of(cls, command: Command, context: PresentationContext, *, calling: str, address: str) -> "Request | None":
        """Read it from a command set; None if it is no retrieve request, or not of this context.

        Raises
        ------
        BadMessage
            A value in it can't be read.
        """
        kinds = {int(kind): kind for kind in _CLASSES}
        kind, message_id = kinds.get(command.kind or 0), command.number(Field.MESSAGE_ID)
        if kind is None or message_id is None or not command.has_data_set:
            return None
        root = _CLASSES[kind].get(str(context.abstract_syntax))
        if root is None:
            return None
        return cls(
            kind=kind,
            context_id=context.context_id or 0,
            message_id=message_id,
            sop_class_uid=str(context.abstract_syntax),
            transfer_syntax_uid=str(context.transfer_syntax[0]),
            root=root,
            calling=calling,
            address=address,
            destination=command.text(Field.MOVE_DESTINATION),
        )

    @property
    def answered_as(self) -> CommandKind:
        """Command Field of its responses."""
        return _ANSWERED[self.kind]

    @property
    def name(self) -> str:
        """``C-MOVE`` or ``C-GET``."""
        return self.kind.name.removesuffix("_RQ").replace("_", "-")

    def wanted(self, identifier: bytes) -> Wanted:
        """Return what is asked for.

        Raises
        ------
        BadIdentifier
            It can't be read, or does not say what is wanted.
        """
        from pydicom.uid import UID
        from pynetdicom.dsutils import decode

        syntax = UID(self.transfer_syntax_uid)
        try:
            dataset = decode(BytesIO(identifier), syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
            return Wanted.of(dataset, self.root)
        except BadIdentifier:
            raise
        except Exception as error:  # pydicom raises whatever it stumbles over
            raise BadIdentifier(f"The identifier can't be read: {error}") from error

    def failed_list(self, uids: list[str]) -> bytes:
        """Return the identifier of a response: Failed SOP Instance UID List (0008,0058)."""
        from pydicom import Dataset
        from pydicom.uid import UID
        from pynetdicom.dsutils import encode

        syntax = UID(self.transfer_syntax_uid)
        dataset = Dataset()
        dataset.FailedSOPInstanceUIDList = uids
        encoded = encode(dataset, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
        return encoded or b""


def contexts() -> tuple[Context, ...]:
    """Return what is negotiated for retrieving."""
    classes = (*MOVE_CLASSES, *GET_CLASSES)
    return tuple(Context(abstract_syntax=one, transfer_syntaxes=NATIVE_SYNTAXES) for one in classes)
