"""The gate: what waits, of whom, since when; and the letters that ask for it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from lastgate.cli.console import (
    REFUSED,
    JsonFlag,
    house,
    print_cases,
    print_json,
    print_table,
    say,
    short,
    who,
)
from lastgate.cli.rules import show_rules
from lastgate.cli.sends import send_case

if TYPE_CHECKING:
    from archive.model import Dossier
    from lastgate.wiring import House

MOST_SHOWN: Final = 200
"""So many dossiers are printed; JSON has all of them."""


class Whom(StrEnum):
    """To whom letters are written."""

    MACHINE = "machine"
    DOCTOR = "doctor"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(gate)


def gate(
    dossier: Annotated[str, typer.Argument(help="Id of the dossier, or its beginning.", metavar="[DOSSIER]")] = "",
    urgent: Annotated[bool, typer.Option("--urgent", help="Only urgent findings: for the physicist, today.")] = False,
    mail: Annotated[Path | None, typer.Option("--mail", help="Write letters to those who are asked there.")] = None,
    by: Annotated[Whom | None, typer.Option(help="With --mail: only to machines, or only to doctors.")] = None,
    rules: Annotated[bool, typer.Option("--rules", help="The rules in force, or those of one dossier.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """The work-list: what is missing and who is asked; or the findings of one dossier."""
    if dossier and (urgent or mail):
        raise typer.BadParameter("--urgent and --mail are for the work-list, not for one dossier")
    if rules and (urgent or mail):
        raise typer.BadParameter("--rules goes with no other choice")
    if by and not mail:
        raise typer.BadParameter("--by goes with --mail")
    with house() as opened:
        if rules:
            show_rules(opened, dossier, as_json=as_json)
        elif dossier:
            _gate_of_one(opened, dossier, as_json=as_json)
        elif mail:
            _write_letters(opened, mail, by=by, is_urgent=urgent, as_json=as_json)
        elif urgent:
            _print_urgent(opened, as_json=as_json)
        else:
            _print_worklist(opened, as_json=as_json)


def print_findings(findings: Sequence[Mapping[str, Any]]) -> None:
    """Print findings with what to do; whom to ask where that is told."""
    cases = [
        (f"{one['id']}  {_gravity(one)}{_asked_of(one)}", (one["message"], *_signed(one), one["fix"]))
        for one in findings
    ]
    print_cases("Findings", cases, empty="Nothing holds it at the gate.")


def _gravity(finding: Mapping[str, Any]) -> str:
    return str(finding["severity"]) if finding["blocks"] or finding["severity"] == "note" else "waived"


def _signed(finding: Mapping[str, Any]) -> list[str]:
    return [f"Signed by {one['account']} ({one['role']}): {one['reason']}" for one in finding["waivers"]]


def _asked_of(finding: Mapping[str, Any]) -> str:
    """Return whom to ask and since when, for a finding that still holds the dossier."""
    if not finding["blocks"] or "asked" not in finding:
        return ""
    days = _days(finding["since"])
    since = "" if days is None else f", for {days} day{'' if days == 1 else 's'}"
    roles = (" and " if finding["severity"] == "urgent" else " or ").join(finding["waivable_by"])
    may_sign = f"; may sign: {roles}" if roles else ""
    return f"; ask: {', '.join(_recipient(one) for one in finding['asked'])}{since}{may_sign}"


def _recipient(asked: Mapping[str, str]) -> str:
    from lastgate.asking import Asked, Recipient

    return Recipient(kind=Asked(asked["kind"]), name=asked["name"]).words[1]


def _days(day: str | None) -> int | None:
    from lastgate.ageing import days_since

    return days_since(day, date.today())


def _gate_of_one(opened: "House", dossier: str, *, as_json: bool) -> None:
    from archive.answers import dossier_answer
    from lastgate.worklist import with_recipients

    _, found = opened.dossier(dossier)
    body = dossier_answer(found)
    findings = [with_recipients(finding, body) for finding in body["findings"]]
    if as_json:
        print_json({"id": found.id, "state": found.state.value, "findings": findings})
    else:
        say(f"Dossier {found.id}: {found.state.value}")
        print_findings(findings)
        if any(finding["code"] == "SUMMARY-OUTDATED" for finding in findings):
            _print_holders(opened, found)
    if any(finding["blocks"] for finding in findings):
        raise typer.Exit(REFUSED)


def _print_holders(opened: "House", found: "Dossier") -> None:
    """Say who printed the paper that is outdated: they know in whose hands it is."""
    from lastgate.papers import handed_out

    for day, account, audience in handed_out(opened, found):
        say(f"The outdated paper was printed on {day} by {account} (for {audience}).")


def _print_urgent(opened: "House", *, as_json: bool) -> None:
    from lastgate.worklist import urgent_only, waiting

    entries = urgent_only(waiting(opened))
    if as_json:
        print_json({"dossiers": entries})
        return
    for entry in entries:
        say(f"{short(entry['id'])}  {who(entry['patient'])}", style="bold")
        print_findings(entry["findings"])
    if not entries:
        say("Nothing is urgent.")


def _write_letters(opened: "House", folder: Path, *, by: Whom | None, is_urgent: bool, as_json: bool) -> None:
    from datetime import datetime

    from lastgate.asking import Asked
    from lastgate.mailing import letters_of, write_letters
    from lastgate.worklist import waiting

    kinds = tuple(Asked) if by is None else (Asked(by.value),)
    now = datetime.now().astimezone()
    settings = opened.settings.worklist
    letters = letters_of(waiting(opened), now.date(), kinds=kinds, is_urgent=is_urgent)
    paths = write_letters(letters, folder, at=now, sender=settings.sender, addresses=settings.addresses)
    if as_json:
        print_json([str(path) for path in paths])
        return
    rows = [(letter.words[1], len(letter.cases), path.name) for letter, path in zip(letters, paths, strict=True)]
    print_table(f"Letters in {folder}", ("Asked", "Dossiers", "File"), rows, empty="Nobody is asked for anything.")


def _print_worklist(opened: "House", *, as_json: bool) -> None:
    from lastgate.worklist import worklist

    body = worklist(opened)
    if as_json:
        print_json(body)
        return
    _print_waiting(body["dossiers"])
    _print_proposals(body["dossiers"], opened.settings.worklist.silent_days)
    _print_late(body["late"])
    print_cases("Damaged: lastgate verify --repair", [_damage_case(one) for one in body["damage"]])
    print_cases("May be one person: lastgate people --proposals", [_identity_case(one) for one in body["identities"]])
    loose = [(who(one["patient"]), [each["message"] for each in one["findings"]]) for one in body["unattached"]]
    print_cases("Belongs to no course", loose)
    print_cases("Quarantine", [(f"{one['name']}  {one['reason']}", (one["message"],)) for one in body["quarantine"]])
    print_cases("Not sent", [send_case(one) for one in body["sends"]])


def _damage_case(damage: Mapping[str, Any]) -> tuple[str, Sequence[str]]:
    return f"{damage['store']} {damage['copy']}, since {damage['since']}", (damage["problem"], damage["advice"])


def _identity_case(proposal: Mapping[str, Any]) -> tuple[str, Sequence[str]]:
    one, other = (who(proposal[which]["patient"]) for which in ("one", "other"))
    return f"{one}  and  {other}", [reason["message"] for reason in proposal["reasons"]]


def _print_waiting(entries: Sequence[Mapping[str, Any]]) -> None:
    cases = [(_heading(one), _asked_in_short(one["findings"])) for one in entries[:MOST_SHOWN]]
    print_cases(f"At the gate: {len(entries)}", cases, empty="No dossier waits.")
    if len(entries) > MOST_SHOWN:
        say(f"... and {len(entries) - MOST_SHOWN} more: lastgate gate --json, or --mail FOLDER")


def _heading(entry: Mapping[str, Any]) -> str:
    """Return which dossier it is, and for how long it has waited."""
    from lastgate.ageing import days_waiting

    days = days_waiting(entry, date.today())
    ended = f"treated until {entry['last_fraction']}" if entry["last_fraction"] else "no day of treatment"
    waits = "" if days is None else f", waits {days} day{'' if days == 1 else 's'}"
    urgent = "URGENT  " if entry["is_urgent"] else ""
    return f"{urgent}{short(entry['id'])}  {who(entry['patient'])}  {entry['state']}, {ended}{waits}"


def _asked_in_short(findings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for everybody who is asked: the codes, each once with how often."""
    told: dict[str, list[str]] = {}
    for finding in findings:
        if finding["blocks"]:
            for one in finding["asked"]:
                told.setdefault(_recipient(one), []).append(finding["code"])
    return [f"{name}: {_counted(codes)}" for name, codes in told.items()]


def _counted(codes: Sequence[str]) -> str:
    return ", ".join(f"{code} x{codes.count(code)}" if codes.count(code) > 1 else code for code in dict.fromkeys(codes))


def _print_proposals(entries: Iterable[Mapping[str, Any]], silent_days: int) -> None:
    from lastgate.ageing import proposes_to_close

    today = date.today()
    cases = [
        (f"{short(one['id'])}  {who(one['patient'])}", (f"Last treated on {one['last_fraction']}; {_why_close(one)}.",))
        for one in entries
        if proposes_to_close(one, today, silent_days=silent_days)
    ]
    print_cases("Close these, if they have ended: lastgate close DOSSIER", cases)


def _why_close(entry: Mapping[str, Any]) -> str:
    return (
        "its records say that it has ended"
        if entry["close_proposed"]
        else f"silent for {_days(entry['silent_since'])} days"
    )


def _print_late(entries: Iterable[Mapping[str, Any]]) -> None:
    from lastgate.worklist import LATE_CODES

    cases = [
        (
            f"{short(one['id'])}  {who(one['patient'])}",
            [finding["message"] for finding in one["findings"] if finding["code"] in LATE_CODES],
        )
        for one in entries
    ]
    print_cases("Came after the seal: lastgate seal DOSSIER adds it", cases)
