"""Verification (PS3.4 Annex A): the answer that we are here."""

from collections.abc import Iterable
from typing import Final

from pynetdicom import evt

from ingest.service import Context, Handler
from ingest.status import StatusClass

VERIFICATION: Final = "1.2.840.10008.1.1"


class VerificationService:
    """Answers C-ECHO."""

    def contexts(self) -> Iterable[Context]:
        """Return the one context of this service."""
        return (Context(abstract_syntax=VERIFICATION),)

    def handlers(self) -> Iterable[Handler]:
        """Return what answers C-ECHO."""
        return ((evt.EVT_C_ECHO, _here),)


def _here(_event: evt.Event) -> int:
    return StatusClass.SUCCESS
