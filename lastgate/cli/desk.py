"""Finding dossiers, looking at them, and settling what holds them at the gate."""

from enum import StrEnum
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
    fractions,
    house,
    period,
    print_json,
    print_table,
    say,
    short,
    who,
)
from lastgate.cli.gate import print_findings

if TYPE_CHECKING:
    from archive.model import Dossier, Plan


class State(StrEnum):
    """Where a dossier stands."""

    OPEN = "open"
    READY = "ready"
    SEALED = "sealed"
    DISPOSED = "disposed"


class Rays(StrEnum):
    """With what was treated."""

    PHOTON = "photon"
    ELECTRON = "electron"
    PROTON = "proton"
    CARBON = "carbon"
    ION = "ion"
    BRACHY = "brachy"


class Outcome(StrEnum):
    """How a course ended."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    DIED = "died"
    TRANSFERRED = "transferred"
    NEVER_STARTED = "never-started"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (find, show, close, sign, deliver, seal):
        app.command()(command)
    app.command("choose-dose")(choose_dose)


def find(
    text: Annotated[str, typer.Argument(help="Name, pinyin, initials, ID, site, plan, machine ...")] = "",
    patient: Annotated[str, typer.Option(help="Patient ID; * and ? are wildcards.")] = "",
    name: Annotated[str, typer.Option(help="Patient name.")] = "",
    site: Annotated[str, typer.Option(help="What was treated.")] = "",
    modality: Annotated[Rays | None, typer.Option(help="With what was treated.")] = None,
    state: Annotated[State | None, typer.Option(help="Where the dossier stands.")] = None,
    from_: Annotated[str, typer.Option("--from", help="Treated on or after this day.")] = "",
    to: Annotated[str, typer.Option("--to", help="Treated on or before this day.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Find dossiers."""
    from search.kinds import Kind
    from search.query import Query

    query = Query(
        kind=Kind.DOSSIER,
        text=text,
        patient_id=patient,
        name=name,
        site=site,
        modality=(modality.value,) if modality else (),
        state=(state.value,) if state else (),
        date_from=from_,
        date_to=to,
        limit=500,
    )
    with house() as opened:
        found = [hit.body for hit in opened.hits(query)]
    if as_json:
        print_json(found)
        return
    rows = [
        (
            short(body["id"]),
            who(body["patient"]),
            ", ".join(body["sites"]),
            period(body),
            fractions(body),
            body["state"],
        )
        for body in found
    ]
    columns = ("Dossier", "Patient", "Sites", "Treated", "Fractions", "State")
    print_table(
        f"{len(rows)} dossier{'' if len(rows) == 1 else 's'}",
        columns,
        rows,
        empty="No dossier fits. Try fewer words, or a part of the name.",
    )


def show(dossier: DossierName, as_json: JsonFlag = False) -> None:
    """Show one dossier."""
    from archive.answers import dossier_answer
    from lastgate.keeping import kept_answer

    with house() as opened:
        key, found = opened.dossier(dossier)
        body = {**dossier_answer(found), "kept": kept_answer(opened, key, found)}
    if as_json:
        print_json(body)
        return
    _print_dossier(body)
    _print_kept(body["kept"])


def _print_kept(kept: dict[str, Any]) -> None:
    if kept["until"]:
        say(f"Kept until {kept['until']}: {kept['terms'][0]['code']} ({kept['terms'][0]['source']})")
    if kept["hold"]:
        say(f"On hold since {kept['hold']['since']} by {kept['hold']['account']}: {kept['hold']['reason']}")


def _print_dossier(body: dict[str, Any]) -> None:
    say(f"{who(body['patient'])}  born {body['patient']['birth_date'] or 'unknown'}", style="bold")
    say(f"Dossier {body['id']}: {body['state']}, {body['instances']} objects, {period(body)}")
    rows = [
        (
            plan["label"] or plan["uid"],
            plan["kind"],
            plan["technique"],
            plan["machine"],
            f"{plan['fractions_delivered']}/{plan['fractions_planned'] or '?'}",
            plan["delivery_state"],
        )
        for plan in body["plans"]
    ]
    print_table("Plans", ("Plan", "Rays", "Technique (inferred)", "Machine", "Fractions", "Delivered"), rows)
    targets = [
        (
            target["name"],
            target["laterality"],
            _gy(target["prescribed_gy"]),
            _gy(target["delivered_gy"]),
            target["dose_type"],
        )
        for phase in body["phases"]
        for target in phase["targets"]
    ]
    print_table(
        "Targets", ("Target", "Side", "Prescribed", "Delivered", "Dose"), targets, empty="No target is prescribed."
    )
    for pause in body["interruptions"]:
        say(f"Interrupted from {pause['last_before']} to {pause['first_after']}: {pause['weekdays_missed']} weekdays")
    print_findings(body["findings"])


def _gy(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f} Gy"


def close(
    dossier: DossierName,
    outcome: Annotated[Outcome, typer.Option(help="How the course ended.")],
    last_date: Annotated[str, typer.Option(help="Day of the last treatment, such as 2026-03-31.")],
    as_user: AsUser,
    reason: Annotated[str, typer.Option(help="Needed unless it was completed.")] = "",
    password_file: PasswordFile = None,
) -> None:
    """State that a course has ended."""
    from archive.facts.decisions import Close

    with house() as opened:
        user = account(opened, as_user, password_file)
        key, found = opened.dossier(dossier)
        act = Close(plan_uids=(), outcome=outcome.value, last_date=f"{day_of(last_date):%Y%m%d}", reason=reason)
        after = opened.desk.close(key, found.id, act, account=user)
        say(f"Closed {short(after.id)} as {after.outcome}; it is now {after.state.value}.")


def sign(
    dossier: DossierName,
    finding: Annotated[str, typer.Argument(help="The finding, as `gate` shows it.")],
    reason: Reason,
    as_user: AsUser,
    password_file: PasswordFile = None,
) -> None:
    """Sign that a finding may stand."""
    with house() as opened:
        user = account(opened, as_user, password_file)
        key, found = opened.dossier(dossier)
        after = opened.desk.waive(key, found.id, finding, reason=reason, account=user)
        still = ", ".join(role for role in after.waivable_by if role not in {one.role for one in after.waivers})
        say(f"Signed {after.id}." if after.is_waived else f"Signed {after.id}; it still needs a {still}.")


def deliver(
    dossier: DossierName,
    plan: Annotated[str, typer.Argument(help="Label or UID of the plan.")],
    was: Annotated[bool, typer.Option("--was-delivered/--was-not-delivered", help="What you state.")],
    reason: Reason,
    as_user: AsUser,
    password_file: PasswordFile = None,
) -> None:
    """State whether a plan without treatment records was delivered."""
    from archive.facts.decisions import SetDeliveryState

    with house() as opened:
        user = account(opened, as_user, password_file)
        key, found = opened.dossier(dossier)
        act = SetDeliveryState(plan_uid=_plan(found, plan).uid, delivered=was, reason=reason)
        opened.desk.state_delivery(key, found.id, act, account=user)
        say(f"Plan {plan} is {'delivered' if was else 'not delivered'}, as {user.name} states.")


def choose_dose(
    dossier: DossierName,
    plan: Annotated[str, typer.Argument(help="Label or UID of the plan.")],
    dose: Annotated[str, typer.Argument(help="SOP Instance UID of the dose grid that counts.")],
    reason: Reason,
    as_user: AsUser,
    password_file: PasswordFile = None,
) -> None:
    """Choose which dose grid of a plan counts (a physicist does)."""
    from archive.errors import NotFound, Refused
    from archive.facts.decisions import ChooseDose
    from archive.journal.journal import Event

    with house() as opened:
        user = account(opened, as_user, password_file)
        if user.role != "physicist":
            raise Refused(f"A {user.role} may not choose a dose grid", hint="Ask a physicist.")
        key, found = opened.dossier(dossier)
        chosen = _plan(found, plan)
        if dose not in {held.uid for held in chosen.doses}:
            hint = "The finding DOSE-CANDIDATES names them: lastgate gate DOSSIER --json"
            raise NotFound(f"Plan {plan} has no dose grid {dose!r}", hint=hint)
        uid = chosen.uid
        act = ChooseDose(plan_uid=uid, dose_uid=dose, reason=reason)
        event = Event(act="choose-dose", account=user.name, subject={"dossier": found.id, "plan": uid, "dose": dose})
        opened.desk.settle(key, act, account=user, event=event)
        say(f"Dose {dose} counts for plan {plan}.")


def seal(dossier: DossierName, as_user: AsUser, password_file: PasswordFile = None) -> None:
    """Seal a ready dossier, or add to a sealed one what came since."""
    with house() as opened:
        user = account(opened, as_user, password_file)
        key, found = opened.dossier(dossier)
        after = opened.desk.seal(key, found.id, account=user)
        say(f"Sealed {after.id} as version {after.version}: {len(after.instances)} objects.")


def _plan(found: "Dossier", name: str) -> "Plan":
    from archive.errors import Ambiguous, NotFound

    fitting = [plan for plan in found.plans if name in (plan.uid, plan.header.label)]
    if not fitting:
        raise NotFound(f"The dossier has no plan {name!r}", hint="Run `lastgate show DOSSIER` to see its plans.")
    if len(fitting) > 1:
        raise Ambiguous(f"The dossier has {len(fitting)} plans {name!r}", hint="Name it by its UID.")
    return fitting[0]
