"""What goes out on paper: the summary, and what a person enters for it."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lastgate.cli.console import REFUSED, AsUser, DossierName, PasswordFile, account, day_of, house, read_text, say

if TYPE_CHECKING:
    from reports.render import Language


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(enter)
    app.command()(release)
    app.command()(summary)


def enter(
    dossier: DossierName,
    file: Annotated[Path, typer.Argument(help="TOML or JSON file with what DICOM does not hold.", exists=True)],
    as_user: AsUser,
    password_file: PasswordFile = None,
) -> None:
    """Enter diagnosis, side effects, visits and the like for the summary of a course."""
    from archive.facts.decisions import EnterSummary
    from archive.journal.journal import Event
    from reports.entries import entries_as_mapping, entries_from_text

    entries = entries_from_text(read_text(file), is_json=file.suffix == ".json")
    with house() as opened:
        user = account(opened, as_user, password_file)
        key, found = opened.dossier(dossier)
        act = EnterSummary(plan_uids=found.plan_uids, entries=entries_as_mapping(entries))
        event = Event(act="enter-summary", account=user.name, subject={"dossier": found.id})
        opened.desk.settle(key, act, account=user, event=event)
        say(f"Entered for the summary of {found.id[:10]}.")


def release(
    dossier: DossierName,
    as_user: AsUser,
    language: Annotated[str, typer.Option("--lang", help="zh, en or both.")] = "both",
    created: Annotated[str, typer.Option("--date", help="Date of the paper; today if left out.")] = "",
    password_file: PasswordFile = None,
) -> None:
    """Let the summary of a course go out (a doctor or physicist does)."""
    from lastgate.papers import release_summary

    languages = _languages(language)
    day = day_of(created) if created else date.today()
    with house() as opened:
        user = account(opened, as_user, password_file)
        key, found = opened.dossier(dossier)
        record = opened.desk.record(key)
        after = release_summary(opened, record, found, languages=languages, account=user, created=day)
    if after.released is not None:
        papers = ", ".join(f"{one.language} {one.audience}" for one in after.released.what.papers)
        say(f"Released the summary of {after.id[:10]} (number {after.released.what.number}): {papers}.")
    say("Print it: lastgate summary DOSSIER -o FILE.pdf --as USER")
    if after.awaits_addendum:
        say("The dossier is sealed: add the papers with lastgate seal DOSSIER --as USER")


def _languages(name: str) -> "tuple[Language, ...]":
    from lastgate.papers import BOTH_LANGUAGES
    from reports.render import Language

    try:
        return BOTH_LANGUAGES if name == "both" else (Language(name),)
    except ValueError as error:
        raise typer.BadParameter("--lang is zh, en or both") from error


def summary(
    dossier: DossierName,
    as_user: AsUser,
    output: Annotated[Path, typer.Option("-o", "--output", help="The PDF to write.")],
    language: Annotated[str, typer.Option("--lang", help="zh, en or both.")] = "both",
    audience: Annotated[str, typer.Option("--for", help="patient, doctor or both.")] = "both",
    created: Annotated[str, typer.Option("--date", help="Date of the paper; today if left out.")] = "",
    password_file: PasswordFile = None,
) -> None:
    """Print the plain-language summary of a course: as it was released, else as a draft."""
    from lastgate.papers import print_summary
    from reports.render import Audience

    languages = _languages(language)
    try:
        reader = Audience(audience)
    except ValueError as error:
        raise typer.BadParameter("--for is patient, doctor or both") from error
    day = day_of(created) if created else date.today()
    with house() as opened:
        user = account(opened, as_user, password_file)
        key, found = opened.dossier(dossier)
        record = opened.desk.record(key)
        paper = print_summary(
            opened, record, found, languages=languages, audience=reader, account=user.name, created=day
        )
    output.write_bytes(paper.pdf)
    say(f"Wrote {output} (number {paper.number}).")
    if paper.is_draft:
        say(f"It is a DRAFT: {paper.why_draft}.")
        if paper.lacking:
            say("These are not recorded yet: " + ", ".join(paper.lacking))
            say("Enter them: lastgate enter DOSSIER FILE.toml --as USER (docs/summary-entries.md).")
        else:
            say("A doctor or physicist releases it: lastgate release DOSSIER --as USER")
        raise typer.Exit(REFUSED)
