"""How long dossiers are kept: hold, lengthening, death, disposal; what the intake lets go of; the node's keys."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lastgate.cli.console import (
    AsUser,
    DossierName,
    JsonFlag,
    PasswordFile,
    Reason,
    account,
    day_of,
    house,
    print_json,
    print_table,
    say,
    short,
    who,
)

if TYPE_CHECKING:
    from lastgate.wiring import House

MaybeAs = Annotated[str, typer.Option("--as", help="Your account.", metavar="USER")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (hold, keep, death, dispose, tidy, keys):
        app.command()(command)


def hold(
    dossier: DossierName,
    reason: Reason,
    as_user: AsUser,
    lift: Annotated[bool, typer.Option("--lift", help="Let it go again (a retention officer does).")] = False,
    password_file: PasswordFile = None,
) -> None:
    """Forbid that a dossier is disposed of, whatever its retention; or lift that."""
    from lastgate.keeping import keeping_of

    with house() as opened:
        user = account(opened, as_user, password_file)
        key, found = opened.dossier(dossier)
        by_store = keeping_of(opened).hold(key, found.id, held=not lift, reason=reason, account=user)
        if lift:
            say(f"{short(found.id)} is no longer on hold.")
        else:
            by = "the store itself and this program" if by_store else "this program"
            say(f"{short(found.id)} is on hold, kept by {by}.")


def keep(
    dossier: DossierName,
    until: Annotated[str, typer.Option(help="Last day on which it is kept, such as 2070-03-31.")],
    reason: Reason,
    as_user: AsUser,
    password_file: PasswordFile = None,
) -> None:
    """Keep a sealed dossier longer than the rules ask; nobody can shorten that again."""
    from lastgate.keeping import keeping_of

    with house() as opened:
        user = account(opened, as_user, password_file)
        key, found = opened.dossier(dossier)
        kept = keeping_of(opened).keep_until(key, found.id, until=day_of(until), reason=reason, account=user)
        say(f"{short(found.id)} is kept until {kept.retention.until}.")


def death(
    patient: Annotated[str, typer.Argument(help="Patient ID, ISSUER/ID, or a dossier.", metavar="PATIENT")],
    date: Annotated[str, typer.Option(help="Day of death, such as 2026-03-31.")],
    reason: Annotated[str, typer.Option("--reason", help="Who or what tells so.")],
    as_user: AsUser,
    password_file: PasswordFile = None,
) -> None:
    """State on which day a patient died: some terms count from it."""
    from lastgate.keeping import keeping_of

    with house() as opened:
        user = account(opened, as_user, password_file)
        record = opened.patient(patient)
        kept = keeping_of(opened).state_death(record.key, day=day_of(date), reason=reason, account=user)
        say(f"Noted; {len(kept)} sealed dossiers.")
        for one in kept:
            say(f"{short(one.dossier.id)} is kept until {one.retention.until}.")


def dispose(
    dossier: Annotated[str, typer.Argument(help="The dossier, or its beginning.", metavar="[DOSSIER]")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why it goes; the first of two persons says so.")] = "",
    confirm: Annotated[bool, typer.Option("--confirm", help="Be the second: destroy what another asked for.")] = False,
    due: Annotated[bool, typer.Option("--due", help="List what may be disposed of.")] = False,
    as_user: MaybeAs = "",
    password_file: PasswordFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Destroy a dossier whose retention has ended; two retention officers are needed."""
    with house() as opened:
        if due:
            _print_due(opened, as_json=as_json)
            return
        if not dossier or not as_user:
            raise typer.BadParameter("name the dossier and --as USER, or ask for --due")
        _dispose(opened, dossier, reason, as_user, password_file, is_second=confirm)


def _dispose(
    opened: "House", name: str, reason: str, as_user: str, password_file: PasswordFile, *, is_second: bool
) -> None:
    from lastgate.keeping import keeping_of

    user = account(opened, as_user, password_file)
    key, found = opened.dossier(name)
    keeping = keeping_of(opened)
    if not is_second:
        keeping.ask_disposal(key, found.id, reason=reason, account=user)
        say(f"Asked to dispose of {short(found.id)}. A second retention officer must confirm:")
        say(f"lastgate dispose {found.id} --confirm --as USER")
        return
    certificate = keeping.confirm_disposal(key, found.id, account=user)
    say(f"{found.id} is destroyed: {len(certificate.files)} files, version {certificate.version}.")
    say(f"Asked for by {certificate.requested_by}, confirmed by {certificate.confirmed_by}; the certificate stays.")


def _print_due(opened: "House", *, as_json: bool) -> None:
    from lastgate.keeping import due

    found = list(due(opened))
    if as_json:
        print_json([{"id": kept.dossier.id, "kept_until": kept.retention.until.isoformat()} for kept, _ in found])
        return
    rows = [(short(kept.dossier.id), who(patient), kept.retention.until) for kept, patient in found]
    print_table("Retention ended", ("Dossier", "Patient", "Kept until"), rows, empty="No retention has ended.")


def tidy(as_json: JsonFlag = False) -> None:
    """Let the intake go of what lies in the vault, and end disposals that were interrupted."""
    from lastgate.keeping import tidy as sweep

    with house() as opened:
        found = list(sweep(opened))
    if as_json:
        print_json([{"id": one.dossier, "version": one.version, "objects": one.objects} for one in found])
        return
    for one in found:
        say(f"{short(one.dossier)} version {one.version}: {one.objects} objects, {one.bytes / 1e6:.1f} MB")
    say(f"The intake let go of {sum(one.objects for one in found)} objects.")


def keys(
    rotate: Annotated[bool, typer.Option("--rotate", help="Give this node a new key; the old one ends.")] = False,
    revoke: Annotated[str, typer.Option("--revoke", help="Id of an ended key that others may have had.")] = "",
    since: Annotated[str, typer.Option(help="From when on nothing it signed counts: 2026-03-31T14:00 (UTC).")] = "",
    reason: Annotated[str, typer.Option("--reason", help="What happened to the key.")] = "",
    as_user: MaybeAs = "",
    password_file: PasswordFile = None,
    as_json: JsonFlag = False,
) -> None:
    """List the keys of all nodes, give this node a new one, or revoke one."""
    from archive.signing.keys import KeyRing

    with house() as opened:
        if rotate or revoke:
            _change_keys(opened, as_user, password_file, revoke=revoke, since=since, reason=reason)
        found = [_key_answer(one) for one in KeyRing(opened.stores.work).all()]
    if as_json:
        print_json(found)
        return
    columns = ("Key", "Node", "From (UTC)", "Ended", "Revoked from", "Why")
    rows = [
        (one["id"], one["node"], *(str(one[name] or "")[:16] for name in ("from", "ended", "revoked")), one["why"])
        for one in found
    ]
    print_table("Keys", columns, rows, empty="No node has signed anything yet.")


def _change_keys(
    opened: "House", as_user: str, password_file: PasswordFile, *, revoke: str, since: str, reason: str
) -> None:
    from archive.errors import Refused
    from lastgate.keeping import revoke_key, rotate_key

    if not as_user:
        raise typer.BadParameter("say who you are: --as USER")
    user = account(opened, as_user, password_file)
    if user.role != "administrator":
        raise Refused(f"A {user.role} may not change keys", hint="Ask an administrator.")
    if revoke:
        revoke_key(opened, revoke, since=_moment(since), reason=reason, account=user.name)
    else:
        rotate_key(opened, account=user.name)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no moment; write --since 2026-03-31T14:00 (UTC)") from error


def _key_answer(key: Any) -> dict[str, Any]:
    def told(moment: datetime | None) -> str | None:
        return moment.isoformat(timespec="seconds") if moment else None

    return {
        "id": key.id,
        "node": key.node,
        "from": told(key.valid_from),
        "ended": told(key.ended_at),
        "revoked": told(key.revoked_at),
        "why": key.note or None,
    }
