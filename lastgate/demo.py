"""`lastgate demo`: the whole main job on a fictional department, on local disk and SQLite, with no server to install.

It generates the department's files, sends them over real DICOM associations on
loopback, shows what the gate says, signs, closes and seals what is complete,
prints summaries, composes the dose of two patients and tells what was made.
Running it again sends everything again and ends with the same table.
"""

import json
import secrets
import shlex
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from archive.answers import dossier_answer
from archive.desk.accounts import Account
from archive.errors import NotFound, Refused, SealBroken
from archive.facts.decisions import Close, EnterSummary
from archive.facts.receipts import PatientKey
from archive.journal.journal import Event
from archive.model import Dossier, DossierState
from ingest.retrieve.sender import Peer, Sent, send
from lastgate.checking import check_doses
from lastgate.composing import compose_patient
from lastgate.papers import print_summary, release_summary
from lastgate.reception import receiving
from lastgate.sample import Department, SamplePatient, write_department
from lastgate.sample.texts import course_text, department_text
from lastgate.settings import NodeSettings, Settings
from lastgate.wiring import House, open_house
from reports.entries import entries_as_mapping, entries_from_text
from reports.render import Audience, Language
from search.kinds import Kind
from search.query import Query

SENDER = "DEMO_TPS"
PAPER_DATE = date(2026, 11, 2)
"""The sample department's today: the papers of every run bear the same date and are the same bytes."""

Scale = Literal["full", "small"]

_STREAMS = 2
_ROLES = ("file-manager", "physicist", "doctor")
_TOLD_ORGANS = ("SpinalCord", "Heart")
_WAYS = {"identity": "one frame of reference", "rigid": "a rigid registration"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """A course of the sample, and the dossier the archive made of it."""

    name: str
    patient: SamplePatient
    key: PatientKey
    dossier: Dossier


def run(home: Path, *, as_json: bool = False, scale: Scale = "full") -> None:
    """Run the demo in `home`; at the end print the table of what was made, or the same as JSON.

    Parameters
    ----------
    home
        Folder of the demo; one that is there is gone on with.
    scale
        ``full`` is of clinical size; ``small`` has coarse images and doses, and takes a third of the time.

    Raises
    ------
    Refused
        The folder holds something else, or an object was not stored.
    SealBroken
        A sealed file is not what was sealed.
    """
    home = home.absolute()
    _claim(home, scale)
    out = Console(highlight=False, markup=False, emoji=False, quiet=as_json)
    department = _generate(home, scale, out)
    with open_house(_settings(home)) as house:
        demo = _Demo(home=home, house=house, out=out, department=department, accounts=_accounts(house, home))
        demo.receive()
        demo.look_at_doses()
        courses = demo.courses()
        demo.show_gate(courses)
        made = [demo.settle(course) for course in courses]
        papers = demo.print_papers(made)
        composites = demo.compose()
        demo.prove()
    rows = _summed_up(made, papers, composites)
    text = json.dumps({"format": "lastgate/demo/1", "scale": scale, "made": rows}, indent=1, ensure_ascii=False)
    (home / "made.json").write_text(f"{text}\n", "utf-8")
    if as_json:
        sys.stdout.write(f"{text}\n")
    _tell(out, home, rows)


def _claim(home: Path, scale: Scale) -> None:
    """Make the folder, or see that it is one of ours: instances of two scales bear the same UIDs and would clash."""
    home.mkdir(parents=True, exist_ok=True)
    mark = home / "demo.json"
    if mark.is_file():
        before = json.loads(mark.read_text("utf-8"))["scale"]
        if before != scale:
            raise Refused(f"{home} holds a demo of scale {before}", hint="Choose another folder: --home FOLDER")
    elif any(home.iterdir()):
        raise Refused(f"{home} is not empty and holds no demo", hint="Choose another folder: --home FOLDER")
    else:
        mark.write_text(json.dumps({"format": "lastgate/demo-home/1", "scale": scale}) + "\n", "utf-8")


def _settings(home: Path) -> Settings:
    """Return settings that have nothing to do with a site's own, which may lie in this very folder."""
    department = home / "department.toml"
    department.write_text(department_text(), "utf-8")
    return Settings(home=home / "archive-home", node=NodeSettings(port=0), department=department)


def _generate(home: Path, scale: Scale, out: Console) -> Department:
    out.print("1. A fictional department", style="bold")
    with out.status("Writing CT, structures, plans, doses and treatment records ..."):
        department = write_department(home / "sample", scale=scale)
    size = sum(path.stat().st_size for path in department.paths)
    told = f"{len(department.patients)} patients, {len(department.paths)} files, {size / 1e6:.0f} MB"
    out.print(f"   {told} in {home / 'sample'}", soft_wrap=True)
    out.print("   Their dose comes from a simple analytic field model, not from a dose engine.")
    return department


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Demo:
    """One run: the archive, the department, and where it is told what happens."""

    home: Path
    house: House
    out: Console
    department: Department
    accounts: Mapping[str, Account]

    def receive(self) -> None:
        """Send everything over several associations side by side, as scanners and planning systems do."""
        self.out.print("2. Received over DICOM", style="bold")
        self.out.print("   C-STORE on loopback; success means that the object is on disk and synced.")
        paths = [path for patient in self.department.patients for path in patient.paths]
        columns = (TextColumn("   sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        hidden = not self.out.is_terminal
        with (
            receiving(self.house, port=0) as reception,
            Progress(*columns, console=self.out, transient=True, disable=hidden) as progress,
        ):
            task = progress.add_task("sending", total=len(paths))
            node = self.house.settings.node
            peer = Peer(aet=node.aet, host=node.host, port=reception.port)

            def send_share(number: int) -> tuple[Sent, ...]:
                share = paths[number::_STREAMS]
                return send(share, peer, calling=SENDER, on_sent=lambda _: progress.advance(task))

            with reception.filing(threading.Event()), ThreadPoolExecutor(_STREAMS, "sender") as streams:
                sent = [one for share in streams.map(send_share, range(_STREAMS)) for one in share]
            reception.file()
        refused = [one for one in sent if not one.is_stored]
        if refused:
            raise Refused(f"{len(refused)} objects are not stored; {refused[0].path.name}: {refused[0].reason}")
        self.out.print(f"   {len(paths)} objects acknowledged, read back from the store, and filed")

    def courses(self) -> list[_Course]:
        """Return the dossiers in the order of the sample's courses."""
        found = []
        for patient in self.department.patients:
            for course in patient.courses:
                uids = tuple(plan.uid for plan in course.plans)
                hit = next(self.house.hits(Query(kind=Kind.DOSSIER, plan_uids=uids)), None)
                if hit is None:
                    raise NotFound(f"The index does not know the dossier of {course.key}", hint="Run the demo again.")
                key = PatientKey(hit.patient_key)
                dossier = self.house.desk.dossier(key, hit.body["id"])
                found.append(_Course(name=course.key, patient=patient, key=key, dossier=dossier))
        return found

    def look_at_doses(self) -> None:
        """Compute what the gate must know of the planned doses, as a running node does in the background."""
        check_doses(self.house)

    def show_gate(self, courses: Sequence[_Course]) -> None:
        """Tell what holds each dossier."""
        self.out.print("3. What the gate says", style="bold")
        for course in courses:
            answer = dossier_answer(course.dossier)
            self.out.print(
                f"   {_called(answer)}, {course.name}: {answer['state']}, {_fractions(answer['phases'])} fractions"
            )
            for finding in answer["findings"]:
                if finding["blocks"]:
                    self.out.print(f"     - {finding['message']}", soft_wrap=True)

    def settle(self, course: _Course) -> _Course:
        """Enter, close, sign, release and seal what can be; an incomplete dossier stays at the gate."""
        dossier, desk, doctor = course.dossier, self.house.desk, self.accounts["doctor"]
        text = course_text(course.name)
        if dossier.state is DossierState.SEALED or text is None:
            return course
        entries = entries_as_mapping(entries_from_text(text))
        act = EnterSummary(plan_uids=dossier.plan_uids, entries=entries)
        event = Event(act="enter-summary", account=doctor.name, subject={"dossier": dossier.id})
        desk.settle(course.key, act, account=doctor, event=event)
        if dossier.close is None:
            end = Close(plan_uids=(), outcome="completed", last_date=dossier.last_fraction)
            dossier = desk.close(course.key, dossier.id, end, account=doctor)
        for finding in [one for one in dossier.findings if one.blocks and one.code != "SUMMARY-MISSING"]:
            role = next((role for role in _ROLES if role in finding.waivable_by), None)
            if role:
                reason = "Sample: seen and found in order."
                desk.waive(course.key, dossier.id, finding.id, reason=reason, account=self.accounts[role])
        dossier = self.release(course, desk.dossier(course.key, dossier.id))
        if dossier.state is DossierState.READY:
            with self.out.status(f"Sealing {course.name} ..."):
                dossier = desk.seal(course.key, dossier.id, account=self.accounts["file-manager"])
        return replace(course, dossier=dossier)

    def release(self, course: _Course, dossier: Dossier) -> Dossier:
        """Release the summary of a course that nothing else holds, so that it is sealed with the rest."""
        if dossier.released or any(one.blocks and one.code != "SUMMARY-MISSING" for one in dossier.findings):
            return dossier
        record = self.house.desk.record(course.key)
        with self.out.status(f"Releasing the summary of {course.name} ..."):
            return release_summary(self.house, record, dossier, account=self.accounts["doctor"], created=PAPER_DATE)

    def print_papers(self, courses: Sequence[_Course]) -> dict[str, str]:
        """Print the newest sealed course of each patient, the paper that person goes home with."""
        sealed = [course for course in courses if course.dossier.state is DossierState.SEALED]
        self.out.print("4. Closed, signed and sealed", style="bold")
        self.out.print(f"   {len(sealed)} of {len(courses)} dossiers lie in the vault; the rest waits at the gate.")
        folder = self.home / "summaries"
        folder.mkdir(exist_ok=True)
        papers = {}
        for course in {course.key: course for course in sealed}.values():  # the newest comes last
            with self.out.status(f"Printing {course.name} ..."):
                paper = print_summary(
                    self.house,
                    self.house.desk.record(course.key),
                    course.dossier,
                    languages=(Language.ZH, Language.EN),
                    audience=Audience.BOTH,
                    account=self.accounts["doctor"].name,
                    created=PAPER_DATE,
                )
            path = folder / f"{course.name}.pdf"
            path.write_bytes(paper.pdf)
            papers[course.name] = f"{path.name}{' (draft)' if paper.is_draft else ''}"
        self.out.print("5. Printed", style="bold")
        told = f"{len(papers)} summaries, Chinese and English, for patient and doctor"
        self.out.print(f"   {told}: {folder}", soft_wrap=True)
        return papers

    def compose(self) -> dict[str, dict[str, Any]]:
        """Compose the dose of everybody with more than one course."""
        self.out.print("6. Composite dose", style="bold")
        self.out.print("   For patients with more than one course; a draft: a physicist approves it.")
        answers = {}
        for patient in self.department.patients:
            if len(patient.courses) < 2:
                continue
            record = self.house.patient(patient.patient_id)
            folder = self.home / "composite" / patient.patient_id
            with self.out.status(f"Composing {patient.name} ..."):
                answer = compose_patient(self.house, record, onto="", as_of=None, as_planned=False, folder=folder)
            answers[patient.patient_id] = answer
            self.out.print(f"   {_called(answer)}: {_added(answer)}; picture and report: {folder}", soft_wrap=True)
            for structure in answer["structures"]:
                if structure["name"] in _TOLD_ORGANS:
                    self.out.print(f"     - {_maximum(structure)}", soft_wrap=True)
        return answers

    def prove(self) -> None:
        """Read back everything that is sealed and follow the journal to its signed end."""
        self.out.print("7. Proved", style="bold")
        self.house.journal.flush()
        events = self.house.journal.verify()
        problems = [problem for name in self.house.vault.dossiers() for problem in self.house.vault.check(name)]
        if problems:
            raise SealBroken(f"{len(problems)} problems in the vault; the first: {problems[0]}")
        self.out.print("   Every sealed file was read back and is what was sealed.")
        self.out.print(f"   The journal is an unbroken chain of {events} events.")


def _called(answer: Mapping[str, Any]) -> str:
    """Return the name of a patient as the person writes it."""
    alphabetic, _, others = str(answer["patient"]["name"]).partition("=")
    ideographic = others.partition("=")[0]
    return ideographic.replace("^", "") or alphabetic.replace("^", " ").strip()


def _fractions(phases: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{one['fractions_delivered']}/{one['fractions_planned']}" for one in phases)


def _added(answer: Mapping[str, Any]) -> str:
    plans = [plan for course in answer["courses"] for plan in course["plans"]]
    kinds = sorted({plan["registration"]["kind"] for plan in plans if plan["registration"]})
    ways = " and ".join(_WAYS.get(kind, kind) for kind in kinds)
    return f"dose of {len(answer['courses'])} courses, joined by {ways}"


def _maximum(structure: Mapping[str, Any]) -> str:
    """Return the highest dose in a structure in plain words, with what is not known of it."""
    name, figure = structure["name"], structure["physical"]["max_gy"]
    if figure["value"] is not None:
        return f"{name}: at most {figure['value']:.1f} Gy."
    bounds = f"at least {figure['lo']:.1f} Gy" + (f" and at most {figure['hi']:.1f} Gy" if figure["hi"] else "")
    return f"{name}: a part of it lies outside the calculated dose, so its maximum is {bounds}."


def _summed_up(
    courses: Sequence[_Course], papers: Mapping[str, str], composites: Mapping[str, Mapping[str, Any]]
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
                "interruptions": answer["interruptions"],
                "state": answer["state"],
                "missing": [one["id"] for one in answer["findings"] if one["blocks"]],
                "summary": papers.get(course.name),
                "composite": composite["digests"]["rtdose_physical"] if composite else None,
            }
        )
    return rows


def _tell(out: Console, home: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what was made, in 80 columns."""
    table = Table(title="What was made", title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("ID", "Course", "Dossier", "Fractions", "State", "Paper"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        given = ", ".join(f"{delivered}/{planned}" for delivered, planned in row["fractions"])
        paper = "" if row["summary"] is None else "draft" if row["summary"].endswith("(draft)") else "PDF"
        table.add_row(row["id"], row["course"], row["dossier"][:10], given, row["state"], paper)
    out.print(table)
    out.print(f"Everything lies in {home}. Look around with:", soft_wrap=True)
    out.print(f"  LASTGATE_HOME={shlex.quote(str(home / 'archive-home'))} lastgate find wxd", soft_wrap=True)
