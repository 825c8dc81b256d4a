"""What a DICOM peer is answered (PS3.4 Table B.2-1, PS3.7 Annex C): where errors become DIMSE status codes."""

from enum import IntEnum


class StatusClass(IntEnum):
    """DIMSE status codes this node answers a C-STORE with."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_SOP_CLASS = 0x0122
    NOT_AUTHORIZED = 0x0124
    OUT_OF_RESOURCES = 0xA700
    DOES_NOT_MATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000


_COMMENT_CHARACTERS = 64


def error_comment(code: str, message: str) -> str:
    """Return an Error Comment (0000,0902), LO, for the operator at the sending system (PS3.7 C.4.2)."""
    text = f"{code} {message}".encode("ascii", "replace").decode()
    return text.replace("\\", "/")[:_COMMENT_CHARACTERS]
