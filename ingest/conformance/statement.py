"""The text of the conformance statement, in the order of the template of PS3.2."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ingest.commitment.evidence import Reason
from ingest.commitment.references import MOST_REFERENCES
from ingest.commitment.settings import CommitmentSettings
from ingest.commitment.telling import STORAGE_COMMITMENT
from ingest.conformance import tables
from ingest.conformance.querying import querying, retrieving
from ingest.dataset.part10 import IMPLEMENTATION_CLASS_UID
from ingest.node.settings import NodeSettings
from ingest.peers.tls import CIPHERS
from ingest.service import Context
from ingest.status import StatusClass

IMPLEMENTATION_VERSION: Final = "LASTGATE"
_FIND: Final = "1.2.840.10008.5.1.4.1.2.1.1"
_MOVE: Final = "1.2.840.10008.5.1.4.1.2.1.2"
_MPPS: Final = "1.2.840.10008.3.1.2.3.3"

_LIMITS: Final = {
    "associations": "Associations at once (setting `node.most_associations`)",
    "pdu_bytes": "Longest PDU we ask for, in bytes",
    "guard_bytes": "Longest PDU that is read, in bytes",
    "pdu_deadline_s": "Seconds within which a PDU that has begun must be there whole",
    "negotiation_s": "Seconds within which a peer that connected must ask for an association",
    "idle_s": "Seconds of silence after which an association is ended",
    "object_bytes": "Longest instance, in bytes",
}

_EXTENDED: Final = (
    (
        "SCP/SCU role selection",
        "Answered for classes that are accepted. For storage the peer may be provider as well if its rule allows it "
        "C-GET; for Storage Commitment it may be provider, so that it can report on what we asked for",
    ),
    (
        "User identity",
        "Types 1 to 5 are recorded; a positive response is given to types 1 and 2. Nothing is checked: certificates "
        "tell who a peer is",
    ),
    ("Asynchronous operations window", "One operation"),
    ("SOP class common extended", "Taken note of"),
)

_PROFILES: Final = (
    (
        "TLS by BCP 195 (PS3.15 B.12, B.13)",
        "Both directions; TLS 1.2 and 1.3, nothing older; authorities of the site only",
    ),
    ("Cipher suites of TLS 1.2, in OpenSSL's words", f"`{CIPHERS}`"),
    ("Client certificates", "Asked for by default (`node.tls.clients`); rules bind a title to certificates"),
    ("User identity", "Recorded with each receipt; nobody is authenticated by it"),
    (
        "Audit trail",
        "The program's own hash-chained journal; `lastgate journal --format dicom` writes it as messages of PS3.15 A.5,"
        " and sends none by itself",
    ),
    ("Media, digital signatures, de-identification", "None of the DICOM profiles"),
)


def statement(offered: Iterable[Context], *, version: str) -> str:
    """Return the conformance statement in Markdown.

    Parameters
    ----------
    offered
        What the services of the node offer beside storage.
    version
        Of the program.
    """
    contexts = tuple(offered)
    classes = {context.abstract_syntax for context in contexts}
    parts: list[tuple[bool, Callable[[], str]]] = [
        (True, lambda: _overview(contexts, version)),
        (True, _introduction),
        (True, _associations),
        (True, _storage),
        (STORAGE_COMMITMENT in classes, _commitment),
        (_MPPS in classes, _procedure_steps),
        (_FIND in classes, querying),
        (_MOVE in classes, retrieving),
        (True, _characters),
        (True, _security),
        (True, _annexes),
    ]
    return "\n\n".join(part() for is_offered, part in parts if is_offered) + "\n"


def _overview(contexts: Sequence[Context], version: str) -> str:
    return f"""# DICOM conformance statement

Lastgate {version}. Printed by `lastgate conformance` from the tables the node works with; a test negotiates all
of it with a running node. Structure after PS3.2.

## Overview

Lastgate is a long-term archive of radiotherapy records. Its DICOM node takes instances of every storage class
in every transfer syntax and keeps them byte for byte as they came over the wire.

As user (SCU) Lastgate stores at other systems (C-STORE, every class it holds), asks them for Storage
Commitment, and calls requestors of Storage Commitment with their answer, and tells those that want it what was filed
(Instance Availability Notification, 1.2.840.10008.5.1.4.33, setting `node.notify`).

As provider (SCP), beside the [storage classes](#storage):

{tables.table(("SOP class", "UID", "our role", "transfer syntaxes, in our order"), tables.services(contexts))}

Media interchange, printing, worklists and procedure step services other than those above are not offered."""


def _introduction() -> str:
    return """## Introduction

For administrators of the archive and of the systems around it. Terms are those of DICOM; AE is the application
entity, SCU the user and SCP the provider of a service. That two systems conform does not prove that they work
together: try them. What Lastgate says of its statuses and limits holds for default settings; which can be set
stands in [administrator.md](administrator.md)."""


def _associations() -> str:
    limits = tables.limits(NodeSettings(), _LIMITS)
    return f"""## Networking

One application entity, `LASTGATE` by default (setting `node.aet`), on TCP port 11112 (`node.port`) and, with
TLS, on 2762 (`node.tls.port`). It accepts associations; it asks for associations of its own to store, to ask
for commitment and to report commitment. Which systems may call, how and for what is said by rules for each of
them (`node.peers`).

| what | value |
| --- | --- |
| Application context | 1.2.840.10008.3.1.1.1 |
| Implementation Class UID | {IMPLEMENTATION_CLASS_UID} |
| Implementation Version Name | {IMPLEMENTATION_VERSION} |
| Asynchronous operations | not offered: one operation at a time |
| Called AE title | checked if `node.require_called_aet` is set, or a rule names titles |

{tables.table(("limit", "default"), limits)}

### Presentation contexts

Each context is decided on by itself. Of a storage class the first transfer syntax the peer proposes is taken,
but for a few that are taken only where it proposes nothing else ([list](#transfer-syntaxes-of-storage)). Of
other classes the first of our order that the peer proposes is taken.

| result | when |
| --- | --- |
| 0 acceptance | A storage class (also one nobody knows), or one of the classes of the overview, allowed to this peer |
| 1 user rejection | The rule of the peer does not allow it this class, or not in the role it proposes |
| 3 abstract syntax not supported | A standard class of a service that is not offered |
| 4 transfer syntaxes not supported | None of the transfer syntaxes of the overview is proposed |

### Extended negotiation

{tables.table(("item", "answer"), _EXTENDED)}

### Rejections of an association

{tables.table(("result", "source", "reason", "meaning", "code"), tables.refusals())}"""


def _storage() -> str:
    classes, syntaxes = tables.storage_classes(), tables.transfer_syntaxes()
    codes = tables.table(("status", "meaning"), tables.statuses(StatusClass))
    return f"""## Storage

Service of level 2 (full): every element is kept, private ones too, and nothing is coerced. `0000` is answered
only after the data set and its record are durable on the node's disk. The data set is walked strictly before
that: one that is damaged is answered `C000`, one that is not the instance the command announced `A900`; both
are kept in quarantine.

The same SOP Instance UID with the same data set again: `0000`, one copy. With another data set: `0000`, both
are kept, and the conflict is shown to people; Storage Commitment fails for it.

{codes}

`B000`, `B006` and `B007` are never answered. The Error Comment (0000,0902) holds a code of
[administrator.md](administrator.md#error-codes) and the reason.

### Storage SOP classes

These, every private class, and every class that is not in this list because it is younger: {len(classes)}
classes.

{tables.table(("SOP class", "UID", "standing"), classes)}

### Transfer syntaxes of storage

These for each storage class, and every private one: {len(syntaxes)} transfer syntaxes.

{tables.table(("transfer syntax", "UID", "preference", "standing"), syntaxes)}

### Storing at others

Lastgate proposes the class of each instance with the transfer syntax it is kept in, and native ones where it
can convert. Success and warnings (Bxxx) count as stored; everything else is told to the user, and a queued send
is tried again."""


def _commitment() -> str:
    settings = CommitmentSettings()
    codes = (
        ("`0000`", "The request is kept durably"),
        ("`0110`", "It could not be kept: ask again"),
        ("`0112`", "Not the well-known instance 1.2.840.10008.1.20.1.1"),
        ("`0114`", "No Transaction UID, or no instance is named"),
        ("`0115`", "The Action Information is damaged"),
        ("`0118`", "Not this SOP class"),
        ("`0123`", "Not action 1"),
        ("`0131`", "This requestor has used this Transaction UID already"),
        ("`0213`", f"More than {MOST_REFERENCES:,} instances"),
    )
    reasons = {
        Reason.PROCESSING_FAILURE: "A copy is damaged or missing; there is a conflict; or it was not filed in time",
        Reason.NO_SUCH_INSTANCE: "Nobody knows the instance",
        Reason.CLASS_CONFLICT: "The instance is of another SOP class",
    }
    failed = [(f"`{reason:04X}`", meaning) for reason, meaning in reasons.items()]
    return f"""## Storage Commitment

Push model (1.2.840.10008.1.20.1), as provider and as user.

As **provider**: an instance is committed to if a receipt names it, its SOP class is the one asked for, it is in
no conflict, and every copy the archive must have of it (intake; vault once its dossier is sealed) was read back
to its end after the request and has the SHA-256 of the receipt. At least {settings.least_copies} copy must
stand for itself; the spool's copy does not count. What is in the spool and not filed yet is waited for, for
{settings.fails_after.total_seconds() / 3600:.0f} hours at most; what nobody knows fails after
{settings.unknown_after.total_seconds() / 60:.0f} minutes, once the receipts of all patients were searched.

{tables.table(("N-ACTION status", "meaning"), codes)}

N-EVENT-REPORT, event 1 (all committed) or 2 (failures exist), comes over the association of the request if that
is open when the result is known. If it was not taken there within
{settings.same_association.total_seconds():.0f} seconds, the requestor is called at host and port of its rule,
with role selection as provider, again and again for
{settings.gives_up_after.days} days. A Transaction UID stays taken for {settings.kept_for.days} days after that.
Storage Media File-Set ID, Retrieve AE Title and references to procedure steps are not used.

{tables.table(("Failure Reason (0008,1197)", "meaning"), failed)}

As **user** (`lastgate send --commit`): the request goes over an association of its own, which stays open for
ten seconds for the report. A later one is taken on any association of a peer that proposes to be provider. The
first report counts, and only instances it names as committed are. Statuses of our answer: `0000`; `0113` for
another event than 1 and 2; `0115` if it is damaged, or about a transaction that is not ours; `0110` if it could
not be kept."""


def _procedure_steps() -> str:
    from ingest.procedures.service import StepAnswer

    codes = tables.table(("status", "meaning"), tables.statuses(StepAnswer))
    return f"""## Modality Performed Procedure Step

As provider of N-CREATE and N-SET. A step is kept as the modality tells it, durably before it is answered, and
shown by `lastgate procedure-steps`. It must begin `IN PROGRESS` and say its ID, start date and modality. A
change replaces whole elements of the top level. A step that is `COMPLETED` or `DISCONTINUED` can't be changed:
`0110` with Error ID `A710`. Dossiers are made of instances alone, never of steps; nothing is forwarded.

{codes}"""


def _characters() -> str:
    from pydicom.charset import python_encoding

    names = ", ".join(f"`{name}`" for name in sorted(filter(None, python_encoding)))
    return f"""## Character sets

Data sets are kept as they are, whatever they declare. For index and pages these are decoded: {names}. Text that
is not of the character set it declares, or declares none, is tried as UTF-8 and GB 18030 (or as the rule of the
sender says), and flagged. What the node itself writes into messages is ASCII, but for answers to queries."""


def _security() -> str:
    return f"""## Security

{tables.table(("profile", "support"), _PROFILES)}"""


def _annexes() -> str:
    return """## Annexes

**IOD contents.** Instances are not created, changed or coerced, but for those `lastgate composite` writes as
files. **Private attributes** of others are kept; we define none. **Coded terminology and templates**: not used.
**Standard extended, specialized and private SOP classes**: none of our own. **Private transfer syntaxes**: none
of our own."""
