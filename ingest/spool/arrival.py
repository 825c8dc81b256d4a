"""What the spool keeps of everything that came in, beside its bytes."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from archive.facts.receipts import Source
from archive.headers import Identifier
from ingest.dataset.names import Names


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why something could not be understood.

    Parameters
    ----------
    code
        Stable, see `ingest.errors`.
    message, hint
        What is wrong and what to do, for people.
    status
        The DIMSE status the sender was answered.
    """

    code: str
    message: str
    hint: str
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One thing that came in and whose bytes are safe in the spool.

    Parameters
    ----------
    kind
        ``dicom``, ``document`` (a file of a named patient) or ``refused`` (goes to quarantine).
    received_at
        Aware UTC.
    batch
        Receipts of one batch and patient are written together: an association, an import.
    file_sha256, size_bytes
        Digest (hex) and length of the bytes in the spool.
    issuer
        Issuer of the patient identifier, where the data set names none.
    character_set
        Specific Character Set of the data set, where it declares none; empty if that is not known.
    names
        Which instance it says it is, as far as known.
    dataset_offset, transfer_syntax_uid, dataset_sha256, content_sha256
        Of a data set, see `ingest.dataset.walker.Walked`. What comes from the network has its two digests only once the
        filer has read it (`ingest.filing.instance`): the sender does not wait for them.
    implementation_class_uid
        From the file meta group of an imported file.
    patient, title
        Of a document.
    refusal
        Of a refused thing.
    flags
        Oddities that are no damage.
    """

    kind: Literal["dicom", "document", "refused"]
    received_at: datetime
    source: Source
    batch: str
    file_sha256: str
    size_bytes: int
    issuer: str = ""
    character_set: str = ""
    names: Names = field(default_factory=Names)
    dataset_offset: int = 0
    transfer_syntax_uid: str = ""
    dataset_sha256: str = ""
    content_sha256: str | None = None
    implementation_class_uid: str = ""
    patient: Identifier | None = None
    title: str = ""
    refusal: Refusal | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the filer did with an arrival.

    Parameters
    ----------
    disposition
        ``stored``, ``duplicate`` (the same data set again), ``variant`` (the same content, written down
        otherwise), ``conflict`` (same SOP Instance UID, other content; both are kept), ``quarantined``,
        or ``lost`` (its bytes are gone from the spool: a disk or a person took them).
    reason
        In plain words, empty if it was simply stored.
    key
        Where the bytes lie.
    """

    disposition: Literal["stored", "duplicate", "variant", "conflict", "quarantined", "lost"]
    reason: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An arrival in the spool of one worker: its number in that journal, its file, what is known of it."""

    number: int
    path: Path
    arrival: Arrival


ARRIVAL = TypeAdapter(Arrival)
OUTCOME = TypeAdapter(Outcome)
