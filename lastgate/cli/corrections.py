"""Correcting what was assembled: where objects belong, what is one course, where it was given, what its sheet tells."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lastgate.cli.console import (
    AsUser,
    DossierName,
    PasswordFile,
    Reason,
    account,
    day_of,
    house,
    read_text,
    say,
    short,
)

if TYPE_CHECKING:
    from archive.facts.decisions import SheetFraction
    from archive.facts.receipts import PatientKey
    from archive.model import Dossier

PatientName = Annotated[str, typer.Argument(help="ID, ISSUER/ID, key or dossier.", metavar="PATIENT")]


class Origin(StrEnum):
    """Where a course was given."""

    HERE = "here"
    ELSEWHERE = "elsewhere"
    PAPER = "paper"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (move, merge, split, origin, transcribe, countersign):
        app.command()(command)
    app.command("open-dossier")(open_dossier)


def move(
    patient: PatientName,
    objects: Annotated[
        list[str], typer.Argument(help="SOP Instance UIDs, series UIDs or SHA-256.", metavar="OBJECT...")
    ],
    reason: Reason,
    as_user: AsUser,
    to: Annotated[str, typer.Option("--to", help="To this dossier of the patient.", metavar="DOSSIER")] = "",
    to_patient: Annotated[str, typer.Option("--to-patient", help="To this patient.", metavar="PATIENT")] = "",
    to_no_course: Annotated[bool, typer.Option("--to-no-course", help="To no course of the patient.")] = False,
    by_references: Annotated[bool, typer.Option("--by-references", help="Back to where references tell.")] = False,
    password_file: PasswordFile = None,
) -> None:
    """Move objects to another course, to none, or to the patient they belong to."""
    from archive.desk.corrections import BY_REFERENCES
    from lastgate.naming import named_patient

    if sum((bool(to), bool(to_patient), to_no_course, by_references)) != 1:
        raise typer.BadParameter("Say where: --to DOSSIER, --to-patient PATIENT, --to-no-course or --by-references")
    with house() as opened:
        user = account(opened, as_user, password_file)
        key = named_patient(opened, patient)
        desk = opened.corrections
        if to_patient:
            other = named_patient(opened, to_patient)
            moved = desk.move_to_patient(key, objects, other, reason=reason, account=user)
        else:
            place = BY_REFERENCES if by_references else to or None
            moved = desk.move(key, objects, place, reason=reason, account=user)
        say(f"Moved {len(moved)} object(s).")


def merge(
    dossiers: Annotated[list[str], typer.Argument(help="Two or more of one patient.", metavar="DOSSIER...")],
    reason: Reason,
    as_user: AsUser,
    password_file: PasswordFile = None,
) -> None:
    """State that the courses of several dossiers are one."""
    with house() as opened:
        user = account(opened, as_user, password_file)
        found = [opened.dossier(name) for name in dossiers]
        _refuse_strangers({key for key, _ in found})
        names = [dossier.id for _, dossier in found]
        after = opened.corrections.merge(found[0][0], names, reason=reason, account=user)
        say(f"They are one dossier now, {short(after.id)}, with {len(after.plans)} plan(s).")


def _refuse_strangers(keys: "set[PatientKey]") -> None:
    from archive.errors import Refused

    if len(keys) > 1:
        hint = "Where they are one person, join them first: lastgate link PATIENT PATIENT"
        raise Refused("These dossiers are of different patients", hint=hint)


def split(
    dossier: DossierName,
    plans: Annotated[list[str], typer.Argument(help="Labels or UIDs of the plans that go.", metavar="PLAN...")],
    reason: Reason,
    as_user: AsUser,
    password_file: PasswordFile = None,
) -> None:
    """State that plans of a dossier are a course of their own."""
    with house() as opened:
        user = account(opened, as_user, password_file)
        key, found = opened.dossier(dossier)
        uids = [_uid_named(found, name) for name in plans]
        after = opened.corrections.split(key, found.id, uids, reason=reason, account=user)
        say(f"They are a dossier of their own now: {short(after.id)}.")


def open_dossier(
    patient: PatientName,
    label: Annotated[str, typer.Option(help="What was treated, as people should find it.")],
    origin: Annotated[Origin, typer.Option(help="Where it was given, or that only paper tells.")],
    reason: Reason,
    as_user: AsUser,
    from_: Annotated[str, typer.Option("--from", help="First day, such as 2009-03-31.")] = "",
    to: Annotated[str, typer.Option("--to", help="Last day.")] = "",
    password_file: PasswordFile = None,
) -> None:
    """Open a dossier for a course of which there is no plan."""
    from archive.facts.decisions import OpenDossier
    from lastgate.naming import named_patient

    with house() as opened:
        user = account(opened, as_user, password_file)
        first, last = (f"{day_of(day):%Y%m%d}" if day else "" for day in (from_, to))
        act = OpenDossier(
            course_uid="", origin=origin.value, label=label, reason=reason, first_date=first, last_date=last
        )
        after = opened.corrections.open_dossier(named_patient(opened, patient), act, account=user)
        say(f"Opened {short(after.id)}. Its course is named {after.plan_uids[0]} where a plan is asked for.")


def origin(
    dossier: DossierName,
    where: Annotated[Origin, typer.Argument(help="Where it was given, or that only paper tells.", metavar="ORIGIN")],
    reason: Reason,
    as_user: AsUser,
    institution: Annotated[str, typer.Option(help="Who gave it, where it was not this department.")] = "",
    password_file: PasswordFile = None,
) -> None:
    """State where a course was given."""
    from archive.facts.decisions import SetOrigin

    with house() as opened:
        user = account(opened, as_user, password_file)
        key, found = opened.dossier(dossier)
        act = SetOrigin(plan_uids=(), origin=where.value, reason=reason, institution=institution)
        after = opened.corrections.set_origin(key, found.id, act, account=user)
        say(f"{short(after.id)} was given {_where(after)}.")


def _where(dossier: "Dossier") -> str:
    told = {"here": "here", "elsewhere": "elsewhere", "paper": "as paper alone tells"}[dossier.origin]
    return f"{told} ({dossier.institution})" if dossier.institution else told


def transcribe(
    dossier: DossierName,
    plan: Annotated[str, typer.Argument(help="Label or UID of the plan.")],
    sheet: Annotated[Path, typer.Argument(help="CSV: number, date, and time and share if known.")],
    source: Annotated[str, typer.Option(help="Where the paper is: SHA-256 of its scan, or words.")],
    reason: Reason,
    as_user: AsUser,
    password_file: PasswordFile = None,
) -> None:
    """Copy the fractions of a plan from its treatment sheet; they count once a second person countersigns."""
    from archive.facts.decisions import Transcribe

    fractions = tuple(_fractions(sheet))
    with house() as opened:
        user = account(opened, as_user, password_file)
        key, found = opened.dossier(dossier)
        uid = _uid_named(found, plan)
        act = Transcribe(plan_uid=uid, fractions=fractions, source=source, reason=reason)
        made = opened.transcribing.transcribe(key, found.id, act, account=user)
        say(f"Copied {len(fractions)} fraction(s) as decision {made.number}. A second person signs it:")
        say(f"lastgate countersign {short(found.id)} {made.number} --as USER")


def _fractions(path: Path) -> "list[SheetFraction]":
    import csv

    from archive.facts.decisions import SheetFraction

    rows = csv.DictReader(read_text(path).lstrip("\N{BYTE ORDER MARK}").splitlines(), skipinitialspace=True)
    missing = {"number", "date"} - set(rows.fieldnames or ())
    if missing:
        raise typer.BadParameter(f"{path}: the first line must name the columns number, date, time and share")
    found = []
    for row in rows:
        try:
            found.append(
                SheetFraction(
                    number=int(row["number"]),
                    date=f"{day_of(row['date']):%Y%m%d}",
                    time=(row.get("time") or "").replace(":", ""),
                    share=float(row.get("share") or 1.0),
                )
            )
        except (TypeError, ValueError) as error:
            raise typer.BadParameter(f"{path}, line {rows.line_num}: {error}") from error
    return found


def countersign(
    dossier: DossierName,
    number: Annotated[int, typer.Argument(help="Number of the decision, as the finding tells it.")],
    as_user: AsUser,
    password_file: PasswordFile = None,
) -> None:
    """Sign as the second person that copied fractions agree with the treatment sheet."""
    with house() as opened:
        user = account(opened, as_user, password_file)
        key, found = opened.dossier(dossier)
        after = opened.transcribing.countersign(key, found.id, number, account=user)
        say(f"Signed decision {number}; {short(after.id)} has {len(after.sessions)} session(s) now.")


def _uid_named(found: "Dossier", name: str) -> str:
    """Return the UID of a plan, or of a course without one, by its UID or label."""
    from archive.errors import Ambiguous, NotFound

    labels = {plan.uid: plan.header.label for plan in found.plans}
    labels |= {one.course_uid: one.label for one in found.opened}
    fitting = [uid for uid, label in labels.items() if name in (uid, label)]
    if not fitting:
        raise NotFound(f"The dossier has no plan {name!r}", hint="Run `lastgate show DOSSIER` to see its plans.")
    if len(fitting) > 1:
        raise Ambiguous(f"The dossier has {len(fitting)} plans {name!r}", hint="Name it by its UID.")
    return fitting[0]
