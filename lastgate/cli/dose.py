"""Dose of one course and composite dose of a patient."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lastgate.cli.console import DossierName, JsonFlag, day_of, err, house, print_json, print_table, say, short, who


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(dvh)
    app.command()(composite)
    app.command("check-dose")(check_dose)


def check_dose(
    dossier: Annotated[str, typer.Argument(help="One dossier; all at the gate if left out.", metavar="[DOSSIER]")] = "",
) -> None:
    """Look at the planned dose of what waits at the gate, so that the gate can judge it."""
    from lastgate.checking import check_doses, check_patient

    with house() as opened:
        count = check_patient(opened, opened.dossier(dossier)[0]) if dossier else check_doses(opened)
        say(f"Looked at the dose of {count} plan{'' if count == 1 else 's'}.")


AsPlanned = Annotated[
    bool, typer.Option("--as-planned", help="Take every plan as delivered as planned: for plans, never for patients.")
]


def dvh(
    dossier: DossierName,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the histograms as CSV.")] = None,
    as_planned: AsPlanned = False,
    as_json: JsonFlag = False,
) -> None:
    """Dose-volume histograms of a course."""
    from courses.answers import dvh_answer
    from courses.composite import compose

    with house() as opened:
        key, found = opened.dossier(dossier)
        composed = compose(opened.desk.record(key), opened.reader, only=found, as_planned=as_planned)
        body = dvh_answer(composed, opened.reader, basis="planned" if as_planned else "delivered")
    if output is not None:
        _write_csv(body, output)
    if as_json:
        print_json(body)
        return
    rows = [
        (
            one["name"],
            f"{one['volume_cc']:.2f}",
            *(_figure(one["physical"][name]) for name in ("mean_gy", "max_gy", "d95_gy", "d2cc_gy")),
        )
        for one in body["structures"]
    ]
    columns = ("Structure", "cm3", "Mean Gy", "Max Gy", "D95 Gy", "D2cc Gy")
    print_table(f"Dose as {body['basis']}", columns, rows, empty="The dossier has no structures with a volume.")
    for warning in body["warnings"]:
        say(warning)


def _figure(figure: dict[str, float | None]) -> str:
    if figure["value"] is not None:
        return f"{figure['value']:.2f}"
    if figure["hi"] is None:
        return f"at least {figure['lo']:.2f}"
    return f"unknown, {figure['lo']:.2f} to {figure['hi']:.2f}"


def _write_csv(body: dict[str, Any], path: Path) -> None:
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("structure", "dose_gy", "volume_cc_at_least", "volume_cc_at_most"))
        for one in body["structures"]:
            curve = one["curve"]
            rows = zip(curve["dose_gy"], curve["lo_cc"], curve["hi_cc"], strict=True)
            writer.writerows((one["name"], *row) for row in rows)


def composite(
    patient: Annotated[str, typer.Argument(help="Patient ID, ISSUER/ID, or a dossier.", metavar="PATIENT")],
    onto: Annotated[str, typer.Option(help="Series or dossier to compose onto; the newest course if left out.")] = "",
    as_of: Annotated[str, typer.Option(help="Day intervals are counted to; the last session if left out.")] = "",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for RTDOSE, picture and report.")
    ] = None,
    as_planned: AsPlanned = False,
    as_json: JsonFlag = False,
) -> None:
    """Sum the delivered dose of all courses of a patient."""
    from lastgate.composing import compose_patient

    day = day_of(as_of) if as_of else None
    with house() as opened, err.status("Composing ..."):
        body = compose_patient(
            opened, opened.patient(patient), onto=onto, as_of=day, as_planned=as_planned, folder=output
        )
    if as_json:
        print_json(body)
        return
    _print_composite(body)


def _print_composite(body: dict[str, Any]) -> None:
    say(f"{who(body['patient'])}  composite {body['dose_type']} dose, DRAFT", style="bold")
    rows = [
        (
            short(course["dossier"]),
            f"{course['first_fraction'] or '?'} to {course['last_fraction'] or '?'}",
            plan["label"] or plan["uid"],
            f"{plan['fractions']['delivered']:g}/{plan['fractions']['planned'] or '?'}",
            plan["source"] or f"not summed: {plan['reason_not_summed']}",
        )
        for course in body["courses"]
        for plan in course["plans"]
    ]
    print_table("Courses", ("Dossier", "Treated", "Plan", "Fractions", "Dose"), rows)
    figures = [
        (
            one["name"],
            *(_figure(one["physical"][name]) for name in ("max_gy", "mean_gy", "d2cc_gy")),
            one["physical"]["unknown_cc"],
        )
        for one in body["structures"]
    ]
    print_table("Structures", ("Structure", "Max Gy", "Mean Gy", "D2cc Gy", "Unknown cm3"), figures)
    for warning in body["warnings"]:
        say(warning)
    for what, path in body["files"].items():
        if isinstance(path, str):
            say(f"{what}: {path}")
