"""What the node has agreed on with others: commitments, procedure steps, and the statement of what it conforms to."""

from typing import Any

import typer

from lastgate.cli.console import JsonFlag, house, print_cases, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(commitments)
    app.command("procedure-steps")(procedure_steps)
    app.command()(conformance)


def commitments(as_json: JsonFlag = False) -> None:
    """List requests for Storage Commitment: what was asked of us, and what we asked, with the answers."""
    from lastgate.committing import commitments_of

    with house() as opened:
        body = commitments_of(opened)
    if as_json:
        print_json(body)
        return
    print_cases("Asked of us", [_asked_of_us(one) for one in body["asked_of_us"]], empty="Nobody has asked us.")
    print_cases("Asked by us", [_asked_by_us(one) for one in body["asked_by_us"]], empty="We have not asked anybody.")


def _asked_of_us(one: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    name = f"{one['requestor']}  {one['received_at'][:16]}  {one['stage']}"
    kept = (
        f"{one['instances']} instances, {len(one['failures'])} not committed to; transaction {one['transaction_uid']}"
    )
    return name, (kept, *map(_failure, one["failures"]), one["reason"])


def _asked_by_us(one: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    name = f"{one['peer']}  {one['asked_at'][:16]}  {one['stage']}"
    what = f"{one['instances']} instances" + (f" of dossier {one['dossier'][:10]}" if one["dossier"] else "")
    return name, (f"{what}; transaction {one['transaction_uid']}", *map(_failure, one["failures"]), one["reason"])


def _failure(one: dict[str, Any]) -> str:
    return f"not committed to: {one['uid']} ({one['reason']})"


def procedure_steps(as_json: JsonFlag = False) -> None:
    """List the performed procedure steps modalities told of (MPPS)."""
    from lastgate.procedures import steps_of

    with house() as opened:
        body = steps_of(opened)
    if as_json:
        print_json(body)
        return
    columns = ("modality", "begun", "status", "patient", "step")
    rows = [(one["modality"], one["created_at"][:16], one["status"], one["patient_id"], one["uid"]) for one in body]
    print_table("Performed procedure steps", columns, rows, empty="No modality has told of a step.")


def conformance() -> None:
    """Print the DICOM conformance statement, in Markdown."""
    from lastgate.conforming import statement_of

    with house() as opened:
        typer.echo(statement_of(opened), nl=False)
