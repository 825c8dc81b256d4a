"""Keeping the archive: fixity, index, journal."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from lastgate.cli.console import REFUSED, JsonFlag, err, house, print_json, print_table, say, short


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (verify, rebuild, journal, doctor, drain):
        app.command()(command)


def verify(
    dossier: Annotated[str, typer.Argument(help="One dossier; all sealed ones if left out.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Read sealed dossiers back and compare every digest and seal."""
    from rich.progress import track

    with house() as opened:
        names = [opened.dossier(dossier)[1].id] if dossier else list(opened.vault.dossiers())
        wrong = [
            problem
            for name in track(
                names, description="Reading back", console=err, disable=as_json or not err.is_terminal, transient=True
            )
            for problem in opened.vault.check(name)
        ]
    if as_json:
        print_json({"dossiers": len(names), "problems": wrong})
    else:
        for problem in wrong:
            say(problem)
        say(f"{len(names)} sealed dossiers read back, {len(wrong)} problems.")
    if wrong:
        raise typer.Exit(REFUSED)


def rebuild() -> None:
    """Build the index anew from the object store."""
    with house() as opened:
        say(f"The index holds {opened.rebuild()} documents.")


def journal(
    verify_chain: Annotated[bool, typer.Option("--verify", help="Check the chain of every node.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Who did what; with --verify, prove that nothing was changed or left out."""
    with house() as opened:
        opened.journal.flush()
        checked = opened.journal.verify() if verify_chain else None
        events = list(opened.journal.events())
    if as_json:
        print_json({"events": events, "verified": checked})
        return
    rows = [(one["at"][:16].replace("T", " "), one["account"], _act(one), _told(one["subject"])) for one in events]
    print_table("Journal", ("Time (UTC)", "Who", "Act", "What"), rows, empty="Nothing was done yet.")
    if checked is not None:
        say(f"The chain is whole: {checked} events, signed to the end.")


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
        opened.index.check()
        say("index: readable.")


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
