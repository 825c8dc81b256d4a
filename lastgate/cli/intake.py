"""How things come in and go out: import, the DICOM node, sending to another node, quarantine."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lastgate.cli.console import REFUSED, DossierName, JsonFlag, err, house, print_cases, print_json, say

if TYPE_CHECKING:
    from ingest.folders.import_folder import ImportReport


class Scale(StrEnum):
    """How fine the sample of the demo is."""

    FULL = "full"
    SMALL = "small"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(demo)
    app.command()(serve)
    app.command("import")(import_)
    app.command()(send)
    app.command()(quarantine)


def demo(
    home: Annotated[Path, typer.Option(help="Folder of the sample archive; it is made anew or gone on with.")] = Path(
        "lastgate-demo"
    ),
    scale: Annotated[Scale, typer.Option(help="Of clinical size, or coarse and quick.")] = Scale.FULL,
    as_json: JsonFlag = False,
) -> None:
    """Run the main job on a fictional department: receive, check, seal, print, compose."""
    from lastgate.demo import run

    run(home, as_json=as_json, scale=scale.value)


def serve() -> None:
    """Run the DICOM node until it is stopped (Ctrl-C)."""
    from lastgate.serving import serve as run
    from lastgate.settings import load_settings

    settings = load_settings()
    node, home = settings.node, settings.home.absolute()
    run(settings, on_start=lambda port: say(f"{node.aet} listens on {node.host}:{port}; archive in {home}"))


def import_(
    paths: Annotated[list[Path], typer.Argument(help="Folders, files, zip archives.", metavar="PATH...")],
    patient: Annotated[str, typer.Option(help="Whose the documents are: ID or ISSUER/ID.")] = "",
    as_files: Annotated[
        bool, typer.Option("--as-files", help="Take the files of a package as they lie, even if it is damaged.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Import folders, single files and zip archives: DICOM, documents, packages of dossiers."""
    from rich.progress import BarColumn, Progress, TextColumn

    from archive.headers import Identifier
    from lastgate.reception import take_in

    missing = [path for path in paths if not path.exists()]
    if missing:
        raise FileNotFoundError(f"There is no {missing[0]}")
    issuer, _, value = patient.rpartition("/")
    columns = (
        TextColumn("Importing {task.completed} files"),
        BarColumn(pulse_style="cyan"),
        TextColumn("{task.fields[name]}", markup=False),
    )
    with (
        house() as opened,
        Progress(*columns, console=err, disable=as_json or not err.is_terminal, transient=True) as progress,
    ):
        # Without an issuer it is the site's own, as for patient IDs in DICOM files that name none.
        whose = Identifier(value=value, issuer=issuer or opened.settings.node.issuer) if value else None
        task = progress.add_task("import", total=None, name="")
        report = take_in(
            opened,
            paths,
            patient=whose,
            on_progress=lambda line: progress.update(task, advance=1, name=Path(line.path).name),
            as_files=as_files,
        )
    if as_json:
        print_json({"counts": report.counts, "files": [asdict(line) for line in report.lines]})
    else:
        _print_report(report)
    if not report.is_clean:
        raise typer.Exit(REFUSED)


def _print_report(report: "ImportReport") -> None:
    told = ", ".join(f"{count} {what}" for what, count in sorted(report.counts.items()))
    say(f"{len(report.lines)} files: {told or 'none'}.")
    odd = [(f"{line.path}  {line.disposition}", (line.reason,)) for line in report.lines if line.reason]
    print_cases("To look at", odd)


def send(
    dossier: DossierName,
    peer: Annotated[str, typer.Argument(help="Where to; a title alone if a rule knows it.", metavar="AET@HOST:PORT")],
    queue: Annotated[bool, typer.Option("--queue", help="Leave it to `serve`, which tries until it is there.")] = False,
    commit: Annotated[bool, typer.Option("--commit", help="Ask the peer to answer for what it stored.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Send a dossier's DICOM objects to a planning system (C-STORE)."""
    from lastgate.sending import peer_of, queue_dossier, send_dossier

    if queue and commit:
        raise typer.BadParameter("A queued send can't be waited for: leave out --commit, or --queue")
    with house() as opened:
        target = peer_of(opened, peer)
        _, found = opened.dossier(dossier)
        if queue:
            _print_queued(queue_dossier(opened, found, target), as_json=as_json)
            return
        body = send_dossier(opened, found, target)
        if commit:
            from lastgate.committing import ask_for_dossier

            body["commitment"] = ask_for_dossier(opened, found, target, refused={one["uid"] for one in body["refused"]})
    if as_json:
        print_json(body)
    else:
        say(f"{body['stored']} of {body['objects']} objects of {found.id[:10]} are stored at {peer}.")
        for one in body["refused"]:
            say(f"{one['uid']}: {one['reason']}")
        if commit:
            say(_commitment_told(body["commitment"]))
    if body["refused"] or body.get("commitment", {}).get("stage") in ("failed", "refused"):
        raise typer.Exit(REFUSED)


def _print_queued(body: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(body)
    else:
        say(f"{body['waiting']} objects wait as {body['id']} for {body['peer']}; see `lastgate sends`.")


def _commitment_told(request: dict[str, Any]) -> str:
    """Return what came of asking for commitment."""
    if request["stage"] == "committed":
        return f"{request['peer']} answers for all {request['instances']}."
    if request["stage"] == "asked":
        return f"{request['peer']} was asked to answer for them; see `lastgate commitments` for its answer."
    why = request["reason"] or ", ".join(f"{one['uid']} ({one['reason']})" for one in request["failures"])
    again = "; it is asked again" if request["stage"] == "unsent" else ""
    return f"{request['peer']} does not answer for them: {why}{again}."


def quarantine(
    again: Annotated[
        list[str] | None,
        typer.Option("--retry", help="File this again: a digest, its beginning, or `all`.", metavar="SHA256"),
    ] = None,
    patient: Annotated[str, typer.Option(help="With --retry: whose the documents are: ID or ISSUER/ID.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """List what could not be understood, or try again to file it; nothing of it is lost."""
    if again:
        _retry(again, patient=patient, as_json=as_json)
        return
    with house() as opened:
        rows = opened.quarantined()
    if as_json:
        print_json(rows)
        return
    cases = [(f"{one['name']}  {one['reason']}  {one['sha256'][:12]}", (one["message"], one["hint"])) for one in rows]
    print_cases("Quarantine", cases, empty="Nothing is in quarantine.")


def _retry(names: list[str], *, patient: str, as_json: bool) -> None:
    from archive.headers import Identifier
    from lastgate.retrying import retry

    issuer, _, value = patient.rpartition("/")
    with house() as opened:
        whose = Identifier(value=value, issuer=issuer or opened.settings.node.issuer) if value else None
        tried = retry(opened, () if "all" in names else names, patient=whose)
    if as_json:
        print_json([asdict(one) for one in tried])
    else:
        cases = [(f"{one.sha256[:12]}  {one.disposition}", (one.reason,)) for one in tried]
        print_cases("Tried again", cases, empty="Nothing is in quarantine.")
    if any(one.disposition in ("quarantined", "lost", "waiting") for one in tried):
        raise typer.Exit(REFUSED)
