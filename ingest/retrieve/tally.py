"""Counting the sub-operations of a retrieve, and the responses that tell of them (PS3.4 C.4.2.1.5, PS3.7 9.1.4)."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from ingest.node.wire import NO_DATA_SET, CommandKind, Field, Value, encode_command
from ingest.retrieve.outgoing import Sent

_MOST_COUNTED: Final = 0xFFFF
_LIST_BYTES: Final = 0xFFFE
_COMMENT_CHARACTERS: Final = 64


class Status(IntEnum):
    """What a retrieve is answered (PS3.4 tables C.4-2 and C.4-3)."""

    SUCCESS = 0x0000
    NO_MATCHES_COUNTED = 0xA701
    NOT_PERFORMED = 0xA702
    UNKNOWN_DESTINATION = 0xA801
    BAD_IDENTIFIER = 0xA900
    SOME_FAILED = 0xB000
    CANCELLED = 0xFE00
    PENDING = 0xFF00


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of the sub-operations of one retrieve so far."""

    remaining: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_uids: list[str] = field(default_factory=list)

    def count(self, sent: Sent) -> None:
        """Count what became of one instance."""
        self.remaining -= 1
        if not sent.is_stored:
            self.failed += 1
            self.failed_uids.append(sent.parcel.sop_instance_uid)
        elif sent.is_warning:
            self.warning += 1
        else:
            self.completed += 1

    def fail_rest(self, uids: list[str]) -> None:
        """Count all that remain as failed."""
        self.failed += self.remaining
        self.remaining = 0
        self.failed_uids += uids

    @property
    def done(self) -> int:
        """How many are over."""
        return self.completed + self.failed + self.warning

    @property
    def final(self) -> Status:
        """What the retrieve is answered when all sub-operations are over."""
        if self.failed and not self.completed and not self.warning:
            return Status.NOT_PERFORMED
        return Status.SOME_FAILED if self.failed or self.warning else Status.SUCCESS

    def told(self) -> dict[str, int]:
        """Return the counts for the journal."""
        return {
            "remaining": self.remaining,
            "completed": self.completed,
            "failed": self.failed,
            "warning": self.warning,
        }

    def listed(self) -> list[str]:
        """Return as many failed UIDs as one element of explicit encoding holds: 64 KiB."""
        listed, size = [], 0
        for uid in self.failed_uids:
            size += len(uid) + 1
            if size > _LIST_BYTES:
                break
            listed.append(uid)
        return listed


def response(
    kind: CommandKind,
    status: Status,
    *,
    message_id: int,
    sop_class_uid: str,
    tally: Tally | None = None,
    comment: str = "",
    has_identifier: bool = False,
) -> bytes:
    """Return the command set of a C-MOVE or C-GET response.

    Counts beyond 65,535 are told as that: the elements hold no more. What
    remains is told while it is pending and after a cancel.
    """
    fields: dict[int, Value] = {
        Field.AFFECTED_SOP_CLASS_UID: sop_class_uid,
        Field.COMMAND_FIELD: kind,
        Field.MESSAGE_ID_RESPONDED_TO: message_id,
        Field.DATA_SET_TYPE: 0x0001 if has_identifier else NO_DATA_SET,
        Field.STATUS: status,
    }
    if comment:
        fields[Field.ERROR_COMMENT] = comment[:_COMMENT_CHARACTERS]
    if tally is not None:
        fields[Field.COMPLETED] = min(tally.completed, _MOST_COUNTED)
        fields[Field.FAILED] = min(tally.failed, _MOST_COUNTED)
        fields[Field.WARNING] = min(tally.warning, _MOST_COUNTED)
        if status in (Status.PENDING, Status.CANCELLED):
            fields[Field.REMAINING] = min(tally.remaining, _MOST_COUNTED)
    return encode_command(fields)
