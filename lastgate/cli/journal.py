"""The journal: who did what, whether it is whole, and for other systems."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lastgate.cli.console import (
    REFUSED,
    JsonFlag,
    PasswordFile,
    account,
    day_of,
    house,
    print_cases,
    print_json,
    print_table,
    say,
    short,
)

if TYPE_CHECKING:
    from archive.journal.audit import Audit
    from archive.journal.problems import Problem
    from lastgate.wiring import House


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(journal)


def journal(
    verify_chain: Annotated[bool, typer.Option("--verify", help="Check the chain of every node.")] = False,
    kind: Annotated[
        Literal["dicom", "fhir"] | None, typer.Option("--format", help="Write audit messages for other systems.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File for --format.", metavar="FILE")] = None,
    first: Annotated[str, typer.Option("--from", help="Only from this day on (UTC).", metavar="DAY")] = "",
    last: Annotated[str, typer.Option("--to", help="Only to this day (UTC).", metavar="DAY")] = "",
    user: Annotated[str, typer.Option("--as", help="Your account, to stand in the journal.", metavar="USER")] = "",
    password_file: PasswordFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Who did what; with --verify, prove that nothing was changed or left out."""
    from lastgate.journaling import audit_journal, note_reading

    if (kind is None) != (output is None):
        raise typer.BadParameter("--format and -o belong together: lastgate journal --format fhir -o FILE")
    days = (day_of(first) if first else None, day_of(last) if last else None)
    with house() as opened:
        if user:
            account(opened, user, password_file)
        audit = audit_journal(opened) if verify_chain else None
        if audit is not None and not audit.is_whole:
            note_reading(opened, verified=False)
            _tell_broken(audit, as_json=as_json)
            raise typer.Exit(REFUSED)
        waited = opened.journal.flush()
        if kind is not None and output is not None:
            _export(opened, kind, output, days)
        else:
            _show(opened, days, audit, waited, as_json=as_json)


def _export(
    opened: "House", kind: Literal["dicom", "fhir"], output: Path, days: tuple[date | None, date | None]
) -> None:
    from lastgate.journaling import chained_events, note_reading, told_as

    count = 0
    with output.open("w", encoding="utf-8", newline="\n") as file:
        for line in told_as(kind, chained_events(opened, first=days[0], last=days[1])):
            file.write(line + "\n")
            count += 1
    note_reading(opened, events=count, format=kind)
    say(f"Wrote {count} events to {output}.")


def _show(
    opened: "House", days: tuple[date | None, date | None], audit: "Audit | None", waited: int, *, as_json: bool
) -> None:
    from lastgate.journaling import chained_events, note_reading

    events = list(chained_events(opened, first=days[0], last=days[1]))
    note_reading(opened, events=len(events), verified=True if audit else None)
    checked = audit.events + waited if audit else None
    if as_json:
        told = {"problems": [], "notes": _as_json(audit.notes)} if audit else {}
        print_json({"events": events, "verified": checked, **told})
        return
    rows = [(one["at"][:16].replace("T", " "), one["account"], _act(one), _told(one["subject"])) for one in events]
    print_table("Journal", ("Time (UTC)", "Who", "Act", "What"), rows, empty="Nothing was done yet.")
    if audit:
        _say_all("Worth knowing", audit.notes)
        say(f"The chain is whole: {checked} events, signed to the end.")


def _tell_broken(audit: "Audit", *, as_json: bool) -> None:
    if as_json:
        told = {"problems": _as_json(audit.problems), "notes": _as_json(audit.notes)}
        print_json({"events": [], "verified": None, **told})
        return
    _say_all("The journal is not what was written (LG-ARC-007)", audit.problems)
    _say_all("Worth knowing", audit.notes)
    say(f"{len(audit.problems)} problems; {audit.events} events can be read. Change nothing, tell the administrator.")


def _say_all(title: str, problems: "Iterable[Problem]") -> None:
    print_cases(title, ((one.message, (one.advice,)) for one in problems))


def _as_json(problems: "Iterable[Problem]") -> list[dict[str, object]]:
    return [one.as_json() for one in problems]


def _act(event: dict[str, Any]) -> str:
    act, outcome = str(event["act"]), event["outcome"]
    return act if outcome == "done" else f"{act}: {outcome}"


def _told(subject: dict[str, Any]) -> str:
    """Return what an act was about: names of things by their beginnings, which name them well enough."""
    return ", ".join(f"{name} {_brief(name, value)}" for name, value in subject.items() if name != "receipts")


def _brief(name: str, value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{count} {what}" for what, count in value.items())
    return short(str(value)) if name in ("dossier", "patient") else str(value)
