"""Makes the plan of a seal: what goes into the vault, under which names, signed by whom."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from archive.answers import dossier_answer
from archive.dates import parse_date
from archive.errors import Refused, SealBroken
from archive.facts.decisions import DECISION, Decision, Paper
from archive.facts.receipts import RECEIPT, sharing
from archive.headers import InstanceKind
from archive.model import Dossier, DossierState, Held
from archive.signing.signing import SigningKey
from archive.signing.timestamps import Stamp
from archive.vault import ocfl, proof
from archive.vault.ocfl import ContentFile, Inventory
from archive.vault.vault import SealingPlan, SourceFile, seal_body

_ZONES = timedelta(days=1)
"""Days of treatment are the site's, a seal's is that of UTC."""

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def place_of(held: Held) -> str:
    """Return where an instance stands inside a sealed dossier.

    DICOM stands under its series and SOP Instance UID, anything else under
    its digest. What is no UID never becomes a path: the digest stands in.
    """
    header, digest = held.header, held.receipt.file_sha256
    if held.kind is InstanceKind.DOCUMENT and not header.sop_instance_uid:
        return f"documents/{digest}"
    return f"dicom/{_as_segment(header.series_uid) or 'no-series'}/{_as_segment(header.sop_instance_uid) or digest}.dcm"


def place_of_paper(paper: Paper) -> str:
    """Return where a paper of the released summary stands inside a sealed dossier."""
    return f"reports/summary-{paper.language}-{paper.audience}.pdf"


def _as_segment(uid: str) -> str:
    return uid if len(uid) <= 64 and _UID.fullmatch(uid) else ""


def sealing_plan(
    dossier: Dossier,
    decisions: Iterable[Decision],
    before: Inventory | None,
    *,
    account: str,
    role: str,
    made_at: datetime,
    heads: Mapping[str, Mapping[str, Any]],
    key: SigningKey,
) -> SealingPlan:
    """Return the finished plan of the next version of a dossier.

    Parameters
    ----------
    before
        Inventory of the version sealed last, None for the first.
    heads
        Signed heads of all journals at this moment.

    Raises
    ------
    Refused
        The dossier is not ready, nothing came since it was sealed, or the clock was set back.
    SealBroken
        The vault holds another version than the facts tell.
    """
    _refuse_unless_sealable(dossier)
    if (before["head"] if before else "v0") != f"v{dossier.version}":
        raise SealBroken(f"The facts tell of version {dossier.version}, the vault holds {before and before['head']}")
    _refuse_by_the_clock(dossier, before, made_at)
    version = dossier.version + 1
    held = (*dossier.instances, *dossier.late)
    new = held if before is None else dossier.late
    papers = dossier.released.what.papers if dossier.released else ()
    text = _dossier_json(dossier, held, papers, decisions, version)
    act = {"act": "seal", "account": account, "role": role, "made_at": made_at.isoformat()}
    body = seal_body(
        dossier=dossier.id,
        version=version,
        dossier_json=text,
        act=act,
        heads={node: head["hash"] for node, head in heads.items()},
    )
    seal = _json({**body, "signature": key.sign(body), "public_key": key.public_key})
    files = [_content_file(one) for one in held]
    files += [_paper_file(one) for one in papers]
    files += [_own_file("dossier.json", text), _own_file("seal.json", seal)]
    message = "Sealed" if before is None else f"Addendum of {len(new)} object(s)"
    inventory = ocfl.next_inventory(
        dossier.id, before, files, created=made_at.isoformat(), message=message, account=account
    )
    return SealingPlan(
        dossier=dossier.id,
        version=version,
        patient_key=dossier.patient_key,
        account=account,
        role=role,
        made_at=made_at,
        plan_uids=dossier.plan_uids,
        file_sha256s=tuple(one.receipt.file_sha256 for one in held),
        inventory=ocfl.encode(inventory).decode(),
        dossier_json=text.decode(),
        seal_json=seal.decode(),
        copies=(*(_source(one) for one in new), *(_paper_source(one) for one in papers)),
        paper_sha256s=tuple(one.sha256 for one in papers),
        rules=dossier.rules.number,
    )


def with_stamp(plan: SealingPlan, stamp: Stamp) -> SealingPlan:
    """Return the plan with what a time-stamping authority answered about its seal.json."""
    if not stamp.token:
        return replace(plan, timestamp_problem=stamp.problem)
    inventory = ocfl.with_file(json.loads(plan.inventory), _own_file(proof.STAMP, stamp.token))
    return replace(plan, inventory=ocfl.encode(inventory).decode(), timestamp=base64.b64encode(stamp.token).decode())


def _refuse_by_the_clock(dossier: Dossier, before: Inventory | None, made_at: datetime) -> None:
    """Refuse a seal that would be dated before what it seals: the node's clock was set back, or a record is wrong."""
    last = parse_date(dossier.last_fraction)
    if last is not None and made_at.date() + _ZONES < last:
        raise Refused(
            f"The node's clock says {made_at.date()}, and the last fraction was given on {last}",
            hint="Set the clock right, or have the date of the record corrected at the machine.",
        )
    if before is not None and made_at < datetime.fromisoformat(before["versions"][before["head"]]["created"]):
        raise Refused(
            f"The node's clock says {made_at:%Y-%m-%d %H:%M}, before version {before['head']} was sealed",
            hint="Set the clock right: a seal must not be dated before the one it follows.",
        )


def _refuse_unless_sealable(dossier: Dossier) -> None:
    if dossier.state is DossierState.DISPOSED:
        raise Refused("The dossier was disposed of", hint="What arrives anew of it becomes a new one.")
    if dossier.state is DossierState.OPEN:
        blocking = [finding.id for finding in dossier.findings if finding.blocks]
        raise Refused(
            f"The dossier is not ready: {len(blocking)} finding(s) hold it at the gate: {', '.join(blocking)}"
        )
    if dossier.state is DossierState.SEALED and not dossier.awaits_addendum:
        raise Refused("The dossier is sealed and nothing came since", hint="There is nothing to do.")


def _dossier_json(
    dossier: Dossier, held: Sequence[Held], papers: Sequence[Paper], decisions: Iterable[Decision], version: int
) -> bytes:
    body = {
        "format": "lastgate/dossier/1",
        **dossier_answer(dossier),
        "version": version,
        "state": DossierState.SEALED.value,
        "files": [
            {"path": place_of(one), "receipt": RECEIPT.dump_python(receipt, mode="json", exclude_defaults=True)}
            for one, receipt in zip(held, sharing(one.receipt for one in held), strict=True)
        ],
        "papers": [{"path": place_of_paper(one), "sha256": one.sha256} for one in papers],
        "decisions": [DECISION.dump_python(decision, mode="json") for decision in decisions],
    }
    return _json(body)


def _content_file(held: Held) -> ContentFile:
    receipt = held.receipt
    return ContentFile(
        path=place_of(held),
        sha512=receipt.file_sha512,
        sha256=receipt.file_sha256,
        size_bytes=receipt.size_bytes,
    )


def _paper_file(paper: Paper) -> ContentFile:
    return ContentFile(
        path=place_of_paper(paper), sha512=paper.sha512, sha256=paper.sha256, size_bytes=paper.size_bytes
    )


def _own_file(path: str, body: bytes) -> ContentFile:
    return ContentFile(
        path=path,
        sha512=hashlib.sha512(body).hexdigest(),
        sha256=hashlib.sha256(body).hexdigest(),
        size_bytes=len(body),
    )


def _source(held: Held) -> SourceFile:
    receipt = held.receipt
    return SourceFile(
        path=place_of(held), source_key=receipt.key, sha256=receipt.file_sha256, size_bytes=receipt.size_bytes
    )


def _paper_source(paper: Paper) -> SourceFile:
    return SourceFile(
        path=place_of_paper(paper), source_key=paper.key, sha256=paper.sha256, size_bytes=paper.size_bytes
    )


def _json(body: Mapping[str, object]) -> bytes:
    return (json.dumps(body, indent=1, ensure_ascii=False) + "\n").encode()
