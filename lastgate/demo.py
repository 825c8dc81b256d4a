"""`lastgate demo`: the whole main job on a fictional department, on local disk and SQLite, with no server to install.

It generates the department's files, sends them over real DICOM associations on
loopback, shows what the gate says, signs, closes and seals what is complete,
prints summaries, composes the dose of two patients and tells what was made.
Running it again sends everything again and ends with the same table.
"""

import json
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from archive.accounts import Account
from archive.answers import dossier_answer
from archive.facts import Close, EnterSummary, PatientKey
from archive.journal import Event
from archive.model import Dossier, DossierState
from ingest.sender import Peer, send
from lastgate.composing import compose_patient
from lastgate.papers import print_summary
from lastgate.reception import Reception, receiving
from lastgate.sample import Department, SamplePatient, write_department
from lastgate.sample.texts import course_text, department_text
from lastgate.settings import IndexSettings, NodeSettings, Settings, StoreSettings
from lastgate.wiring import House, open_house
from reports.entries import entries_as_mapping, entries_from_text
from reports.render import Audience, Language
from search.base import Kind
from search.query import Query

SENDER = "DEMO_TPS"
PAPER_DATE = date(2026, 11, 2)
"""The sample department's today: the papers of every run bear the same date and are the same bytes."""

_STREAMS = 2
_ROLES = ("file-manager", "physicist", "doctor")
out = Console(highlight=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """A course of the sample, and the dossier the archive made of it."""

    name: str
    patient: SamplePatient
    key: PatientKey
    dossier: Dossier


def run(home: Path, *, as_json: bool = False) -> None:
    """Run the demo in `home`; at the end print the table of what was made, or the same as JSON."""
    out.quiet = as_json
    home = home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    department = _generate(home)
    settings = Settings(
        home=home / "archive-home",
        node=NodeSettings(port=0),
        store=StoreSettings(),  # never the stores and the index of a lastgate.toml that happens to lie here
        index=IndexSettings(),
        department=_written(home / "department.toml", department_text()),
    )
    with open_house(settings) as house:
        accounts = _accounts(house, home)
        _receive(house, department)
        courses = _courses(house, department)
        _show_gate(courses)
        made = [_settle(house, course, accounts) for course in courses]
        papers = _print_papers(house, made, home, accounts["doctor"])
        composites = _compose(house, department, home)
        _prove(house)
        table = _summed_up(made, papers, composites)
    _tell(home, table, as_json=as_json)


def _generate(home: Path) -> Department:
    out.print(
        "[bold]1. A fictional department[/] (its dose comes from a simple analytic field model, not a dose engine)"
    )
    with out.status("Writing CT, structures, plans, doses and treatment records ..."):
        department = write_department(home / "sample")
    size = sum(path.stat().st_size for path in department.paths)
    told = f"{len(department.patients)} patients, {len(department.paths)} files, {size / 1e6:.0f} MB"
    out.print(f"   {told} in {home / 'sample'}")
    return department


def _written(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def _accounts(house: House, home: Path) -> dict[str, Account]:
    """Return one account for each role; made once, their passwords in a file only this user reads."""
    known: dict[str, Account] = {account.role: account for account in house.accounts.all()}
    passwords = {}
    for role in _ROLES:
        if role not in known:
            passwords[role] = secrets.token_urlsafe(12)
            known[role] = house.accounts.add(f"demo-{role}", role, passwords[role])
    if passwords:
        path = home / "demo-passwords.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps({f"demo-{role}": word for role, word in passwords.items()}, indent=1), "utf-8")
    return known


def _receive(house: House, department: Department) -> None:
    out.print("[bold]2. Received over DICOM[/] (C-STORE on loopback; success means on disk, synced, in the journal)")
    paths = [path for patient in department.patients for path in patient.paths]
    columns = (TextColumn("   {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with receiving(house, port=0) as reception, Progress(*columns, console=out, transient=True) as progress:
        task = progress.add_task("sending", total=len(paths))
        peer = Peer(aet=house.settings.node.aet, host=house.settings.node.host, port=reception.port)
        refused: list[str] = []

        def send_share(share: Sequence[Path]) -> None:
            for sent in send(share, peer, calling=SENDER, on_sent=lambda _: progress.advance(task)):
                if not sent.is_stored:
                    refused.append(f"{sent.path.name}: {sent.status}")

        # One association per patient and stream, as scanners and planning systems send side by side.
        streams = [
            threading.Thread(target=send_share, args=(paths[number::_STREAMS],), name=f"sender-{number}")
            for number in range(_STREAMS)
        ]
        with _filing(reception):
            for stream in streams:
                stream.start()
            for stream in streams:
                stream.join()
    out.print(
        f"   {len(paths) - len(refused)} of {len(paths)} objects acknowledged, read back from the store, and filed"
    )
    for line in refused:
        out.print(f"   refused: {line}")


@contextmanager
def _filing(reception: Reception) -> Iterator[None]:
    """File beside the receiving, and to the end when it is over."""
    stop = threading.Event()
    filer = threading.Thread(target=reception.file_until, args=(stop,), name="filer")
    filer.start()
    try:
        yield
    finally:
        stop.set()
        filer.join()
        reception.file()


def _courses(house: House, department: Department) -> list[_Course]:
    """Return the dossiers in the order of the sample's courses."""
    found = []
    for patient in department.patients:
        for course in patient.courses:
            uids = tuple(plan.uid for plan in course.plans)
            hit = next(house.hits(Query(kind=Kind.DOSSIER, plan_uids=uids)))
            key = PatientKey(hit.patient_key)
            dossier = house.desk.dossier(key, hit.body["id"])
            found.append(_Course(name=course.key, patient=patient, key=key, dossier=dossier))
    return found


def _show_gate(courses: Sequence[_Course]) -> None:
    out.print("[bold]3. What the gate says[/]")
    table = Table(show_edge=False, pad_edge=False)
    for column in ("Patient", "Course", "Fractions", "State", "What holds it"):
        table.add_column(column, overflow="fold")
    for course in courses:
        answer = dossier_answer(course.dossier)
        fractions = ", ".join(f"{one['fractions_delivered']}/{one['fractions_planned']}" for one in answer["phases"])
        held = "\n".join(one["message"] for one in answer["findings"] if one["blocks"]) or "nothing"
        table.add_row(answer["patient"]["name"], course.name, fractions, answer["state"], held)
    out.print(table)


def _settle(house: House, course: _Course, accounts: dict[str, Account]) -> _Course:
    """Enter, close, sign and seal what can be; an incomplete dossier stays at the gate."""
    dossier = course.dossier
    text = course_text(course.name)
    if dossier.state is DossierState.SEALED or text is None:
        return course
    entries = entries_as_mapping(entries_from_text(text))
    act = EnterSummary(plan_uids=dossier.plan_uids, entries=entries)
    event = Event(act="enter-summary", account=accounts["doctor"].name, subject={"dossier": dossier.id})
    house.desk.settle(course.key, act, account=accounts["doctor"], event=event)
    if dossier.close is None:
        end = Close(plan_uids=(), outcome="completed", last_date=dossier.last_fraction)
        dossier = house.desk.close(course.key, dossier.id, end, account=accounts["doctor"])
    for finding in [one for one in dossier.findings if one.blocks]:
        role = next((role for role in _ROLES if role in finding.waivable_by), None)
        if role:
            reason = "Sample: seen and found in order."
            house.desk.waive(course.key, dossier.id, finding.id, reason=reason, account=accounts[role])
    dossier = house.desk.dossier(course.key, dossier.id)
    if dossier.state is DossierState.READY:
        with out.status(f"Sealing {course.name} ..."):
            dossier = house.desk.seal(course.key, dossier.id, account=accounts["file-manager"])
    return _Course(name=course.name, patient=course.patient, key=course.key, dossier=dossier)


def _print_papers(house: House, courses: Sequence[_Course], home: Path, doctor: Account) -> dict[str, str]:
    sealed = sum(course.dossier.state is DossierState.SEALED for course in courses)
    out.print(f"[bold]4. Closed, signed and sealed[/] {sealed} dossiers into the vault; the rest waits at the gate")
    folder = home / "summaries"
    folder.mkdir(exist_ok=True)
    papers = {}
    for course in _newest(courses):
        record = house.desk.record(course.key)
        with out.status(f"Printing {course.name} ..."):
            paper = print_summary(
                house,
                record,
                course.dossier,
                languages=(Language.ZH, Language.EN),
                audience=Audience.BOTH,
                account=doctor.name,
                created=PAPER_DATE,
            )
        path = folder / f"{course.name}.pdf"
        path.write_bytes(paper.pdf)
        papers[course.name] = f"{path.name}{' (draft)' if paper.is_draft else ''}"
    out.print(f"[bold]5. Printed[/] {len(papers)} summaries, Chinese and English, for patient and doctor: {folder}")
    return papers


def _newest(courses: Sequence[_Course]) -> list[_Course]:
    """Return the newest sealed course of each patient: the paper that person goes home with."""
    newest = {course.key: course for course in courses if course.dossier.state is DossierState.SEALED}
    return list(newest.values())


def _compose(house: House, department: Department, home: Path) -> dict[str, dict[str, Any]]:
    """Compose the dose of everybody with more than one course."""
    out.print("[bold]6. Composite dose[/] of the patients with more than one course (draft: a physicist approves it)")
    answers = {}
    for patient in department.patients:
        if len(patient.courses) < 2:
            continue
        record = house.patient(patient.patient_id)
        folder = home / "composite" / patient.patient_id
        with out.status(f"Composing {patient.name} ..."):
            answer = compose_patient(house, record, onto="", as_of=None, as_planned=False, folder=folder)
        answers[patient.patient_id] = answer
        out.print(f"   {patient.name}: {_hottest(answer)}; picture and report in {folder}")
    return answers


def _hottest(answer: dict[str, Any]) -> str:
    told = []
    for structure in answer["structures"]:
        figure = structure["physical"]["max_gy"]
        if structure["name"] in {"SpinalCord", "Heart"}:
            shown = (
                f"{figure['value']:.1f}" if figure["value"] is not None else f"{figure['lo']:.1f} to {figure['hi']:.1f}"
            )
            told.append(
                f"{structure['name']} at most {shown} Gy" if figure["value"] else f"{structure['name']} {shown} Gy"
            )
    ways = {
        plan["registration"]["kind"] for course in answer["courses"] for plan in course["plans"] if plan["registration"]
    }
    return f"{len(answer['courses'])} courses ({', '.join(sorted(ways))}), {', '.join(told)}"


def _prove(house: House) -> None:
    house.journal.flush()
    events = house.journal.verify()
    problems = [problem for name in house.vault.dossiers() for problem in house.vault.check(name)]
    out.print(
        f"[bold]7. Proved[/] every sealed file read back: {len(problems)} problems; journal unbroken: {events > 0}"
    )
    for problem in problems:
        out.print(f"   {problem}")


def _summed_up(
    courses: Sequence[_Course], papers: dict[str, str], composites: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the table of what was made; nothing in it depends on the run."""
    rows = []
    for course in courses:
        answer = dossier_answer(course.dossier)
        composite = composites.get(course.patient.patient_id)
        rows.append(
            {
                "patient": answer["patient"]["name"],
                "id": course.patient.patient_id,
                "course": course.name,
                "dossier": answer["id"],
                "objects": answer["instances"],
                "fractions": [[one["fractions_delivered"], one["fractions_planned"]] for one in answer["phases"]],
                "targets": [target for one in answer["phases"] for target in one["targets"]],
                "state": answer["state"],
                "missing": [one["id"] for one in answer["findings"] if one["blocks"]],
                "summary": papers.get(course.name),
                "composite": composite["digests"]["rtdose_physical"] if composite else None,
            }
        )
    return rows


def _tell(home: Path, rows: list[dict[str, Any]], *, as_json: bool) -> None:
    text = json.dumps({"format": "lastgate/demo/1", "made": rows}, indent=1, ensure_ascii=False)
    (home / "made.json").write_text(f"{text}\n", "utf-8")
    if as_json:
        print(text)  # noqa: T201
        return
    table = Table(title="What was made", title_justify="left", show_edge=False, pad_edge=False)
    for column in ("Patient", "Course", "Dossier", "Objects", "Fractions", "State", "Summary"):
        table.add_column(column, overflow="fold")
    for row in rows:
        fractions = ", ".join(f"{given}/{planned}" for given, planned in row["fractions"])
        table.add_row(
            row["patient"],
            row["course"],
            row["dossier"][:10],
            str(row["objects"]),
            fractions,
            row["state"],
            row["summary"] or "",
        )
    out.print(table)
    out.print(f"Everything lies in {home}. Look around with:  LASTGATE_HOME={home / 'archive-home'} lastgate find wxd")
