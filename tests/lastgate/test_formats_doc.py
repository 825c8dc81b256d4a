"""docs/formats.md is enough to read an archive without this program: examples, keys, and checks by hand."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import TypeAdapter

from archive import headers
from archive.desk.accounts import _BOOK
from archive.desk.releasing import Printed, Releasing
from archive.evidence import _EVIDENCE
from archive.facts.decisions import DECISION, Act, Close
from archive.facts.receipts import RECEIPT, PatientKey
from archive.headers import InstanceHeader
from archive.journal.journal import Event
from archive.model import Dossier
from archive.signing.keys import KeyRing
from archive.signing.signing import SigningKey
from archive.vault.audit import _CURSOR, KEY, Cursor, Round
from archive.vault.damage import _DAMAGE, DamageBook, stopped
from archive.vault.disposal import CERTIFICATE, Certificate, GoneFile, GoneSource, signed_certificate
from archive.vault.fact_checks import FirstSeen
from archive.vault.vault import _PLAN
from courses.answers import dvh_answer
from courses.composite import compose
from ingest.availability.notices import _NOTICE, Notice, Notices
from ingest.commitment.references import Failure, Reference
from ingest.commitment.requests import _REQUEST, OwnRequest, OwnRequests
from ingest.commitment.transactions import _ASKED, _END, _STATE, Asked, Stage, State, Transactions
from ingest.filing.quarantine import _NOTE
from ingest.peers import Destination
from ingest.procedures.steps import _STEP, Step, Steps
from ingest.retrieve.peer import Peer
from ingest.retrieve.queue import SEND, Refusal, SendQueue
from lastgate.checking import check_doses
from lastgate.keeping import _tidying
from lastgate.reception import take_in
from lastgate.sample import Department
from lastgate.sending import queue_dossier
from lastgate.settings import Settings
from lastgate.storing import PAIRED, paired
from lastgate.wiring import House, open_house, utc_now
from storage.mirrored.behind import FOLDER, Behind
from tests.courses.archived import answered
from tests.lastgate import pages

PAGE = pages.DOCS / "formats.md"
ROOMS = ("lastgate", "ingest", "reports", "courses", "search", "dose", "archive", "storage")
MODELS: dict[str, TypeAdapter[Any]] = {
    "receipt": RECEIPT,
    "decision": DECISION,
    "sealing": _PLAN,
    "quarantine": _NOTE,
    "accounts": _BOOK,
    "commitment": _ASKED,
    "commitment-state": _STATE,
    "commitment-closed": _END,
    "commitment-request": _REQUEST,
    "send": SEND,
    "procedure-step": _STEP,
    "availability": _NOTICE,
    "disposal": CERTIFICATE,
    "dose-evidence": _EVIDENCE,
    "damage": _DAMAGE,
    "audit": _CURSOR,
}
_FORMAT = re.compile(r"lastgate/([a-z-]+)/([0-9]+)")
_OF_A_MAP = frozenset(
    "journal_heads heads subject entries figures version_ids shared own sha256 packs requirements".split()  # noqa: SIM905
)
"""Their keys are names of nodes, paths and the like, not words of the format."""


@pytest.fixture(scope="module")
def archive(sample_department: Department, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """An archive with one sealed dossier, a signed and a refused thing."""
    home = tmp_path_factory.mktemp("documented")
    note = home / "note.txt"
    note.write_text("whose is this?\n", "utf-8")
    patient = next(one for one in sample_department.patients if one.patient_id == "SAMPLE-0003")
    with open_house(Settings(home=home / "node")) as house:
        take_in(house, [*patient.paths, note])
        check_doses(house)
        account = house.accounts.add("mei", "file-manager", "correct horse")
        key, found = house.dossier(_only(house))
        end = Close(plan_uids=(), outcome="completed", last_date=found.last_fraction)
        closed = house.desk.close(key, found.id, end, account=account)
        doctor = house.accounts.add("li", "doctor", "correct horse")
        paper = Printed(language="zh", audience="patient", pdf=b"%PDF")
        Releasing(desk=house.desk, shelf=house.papers).release(key, closed, [paper], number="N-1", account=doctor)
        house.desk.seal(key, found.id, account=account)
        house.journal.append(Event(act="print", account="mei", subject={"dossier": found.id}))
        _committed(house)
        _queued(house, found)
        _kept(house, key)
        _audited(house)
        house.journal.flush()
        yield house


def _kept(house: House, patient: PatientKey) -> None:
    """Leave behind a key that ended and was revoked, the certificate of a disposal, and a tidy intake."""
    ring, now = KeyRing(house.stores.work), utc_now()
    old = SigningKey.load_or_create(house.home / "keys" / "old.pem")
    ring.publish(old, node="node1", at=now)
    ended = ring.of_id(old.id)
    assert ended is not None
    ring.end(ended, by=house.key, account="adam", at=now)
    ring.revoke(old.id, since=now, reason="stolen", by=house.key, account="adam", made_at=now)
    certificate = Certificate(
        dossier="a" * 52,
        version=1,
        patient_key=patient,
        request=1,
        request_sha256="0" * 64,
        requested_by="rita",
        confirmed_by="rolf",
        reason="its term is over",
        kept_until=now.date(),
        made_at=now,
        node="node1",
        plan_uids=("1.2.3",),
        dossier_sha256s=("0" * 64,),
        files=(GoneFile(path="v1/content/dossier.json", sha256="0" * 64, sha512="0" * 128),),
        sources=(GoneSource(key=f"intake/dicom/00/{'0' * 64}", sha256="0" * 64, arrivals=1),),
    )
    disposals = house.vault.disposals
    settled = disposals.settle(signed_certificate(certificate, house.key), retain_until=None)
    disposals.carry_out(settled, arrivals=lambda _: 1)
    assert list(_tidying(house).sweep(before=now + timedelta(days=1)))


def _queued(house: House, dossier: Dossier) -> None:
    """Leave a queued send behind, part of which was refused."""
    queue = SendQueue(house.stores.work)
    told = queue_dossier(house, dossier, Peer(aet="TPS", host="127.0.0.1", port=104))
    waiting = queue.find(told["id"])
    assert waiting is not None
    refused = Refusal(uid="1.2.4", status=0xC000, reason="The peer answered C000")
    assert queue.save(waiting, replace(waiting.send, refused=(refused,)))


def _audited(house: House) -> None:
    """Leave behind what reading back leaves, and what a second store that is away does."""
    store, now = house.stores.work, utc_now()
    DamageBook(store).settle("repair", [stopped("3 copies were damaged in one run", found_at=now)])
    cursor = Cursor(now=Round(number=2, began_at=now), last=Round(number=1, began_at=now, ended_at=now))
    store.replace_if_match(KEY, _CURSOR.dump_json(cursor), expected=None)
    seen = FirstSeen(store, "00")
    seen.note("facts/00/00/r-n-00000000.jsonl", "00")
    seen.save()
    Behind(store, f"{FOLDER}work/").note("some/key")
    store.replace_if_match(PAIRED, paired("filesystem:/somewhere"), expected=None)


def _committed(house: House) -> None:
    """Leave two requests for commitment behind, one of them closed."""
    kept = Transactions(house.stores.work)
    asked = Asked(
        transaction_uid="1.2", requestor="CT", called="LASTGATE", address="", node="n", received_at=utc_now(), count=1
    )
    for one in (asked, replace(asked, transaction_uid="1.3")):
        kept.record(one, [Reference("1.2.3", "1.2.4")])
        found = kept.find(one.id)
        assert found is not None
        kept.put_failures(found, [Failure("1.2.3", "1.2.4", 0x0112)])
        stage: Stage = "told" if one is asked else "decided"
        assert kept.save(found, State(stage=stage, failed=1))
    peer, references = Destination(aet="PACS", host="h", port=104), (Reference("1.2.3", "1.2.4"),)
    own = OwnRequest(transaction_uid="2.25.1", peer=peer, asked_at=utc_now(), references=references)
    OwnRequests(house.stores.work).add(own)
    told: dict[str, Any] = {"00080060": {"vr": "CS", "Value": ["CT"]}}
    now = utc_now()
    step = Step(
        sop_instance_uid="1.2", modality="CT", status="IN PROGRESS", created_at=now, changed_at=now, attributes=told
    )
    assert Steps(house.stores.work).save(step, expected=None)
    Notices(house.stores.work).add(Notice(peer="PACS", receipts="facts/00/00/r-n-00000000.jsonl", filed_at=now))


def _only(house: House) -> str:
    (record,) = [house.desk.record(key) for key in house.facts.patients()]
    return record.dossiers[0].id


@pytest.fixture(scope="module")
def sealed(archive: House) -> Path:
    """The folder of the sealed dossier."""
    (declared,) = _store(archive).glob("vault/*/*/*/*/0=ocfl_object_1.1")
    return declared.parent


def _store(archive: House) -> Path:
    return archive.home / "archive"


def _real(archive: House) -> dict[str, list[Any]]:
    """Return what really was written, by kind of document."""
    found: dict[str, list[Any]] = {}
    for path in sorted(_store(archive).rglob("*")):
        is_ours = path.suffix in {".json", ".jsonl"} or ".lastgate/retention" in str(path)
        for document in pages.documents(path.read_text("utf-8")) if is_ours and path.is_file() else ():
            if "format" in document:
                found.setdefault(_kind(document), []).append(document)
            elif "/journal/" in str(path):
                found.setdefault("journal", []).append(document)
    record = archive.desk.record(next(iter(archive.facts.patients())))
    composed = compose(record, archive.reader)
    for document in (
        answered(composed, archive.reader),
        dvh_answer(composed, archive.reader, basis="delivered"),
    ):
        found[_kind(document)] = [json.loads(json.dumps(document))]
    return found


def _kind(document: dict[str, Any]) -> str:
    told = _FORMAT.fullmatch(document["format"])
    assert told, document["format"]
    return told[1]


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        inner = [_keys(one) for key, one in value.items() if key not in _OF_A_MAP]
        return set(value).union(*inner)
    return set().union(*map(_keys, value)) if isinstance(value, list) else set()


@cache
def _formats() -> dict[str, str]:
    """Return the formats that the code writes: section heading by kind."""
    sources = [path.read_text("utf-8") for room in ROOMS for path in (pages.ROOT / room).rglob("*.py")]
    return {told[1]: told[0] for source in sources for told in _FORMAT.finditer(source)}


def _section(kind: str) -> str:
    return pages.section(PAGE, _formats()[kind])


def _examples(kind: str) -> list[Any]:
    return [one for body in pages.blocks(_section(kind), "json") for one in pages.documents(body)]


def test_formats_when_the_code_writes_one_then_it_has_a_section_and_no_other_has() -> None:
    told = {heading for heading in pages.headings(PAGE) if heading.startswith("lastgate/")}
    assert told == set(_formats().values())
    assert len(told) > 10


@pytest.mark.parametrize("kind", sorted(_formats()))
def test_examples_when_read_then_they_are_documents_of_their_format(kind: str) -> None:
    first, *_ = _examples(kind)
    assert first["format"] == _formats()[kind]
    if kind in MODELS:
        MODELS[kind].validate_python(first)
    if kind == "dossier":
        assert [RECEIPT.validate_python(file["receipt"]) for file in first["files"]]
        assert [DECISION.validate_python(decision) for decision in first["decisions"]]


def test_examples_when_the_archive_writes_a_document_then_both_have_the_same_words(archive: House) -> None:
    for kind, real in _real(archive).items():
        # The receipts and decisions of a dossier have sections of their own.
        sections = ("dossier", "receipt", "decision") if kind == "dossier" else (kind,)
        explained = " ".join(span for one in sections for span in pages.spans(_section(one)))
        words = set(re.findall(r"[A-Za-z_0-9]+", explained)) | {"format", "hash"}
        keys = set().union(*map(_keys, real))
        assert keys <= words | _keys(_examples(kind)), kind
        if kind not in {"receipt", "decision", "journal"}:  # of these every line holds other keys
            assert _keys(_examples(kind)) <= keys | {"digests", "unknown", "picture", "report_pdf_en"}, kind


def test_examples_when_compared_with_the_archive_then_every_stored_format_is_really_met(archive: House) -> None:
    printed = {"demo", "demo-home", "deidentification", "registration", "registrations"}
    assert set(_real(archive)) == set(_formats()) - printed


def _dataclasses(shape: Any) -> Iterator[type]:
    for part in (shape, *get_args(shape)) if get_origin(shape) else (shape,):
        if is_dataclass(part) and isinstance(part, type):
            yield part
            for field in fields(part):
                shape_of_field = getattr(headers, field.type, field.type) if isinstance(field.type, str) else field.type
                yield from _dataclasses(shape_of_field)
        elif part is not shape:
            yield from _dataclasses(part)


def test_receipt_when_its_header_has_a_value_then_the_page_names_it() -> None:
    told = set(re.findall(r"[a-z_0-9]+", " ".join(pages.spans(_section("receipt")))))
    shapes = set(_dataclasses(InstanceHeader))
    assert len(shapes) > 10
    assert {field.name for shape in shapes for field in fields(shape)} <= told


def test_decision_when_an_act_exists_then_the_page_names_it_with_its_keys() -> None:
    told = {row[0].strip("`"): row[1] for row in pages.rows(_section("decision"))}
    for act in get_args(get_args(Act)[0]):
        defaults = {field.name: field.default for field in fields(act)}
        assert set(defaults) - {"act"} <= set(re.findall(r"[a-z_0-9]+", told[str(defaults["act"])])), act


def _python(heading: str) -> str:
    (script,) = pages.blocks(pages.section(PAGE, heading), "python")
    return script


def _run(arguments: list[str], *, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, check=False)


def _copy(sealed: Path, to: Path) -> Path:
    shutil.copytree(sealed, to)
    for path in to.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return to


def _resealed(copy: Path, key: str, value: object) -> None:
    path = copy / "v1" / "content" / "seal.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), key: value}, ensure_ascii=False), "utf-8")


def test_seal_when_checked_by_hand_with_python_then_the_real_one_is_good_and_a_changed_one_is_not(
    sealed: Path, tmp_path: Path
) -> None:
    check = [sys.executable, "-c", _python("Checking a seal by hand"), "v1/content"]
    good = _run(check, cwd=sealed)
    assert good.returncode == 0, good.stderr
    assert "Sealed by mei at " in good.stdout
    forged = _copy(sealed, tmp_path / "forged")
    _resealed(forged, "account", "somebody else")
    assert "InvalidSignature" in _run(check, cwd=forged).stderr
    changed = _copy(sealed, tmp_path / "changed")
    dossier = changed / "v1" / "content" / "dossier.json"
    dossier.write_text(dossier.read_text("utf-8").replace("SAMPLE-0003", "SAMPLE-0004"), "utf-8")
    assert _run(check, cwd=changed).stderr.strip() == "dossier.json is not the one that was sealed"


def _needs(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")


def test_seal_when_checked_by_hand_with_openssl_then_the_real_one_is_good_and_a_changed_one_is_not(
    sealed: Path, tmp_path: Path
) -> None:
    _needs("openssl", "jq", "xxd")
    (script,) = pages.blocks(pages.section(PAGE, "Checking a seal by hand"), "sh")
    good, forged = _copy(sealed, tmp_path / "good"), _copy(sealed, tmp_path / "forged")
    answer = _run(["sh", "-ec", script], cwd=good)
    assert (answer.returncode, answer.stdout.strip()) == (0, "Signature Verified Successfully"), answer.stderr
    _resealed(forged, "made_at", "2020-01-01T00:00:00+00:00")
    assert _run(["sh", "-ec", script], cwd=forged).returncode != 0


def test_files_when_checked_by_hand_then_a_whole_dossier_passes_and_a_flipped_byte_is_found(
    sealed: Path, tmp_path: Path
) -> None:
    _needs("sha512sum", "python3")
    (script,) = pages.blocks(pages.section(PAGE, "Checking files by hand"), "sh")
    whole = _run(["sh", "-c", script], cwd=sealed)
    assert whole.stdout.splitlines() == ["inventory.json: OK", "all files are whole"], whole.stderr
    rotten = _copy(sealed, tmp_path / "rotten")
    file = next(rotten.rglob("*.dcm"))
    body = bytearray(file.read_bytes())
    body[-1] ^= 1
    file.write_bytes(bytes(body))
    found = _run(["sh", "-c", script], cwd=rotten)
    assert "all files are whole" not in found.stdout
    assert file.name in found.stdout + found.stderr


def test_journal_when_its_chain_is_followed_by_hand_then_it_ends_at_the_signed_head(
    archive: House, tmp_path: Path
) -> None:
    journal = _store(archive) / "journal" / "node1"
    follow = [sys.executable, "-c", _python("lastgate/journal/1")]
    head = json.loads((_store(archive) / "site" / "journal" / "node1.json").read_text("utf-8"))
    good = _run([*follow, str(journal)], cwd=tmp_path)
    assert good.stdout.strip() == head["hash"], good.stderr
    copy = _copy(journal, tmp_path / "journal")
    first = sorted(copy.glob("*/*.jsonl"))[0]
    first.write_text(first.read_text("utf-8").replace('"done"', '"none"', 1), "utf-8")
    assert "is not what was written" in _run([*follow, str(copy)], cwd=tmp_path).stderr


_PLACES = {
    "<2>": "[0-9a-f]{2}",
    "<patient key>": "[0-9a-f]{64}",
    "<sha256>": "[0-9a-f]{64}",
    "<node>": "[a-z0-9]+",
    "<n>": "[0-9]+",
    "<4 digits>": "[0-9]{4}",
    "<8 digits>": "[0-9]{8}",
    "<dossier>": "[a-z2-7]{52}",
    "<key id>": "[0-9a-f]{16}",
    "<part>": "[a-z]+",
    "...": ".+",
}


def _shape(told: str) -> str:
    pieces = re.split("|".join(map(re.escape, _PLACES)), told)
    places = re.findall("|".join(map(re.escape, _PLACES)), told)
    return re.escape(pieces[0]) + "".join(
        _PLACES[one] + re.escape(more) for one, more in zip(places, pieces[1:], strict=True)
    )


def test_layout_when_an_archive_was_used_then_the_page_tells_where_each_file_lies(archive: House) -> None:
    layout = "\n".join(pages.blocks(pages.section(PAGE, "What lies where"), ""))
    told = {line.split("  ")[0].strip() for line in layout.splitlines() if line}
    store = _store(archive)
    names = [str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()]
    keys = [name for name in names if not name.startswith(".lastgate/")]
    met = {shape: [key for key in keys if re.fullmatch(_shape(shape), key)] for shape in told}
    assert {key for key in keys if not any(key in found for found in met.values())} == set()
    not_here = {shape for shape, found in met.items() if not found}
    assert {shape.split("/")[0] for shape in not_here} <= {"conflict", "damaged", "derived", "self-test", "intake"}
