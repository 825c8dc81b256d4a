"""How things come in and go out: import, the DICOM node, sending to another node, quarantine."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lastgate.cli.console import REFUSED, JsonFlag, err, house, print_cases, print_json, say

if TYPE_CHECKING:
    from ingest.import_folder import ImportReport


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
    import signal
    import threading

    from lastgate.reception import serve_until

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with house() as opened:
        node = opened.settings.node
        serve_until(
            opened,
            stop,
            on_start=lambda port: say(f"{node.aet} listens on {node.host}:{port}; archive in {opened.home}"),
        )


def import_(
    paths: Annotated[list[Path], typer.Argument(help="Folders, files, zip archives.", metavar="PATH...")],
    patient: Annotated[str, typer.Option(help="Whose the documents are: ID or ISSUER/ID.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Import folders, single files and zip archives: DICOM and documents."""
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
    dossier: Annotated[str, typer.Argument(help="Id of the dossier, or its beginning.", metavar="DOSSIER")],
    peer: Annotated[str, typer.Argument(help="Where to.", metavar="AET@HOST:PORT")],
    as_json: JsonFlag = False,
) -> None:
    """Send a dossier's DICOM objects to a planning system (C-STORE)."""
    from ingest.sender import Peer
    from lastgate.sending import send_dossier

    target = Peer.parse(peer)
    with house() as opened:
        _, found = opened.dossier(dossier)
        body = send_dossier(opened, found, target)
    if as_json:
        print_json(body)
    else:
        say(f"{body['stored']} of {body['objects']} objects of {found.id[:10]} are stored at {peer}.")
        for one in body["refused"]:
            say(f"{one['uid']}: {one['reason']}")
    if body["refused"]:
        raise typer.Exit(REFUSED)


def quarantine(as_json: JsonFlag = False) -> None:
    """List what could not be understood; nothing of it is lost."""
    with house() as opened:
        rows = opened.quarantined()
    if as_json:
        print_json(rows)
        return
    cases = [(f"{one['name']}  {one['reason']}  {one['sha256'][:12]}", (one["message"], one["hint"])) for one in rows]
    print_cases("Quarantine", cases, empty="Nothing is in quarantine.")
