"""Who the sample patients are, and how every identifier is derived from a fixed name."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

_NAMESPACE = "lastgate-sample/1"


def uid_for(*names: str) -> UID:
    """UID of the thing with these names: always the same, ``2.25.`` and a UUID, PS3.5 2026c B.2.

    The UUID is of version 8 (RFC 9562, free form), its bits are the SHA-256 of the names.
    """
    digest = bytearray(hashlib.sha256("/".join((_NAMESPACE, *names)).encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return UID(f"2.25.{uuid.UUID(bytes=bytes(digest)).int}")


IMPLEMENTATION_CLASS_UID = uid_for("implementation")
IMPLEMENTATION_VERSION = "LASTGATE_SAMPLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A fictional patient.

    Parameters
    ----------
    patient_id, issuer
        Patient ID and who gave it; ``issuer`` is ``None`` where the objects don't say.
    name
        Person Name with all its groups.
    birth_date
        YYYYMMDD.
    sex
        F, M or O.
    character_set
        Specific Character Set of all objects of this patient.
    implicit_vr
        Whether the objects are written in Implicit VR Little Endian, as some planning systems do.
    """

    patient_id: str
    issuer: str | None
    name: str
    birth_date: str
    sex: str
    character_set: str
    implicit_vr: bool = False

    @property
    def transfer_syntax(self) -> UID:
        """Transfer syntax of the patient's files."""
        return ImplicitVRLittleEndian if self.implicit_vr else ExplicitVRLittleEndian

    def in_own_script(self, chinese: str, latin: str) -> str:
        """The Chinese text where the character set can hold it."""
        return latin if self.character_set == "ISO_IR 100" else chinese
