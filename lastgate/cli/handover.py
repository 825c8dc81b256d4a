"""Handing dossiers over to others."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lastgate.cli.console import DossierName, JsonFlag, PasswordFile, account, house, print_cases, print_json, say

if TYPE_CHECKING:
    from lastgate.exporting import Exported


class Layout(StrEnum):
    """How a package is laid out."""

    OCFL = "ocfl"
    BAGIT = "bagit"
    DICOMDIR = "dicomdir"


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(export)


def export(
    dossier: DossierName,
    folder: Annotated[Path, typer.Argument(help="A new folder: what is there is never written over.", metavar="DIR")],
    package: Annotated[Layout, typer.Option("--format", help="How it is laid out.")] = Layout.OCFL,
    deidentify: Annotated[bool, typer.Option("--deidentify", help="Take the patient's identity away.")] = False,
    as_user: Annotated[str, typer.Option("--as", help="Your account.", metavar="USER")] = "",
    password_file: PasswordFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a dossier as a package that others can check and read."""
    from archive.handover.formats import PackageFormat
    from lastgate.exporting import export_dossier

    layout = PackageFormat(package.value)
    with house() as opened:
        user = account(opened, as_user, password_file).name if as_user else opened.acting
        key, found = opened.dossier(dossier)
        done = export_dossier(opened, key, found, folder, package=layout, account=user, is_deidentified=deidentify)
    if as_json:
        print_json(done.answer())
        return
    _print_exported(done)


def _print_exported(done: "Exported") -> None:
    say(f"Wrote {done.files} files ({done.size_bytes} bytes) of {done.dossier[:10]} to {done.target}.")
    if not done.is_sealed and not done.is_deidentified:
        say("It is not sealed: nobody has signed that it is complete.")
    if done.late:
        say(f"{done.late} objects came after the seal and are not in it: seal them as an addendum first.")
    cases = [(f"{one['count']} {one['kind']}", (str(one["reason"]),)) for one in done.left_out]
    print_cases("Left out", cases)
    if done.is_deidentified:
        say("Look at pictures and plans before you hand it on: a face can be made from a CT of a head.")
