"""Queued sends: what waits, and what became of it."""

from typing import Annotated, Any

import typer

from lastgate.cli.console import JsonFlag, house, print_cases, print_json, say


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(sends)


def sends(
    cancel: Annotated[str, typer.Option(help="Id of a send, or its beginning: do not try it any more.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """List queued sends: what waits to be sent, what was sent, and what was given up."""
    from lastgate.sending import cancel_send, queued_sends

    with house() as opened:
        cancelled = cancel_send(opened, cancel) if cancel else None
        body = [cancelled] if cancelled else queued_sends(opened)
    if as_json:
        print_json(body)
    elif cancelled:
        say(f"{cancelled['id']} is cancelled; {cancelled['stored']} objects were stored at {cancelled['peer']}.")
    else:
        print_cases("Queued sends", [send_case(one) for one in body], empty="Nothing is queued.")


def send_case(one: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return a queued send as it is printed: a headline and what there is to say of it."""
    done = f"{one['stored']} stored, {one['waiting']} waiting, {len(one['refused'])} refused"
    tried = f"tried {one['tries']} time(s) in vain, last: {one['reason']}" if one["tries"] else ""
    later = f"next try {one['next_at'][:16]}, given up after {one['until'][:10]}" if one["next_at"] else ""
    refused = (f"refused: {each['uid']}: {each['reason']}" for each in one["refused"])
    lines = (f"dossier {one['dossier'][:10]}, asked {one['asked_at'][:16]}: {done}", tried, later, *refused)
    return f"{one['id']}  {one['peer']}  {one['state']}", tuple(line for line in lines if line)
