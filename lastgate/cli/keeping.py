"""Keeping the archive: fixity, index."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lastgate.cli.console import REFUSED, JsonFlag, err, house, print_json, print_table, say, short

if TYPE_CHECKING:
    from lastgate.found import Found
    from lastgate.wiring import House


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (verify, rebuild, doctor, drain):
        app.command()(command)


def verify(
    dossier: Annotated[str, typer.Argument(help="One sealed dossier; the whole archive if left out.")] = "",
    repair: Annotated[bool, typer.Option("--repair", help="Mend damaged copies from whole ones.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Compare both digests of sealed files.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Read nothing; tell how far the audit is.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Read the archive back and compare every digest and seal."""
    from lastgate.auditing import audit_status
    from lastgate.auditing import verify as outcomes
    from lastgate.found import Found

    with house() as opened:
        if status:
            _print_status(audit_status(opened), as_json=as_json)
            return
        name = _sealed(opened, dossier) if dossier else ""
        found = Found()
        with _counting(as_json) as tell:
            for outcome in outcomes(opened, name, repair=repair, full=full):
                found.add(outcome)
                tell(found)
    if as_json:
        print_json(found.answer())
    else:
        for problem in found.problems:
            say(problem)
        say(f"{found.objects} objects, {found.size_bytes / 1e6:.1f} MB read back, {found.repaired} copies mended.")
        say(f"{found.dossiers} sealed dossiers read back, {len(found.problems)} problems.")
    if found.problems:
        raise typer.Exit(REFUSED)


def _sealed(opened: "House", name: str) -> str:
    """Return the id of a sealed dossier; of one that is not sealed there is nothing to read back."""
    from archive.errors import Refused

    dossier = opened.dossier(name)[1]
    if not dossier.version:
        hint = "Run `lastgate verify` without a name: it reads what is not sealed yet, too."
        raise Refused(f"The dossier {short(dossier.id)} is not sealed", hint=hint)
    return dossier.id


@contextmanager
def _counting(as_json: bool) -> Iterator[Callable[["Found"], None]]:
    """Show how much was read, where somebody looks on."""
    from rich.progress import Progress, TextColumn

    shown = TextColumn("{task.description}")
    with Progress(shown, console=err, disable=as_json or not err.is_terminal, transient=True) as progress:
        task = progress.add_task("Reading back")

        def tell(found: "Found") -> None:
            read = f"Read back: {found.objects} objects, {found.size_bytes / 1e9:.2f} GB"
            progress.update(task, description=read)

        yield tell


def _print_status(status: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(status)
        return
    last, now, second, period = status["last"], status["now"], status["second_store"], status["period_days"]
    if last:
        read = f"{last['objects']} objects, {last['bytes'] / 1e6:.1f} MB"
        say(f"Everything was read back last from {last['began']} to {last['ended']}: {read},")
        say(f"{last['damages']} damaged copies found, {last['repaired']} of them mended.")
    else:
        say("The archive was never read back as a whole; lastgate serve does it in the background.")
    if now:
        say(f"Round {now['round']} began on {now['began']}: {now['percent']} % are read, of a period of {period} days.")
    if second:
        say(f"Second store: {'reached' if second['reached'] else 'AWAY'}, {second['behind']} keys behind.")
    rows = [(one["since"], one["kind"], f"{one['store']} {one['copy']}", one["problem"]) for one in status["damage"]]
    print_table("Damage", ("Since", "Kind", "Store", "What is wrong"), rows, empty="No damage is known.")
    for advice in dict.fromkeys(one["advice"] for one in status["damage"]):
        say(advice)


def rebuild() -> None:
    """Build the index anew from the object store."""
    with house() as opened:
        say(f"The index holds {opened.rebuild()} documents.")


def doctor() -> None:
    """Prove on the running stores what the archive relies on."""
    with house() as opened:
        for name, store in (("work", opened.stores.work), ("vault", opened.stores.locked)):
            store.self_test()
            capable = store.capabilities
            lock = "locks versions itself" if capable.locks_versions else "locks by this program only"
            durable = (
                "keeps what it acknowledged through a power cut" if capable.durable_on_return else "may lose seconds"
            )
            say(f"{name} store ({capable.name}): fit; it {durable}, {lock}.")
        _say_second(opened)
        opened.index.check()
        say("index: readable.")


def _say_second(opened: "House") -> None:
    from lastgate.auditing import second_store

    found = second_store(opened)
    if found is not None:
        is_there = "reached" if found["reached"] else "AWAY, everything is written to the first only"
        say(f"second store: {is_there}; {found['behind']} keys behind.")


def drain(as_json: JsonFlag = False) -> None:
    """Empty this node for good: file everything, let go of what is safe, say what remains."""
    from lastgate.draining import drain as run

    with house() as opened:
        drained = run(opened)
        home = opened.home
    if as_json:
        until = drained.held_until.isoformat() if drained.held_until else None
        print_json({**asdict(drained), "held_until": until})
    else:
        told = ", ".join(f"{count} {what}" for what, count in drained.filed.items())
        say(f"Filed: {told or 'nothing was left to file'}. The spool let go of {drained.released} files.")
        if drained.waiting:
            say(f"{drained.waiting} could not be filed; they are in {home / 'spool'}, and the log says why.")
        if drained.held_until is not None:
            until = drained.held_until.strftime("%Y-%m-%d %H:%M")
            say(f"{drained.held} stay in the spool until {until} UTC: the store may lose its last seconds.")
            say("Drain again then.")
        if drained.is_empty:
            say(f"Nothing of what was received is left in {home}.")
    if not drained.is_empty:
        raise typer.Exit(REFUSED)
