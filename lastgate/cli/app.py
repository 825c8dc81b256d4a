"""All commands, and the one place where errors become words."""

import sys
from typing import Annotated

import typer

from lastgate.cli import (
    accounts,
    commitments,
    corrections,
    desk,
    dose,
    gate,
    handover,
    intake,
    journal,
    keeping,
    paper,
    people,
    registrations,
    retention,
    sends,
)
from lastgate.cli.console import BAD_INPUT, REFUSED, complain

app = typer.Typer(
    name="lastgate",
    help="Long-term radiotherapy records archive: the last gate of the quality control process.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for module in (
    intake,
    sends,
    commitments,
    desk,
    gate,
    dose,
    registrations,
    paper,
    keeping,
    journal,
    handover,
    people,
    corrections,
    retention,
):
    module.register(app)
app.add_typer(accounts.app, name="account")


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"lastgate {version('lastgate')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Long-term radiotherapy records archive: the last gate of the quality control process."""


def main() -> None:
    """Run the command line; what rooms raise on purpose ends as a message and an exit code."""
    _log_beside_answers()
    try:
        app()
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        hint = getattr(error, "advice", "") or getattr(error, "hint", "")
        complain(_worded(error), hint=hint, code=getattr(error, "code", ""))
        sys.exit(code)


def _log_beside_answers() -> None:
    """Log on the standard error: on the standard output a line of the log would spoil an answer in JSON."""
    import structlog

    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def _worded(error: Exception) -> str:
    """Return an error in words; the operating system's without its number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)


def _exit_code(error: Exception) -> int | None:
    """Return 2 for bad input, 1 for what was refused or can't be had now, None for a fault of the program."""
    import sqlite3

    from archive.errors import Ambiguous, ArchiveError, NotFound
    from courses.errors import BadReference, CoursesError
    from dose.errors import DoseError
    from ingest.errors import BadPeer, IngestError
    from lastgate.errors import ServingError
    from lastgate.settings import SettingsError
    from reports.errors import EntriesUnreadable, ReportError
    from search.errors import BadQuery, SearchError
    from storage.errors import StorageError

    bad_input = SettingsError | NotFound | Ambiguous | BadQuery | BadReference | BadPeer | EntriesUnreadable
    if isinstance(error, bad_input | FileNotFoundError):
        return BAD_INPUT
    refused = (
        ArchiveError | CoursesError | DoseError | IngestError | ReportError | SearchError | ServingError | StorageError
    )
    if isinstance(error, refused | OSError | sqlite3.Error):  # the last two: a disk that is full, locked or read-only
        return REFUSED
    return None
