"""Dose of one course and composite dose of a patient."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lastgate.cli.console import (
    AsUser,
    DossierName,
    JsonFlag,
    PasswordFile,
    Reason,
    account,
    day_of,
    err,
    house,
    print_json,
    print_table,
    say,
    who,
)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(dvh)
    app.command()(composite)
    app.command("approve-composite")(approve_composite)
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
    from lastgate.cli.composites import figure

    with house() as opened:
        key, found = opened.dossier(dossier)
        composed = compose(
            opened.desk.record(key), opened.reader, only=found, as_planned=as_planned, derived=opened.derived
        )
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
            *(figure(one["physical"][name]) for name in ("mean_gy", "max_gy", "d95_gy", "d2cc_gy")),
        )
        for one in body["structures"]
    ]
    columns = ("Structure", "cm3", "Mean Gy", "Max Gy", "D95 Gy", "D2cc Gy")
    print_table(f"Dose as {body['basis']}", columns, rows, empty="The dossier has no structures with a volume.")
    for warning in body["warnings"]:
        say(warning)


def _write_csv(body: dict[str, Any], path: Path) -> None:
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("structure", "dose_gy", "volume_cc_at_least", "volume_cc_at_most"))
        for one in body["structures"]:
            curve = one["curve"]
            rows = zip(curve["dose_gy"], curve["lo_cc"], curve["hi_cc"], strict=True)
            writer.writerows((one["name"], *row) for row in rows)


Onto = Annotated[str, typer.Option(help="Series or dossier to compose onto; the newest course if left out.")]
AsOf = Annotated[str, typer.Option(help="Day intervals are counted to; the last session if left out.")]
AlphaBeta = Annotated[
    list[str] | None,
    typer.Option("--alpha-beta", help="Alpha/beta in Gy of a structure; may be repeated.", metavar="STRUCTURE=VALUE"),
]
Recovery = Annotated[
    list[str] | None,
    typer.Option("--recovery", help="Recovery model to show beside; may be repeated.", metavar="MODEL"),
]
Fractions = Annotated[
    int | None, typer.Option("--fractions", "--remaining", min=1, help="Fractions of the next course: what remains.")
]
Limits = Annotated[str, typer.Option(help="Set of limits; the standard one if left out.")]
CandidateName = Annotated[
    str, typer.Option(help="New plan to look at on top: its RTDOSE file, or label or UID of a plan in the archive.")
]
Ensemble = Annotated[bool, typer.Option("--ensemble/--no-ensemble", help="Vary what is uncertain; takes longer.")]


def composite(
    patient: Annotated[str, typer.Argument(help="Patient ID, ISSUER/ID, or a dossier.", metavar="PATIENT")],
    onto: Onto = "",
    as_of: AsOf = "",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for RTDOSE, picture and report.")
    ] = None,
    as_planned: AsPlanned = False,
    alpha_beta: AlphaBeta = None,
    recovery: Recovery = None,
    fractions: Fractions = None,
    limits: Limits = "",
    candidate: CandidateName = "",
    ensemble: Ensemble = False,
    as_json: JsonFlag = False,
) -> None:
    """Sum the delivered dose of all courses of a patient."""
    from lastgate.cli.composites import print_composite, questions_of
    from lastgate.composing import compose_patient

    day = day_of(as_of) if as_of else None
    with house() as opened, err.status("Composing ..."):
        record = opened.patient(patient)
        asked = questions_of(
            opened,
            record,
            alpha_beta=alpha_beta,
            recovery=recovery,
            fractions=fractions,
            limits=limits,
            candidate=candidate,
            has_ensemble=ensemble,
        )
        body = compose_patient(
            opened, record, onto=onto, as_of=day, as_planned=as_planned, folder=output, questions=asked
        )
    if as_json:
        print_json(body)
    else:
        print_composite(body)


def approve_composite(
    patient: Annotated[str, typer.Argument(help="Patient ID, ISSUER/ID, or a dossier.", metavar="PATIENT")],
    reason: Reason,
    as_user: AsUser,
    onto: Onto = "",
    as_of: AsOf = "",
    alpha_beta: AlphaBeta = None,
    recovery: Recovery = None,
    fractions: Fractions = None,
    limits: Limits = "",
    candidate: CandidateName = "",
    ensemble: Ensemble = False,
    password_file: PasswordFile = None,
) -> None:
    """Approve a composite as it stands (a physicist does); ask for the same as with `lastgate composite`."""
    from lastgate.cli.composites import questions_of
    from lastgate.composing import approve_composite as approve

    day = day_of(as_of) if as_of else None
    with house() as opened:
        user = account(opened, as_user, password_file)
        record = opened.patient(patient)
        asked = questions_of(
            opened,
            record,
            alpha_beta=alpha_beta,
            recovery=recovery,
            fractions=fractions,
            limits=limits,
            candidate=candidate,
            has_ensemble=ensemble,
        )
        with err.status("Composing ..."):
            body = approve(opened, record, account=user, reason=reason, onto=onto, as_of=day, questions=asked)
        say(f"The composite of {who(body['patient'])} is approved by {user.name}.")
        say("It is a draft again as soon as a fact changes a figure. Print it: lastgate composite PATIENT -o FOLDER")
