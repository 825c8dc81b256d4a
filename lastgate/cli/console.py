"""What commands print, and how errors become words and exit codes."""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from archive.desk.accounts import Account
    from lastgate.wiring import House

# Escape sequences, and marks that turn the direction of what follows.
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

REFUSED = 1
BAD_INPUT = 2

# Names, labels and paths are printed as they are: rich would take "[/b]" or ":x:" in them for markup.
out = Console(highlight=False, markup=False, emoji=False)
err = Console(stderr=True, highlight=False, markup=False, emoji=False)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DossierName = Annotated[str, typer.Argument(help="Id of the dossier, or its beginning.", metavar="DOSSIER")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in your words.")]
AsUser = Annotated[str, typer.Option("--as", help="Your account.", metavar="USER")]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", help="File that holds the password; else it is asked for.")
]


def say(text: str, *, style: str | None = None) -> None:
    """Print a line for people; a path or name in it is never broken in two."""
    out.print(_printable(text), style=style, soft_wrap=True)


def complain(message: str, *, hint: str, code: str) -> None:
    """Print what went wrong, what to do, and the code under which it is explained."""
    err.print(_printable(message), style="bold red", soft_wrap=True)
    for line, style in ((hint, None), (code, "dim")):
        if line:
            err.print(_printable(line), style=style, soft_wrap=True)


def _printable(text: str) -> str:
    """Show control characters instead of sending them: a label of a plan must not steer the terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def print_json(body: object) -> None:
    """Print JSON in a stable form."""
    sys.stdout.write(json.dumps(body, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "Nothing."
) -> None:
    """Print a table, or what to do where it would be empty."""
    table = Table(title=title, title_justify="left", header_style="bold", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else _printable(str(value)) for value in row))
    if table.row_count:
        out.print(table)
    else:
        say(empty)


def print_cases(title: str, cases: Iterable[tuple[str, Sequence[str]]], *, empty: str = "") -> None:
    """Print what needs sentences rather than columns: what each case is, and indented below it what to know."""
    found = list(cases)
    if not found:
        if empty:
            say(empty)
        return
    say(title, style="italic")
    for name, sentences in found:
        say(name, style="bold")
        for sentence in filter(None, sentences):
            say(f"   {sentence}")


@contextmanager
def house() -> "Iterator[House]":
    """Open the archive the settings name; what is refused to somebody goes to the journal."""
    from archive.errors import Refused
    from archive.journal.journal import Event
    from lastgate.settings import load_settings
    from lastgate.wiring import open_house

    with open_house(load_settings()) as opened:
        try:
            yield opened
        except Refused as error:
            event = Event(act="refuse", account=opened.acting, subject={"why": str(error)}, outcome="refused")
            opened.journal.append(event)
            raise


def account(opened: "House", name: str, password_file: Path | None) -> "Account":
    """Ask who is acting and check it."""
    opened.acting = name
    return opened.accounts.check(name, password_of(name, password_file))


def password_of(name: str, file: Path | None, *, is_new: bool = False) -> str:
    """Return the password from the file, from ``LASTGATE_PASSWORD``, or as it is typed: a new one twice."""
    if file is not None:
        return read_text(file).rstrip("\r\n")
    given = os.environ.get("LASTGATE_PASSWORD")
    return given or str(typer.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=is_new, err=True))


def read_text(path: Path) -> str:
    """Return what is written in a file; bad usage if it can't be read as text."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise typer.BadParameter(f"{path} can't be read: {why}") from error


def day_of(text: str) -> date:
    """Return the day a user wrote; bad usage if it is none."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no day; write it as 2026-03-31") from error


def short(identity: str) -> str:
    """Return the beginning of a dossier's id, which is enough to name it."""
    return identity[:10]


def period(body: dict[str, Any]) -> str:
    """Return from when to when a course was treated."""
    if body["first_fraction"]:
        return f"{body['first_fraction']} to {body['last_fraction']}"
    return f"planned {body['plan_date']}" if body["plan_date"] else ""


def fractions(body: dict[str, Any]) -> str:
    """Return delivered of planned fractions, phase by phase."""
    return ", ".join(f"{phase['fractions_delivered']}/{phase['fractions_planned'] or '?'}" for phase in body["phases"])


def who(body: dict[str, Any]) -> str:
    """Return name and identifiers of a patient."""
    ids = ", ".join(f"{one['value']} ({one['issuer']})" if one["issuer"] else one["value"] for one in body["ids"])
    return f"{body['name'] or 'no name'}  {ids or 'no ID'}"
