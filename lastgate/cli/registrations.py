"""Registrations: what joins which images, how good it is, and what physicists say of it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lastgate.cli.console import (
    AsUser,
    JsonFlag,
    PasswordFile,
    Reason,
    account,
    err,
    house,
    print_json,
    print_table,
    say,
)

PatientName = Annotated[str, typer.Argument(help="Patient ID, ISSUER/ID, or a dossier.", metavar="PATIENT")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(registrations)
    app.command("judge-registration")(judge_registration)
    app.command("register")(register_images)


def registrations(patient: PatientName, as_json: JsonFlag = False) -> None:
    """What joins the frames of reference of a patient, how good it is, and what was said of it."""
    from lastgate.registrations import registrations_answer

    with house() as opened:
        body = registrations_answer(opened, opened.patient(patient))
    if as_json:
        print_json(body)
        return
    rows = [
        (one["uid"], one["kind"], one["source"], one["since"][:10], _quality(one), _verdict(one["verdict"]))
        for one in body["registrations"]
    ]
    columns = ("UID", "Kind", "From", "Since", "Quality", "Verdict")
    print_table("Registrations", columns, rows, empty="The patient has no registrations.")
    for one in body["registrations"]:
        for structure in one["invalid"]:
            say(f"{one['uid']}: holds nowhere within {structure['name']}")
    shared = [
        (f"identity:{one['uid']}", ", ".join(series["date"] for series in one["series"]), _verdict(one["verdict"]))
        for one in body["frames"]
    ]
    if shared:
        print_table("Images that share a frame of reference", ("Name", "Taken", "Verdict"), shared)


def _quality(one: dict[str, Any]) -> str:
    if one["problem"]:
        return f"can't be used: it {one['problem']}"
    quality = one["quality"]
    if not quality:
        return "not measured"
    if quality["tre_mean_mm"] is not None:
        return f"TRE {quality['tre_mean_mm']:.1f} mm, {quality['landmarks']} landmarks"
    return f"similarity {quality['similarity']:.2f}" if quality["similarity"] is not None else "not measured"


def _verdict(verdict: dict[str, Any] | None) -> str:
    return f"{verdict['verdict']} by {verdict['account']}" if verdict else "nobody judged it"


def judge_registration(
    patient: PatientName,
    uid: Annotated[str, typer.Argument(help="UID or its beginning, or identity:FRAME.", metavar="UID")],
    reason: Reason,
    as_user: AsUser,
    is_approved: Annotated[
        bool | None, typer.Option("--approve/--reject", help="Let it carry dose, or never.", show_default=False)
    ] = None,
    invalid: Annotated[
        list[str] | None, typer.Option("--invalid", help="It holds nowhere within this structure.", metavar="ROI")
    ] = None,
    password_file: PasswordFile = None,
) -> None:
    """Approve or reject a registration as a physicist; the newest verdict counts."""
    from lastgate.registrations import judge_registration as judge

    if is_approved is None:
        raise typer.BadParameter("Say --approve or --reject")
    with house() as opened:
        user = account(opened, as_user, password_file)
        record = opened.patient(patient)
        verdict = "approved" if is_approved else "rejected"
        act = judge(opened, record, uid, verdict=verdict, reason=reason, invalid=invalid or [], account=user)
        say(f"{act.verdict.capitalize()}: {act.uid}")


def register_images(
    patient: PatientName,
    moving: Annotated[str, typer.Option(help="Image that is brought: series UID, or a dossier.")],
    fixed: Annotated[str, typer.Option(help="Image it is brought onto: series UID, or a dossier.")],
    as_user: AsUser,
    deformable: Annotated[bool, typer.Option("--deformable", help="Bend it too, after the rigid step.")] = False,
    around: Annotated[str, typer.Option(help="Match a structure of the fixed image, not bone.")] = "",
    landmarks: Annotated[Path | None, typer.Option(help="CSV of pairs of places to measure the result by.")] = None,
    password_file: PasswordFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Register two CT of a patient and measure the result: a draft until a physicist judges it."""
    from dose.registering.quality import read_landmarks
    from lastgate.registering import Wish, register_series

    pairs = read_landmarks(landmarks.read_text("utf-8")) if landmarks else None
    wish = Wish(moving=moving, fixed=fixed, is_deformable=deformable, around=around, landmarks=pairs)
    with house() as opened:
        user = account(opened, as_user, password_file)
        with err.status("Reading the images ...") as status:
            record = opened.patient(patient)
            body = register_series(opened, record, wish, account=user, tell=lambda what: status.update(f"{what} ..."))
    if as_json:
        print_json(body)
        return
    say(f"Registration {body['uid']}: {body['method']}")
    rows = [
        (one["measure"], "" if one["value"] is None else f"{one['value']:.2f}", one["limit"], one["verdict"])
        for one in body["verdicts"]
    ]
    print_table("Quality", ("Measure", "Value", "Limit", "Verdict"), rows)
    say("It is a draft: look at both images, then lastgate judge-registration.")
