"""Accounts: who may act."""

from typing import Annotated

import typer

from lastgate.cli.console import JsonFlag, PasswordFile, house, password_of, print_json, print_table, say

app = typer.Typer(help="Accounts: who may act, in which role.", no_args_is_help=True)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name of the account.")],
    role: Annotated[str, typer.Option(help="file-manager, physicist, doctor, administrator or retention-officer.")],
    password_file: PasswordFile = None,
) -> None:
    """Make an account."""
    with house() as opened:
        made = opened.accounts.add(name, role, password_of(name, password_file, is_new=True))
        say(f"Made the account {made.name} ({made.role}).")


@app.command("list")
def list_(as_json: JsonFlag = False) -> None:
    """List the accounts."""
    with house() as opened:
        rows = [{"name": one.name, "role": one.role} for one in opened.accounts.all()]
    if as_json:
        print_json(rows)
        return
    empty = "There are no accounts yet: lastgate account add NAME --role ROLE"
    print_table("Accounts", ("Name", "Role"), [(row["name"], row["role"]) for row in rows], empty=empty)
