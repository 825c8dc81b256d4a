"""Who is who: patients that are one person, proposals, joining and parting."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lastgate.cli.console import (
    AsUser,
    JsonFlag,
    PasswordFile,
    Reason,
    account,
    house,
    print_cases,
    print_json,
    say,
    who,
)

if TYPE_CHECKING:
    from lastgate.wiring import House

One = Annotated[str, typer.Argument(help="ID, ISSUER/ID, or the beginning of a key.", metavar="PATIENT")]
Other = Annotated[str, typer.Argument(help="The other one, named alike.", metavar="PATIENT")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (people, link, unlink):
        app.command()(command)


def people(
    text: Annotated[str, typer.Argument(help="Name, pinyin, initials, ID or key.")] = "",
    proposals: Annotated[bool, typer.Option("--proposals", help="Only who may be one person, and why.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Who is in the archive, under which IDs; with --proposals, who may be one person."""
    with house() as opened:
        found = _proposals(opened) if proposals else _people(opened, text)
    if as_json:
        print_json(found)
    elif proposals:
        print_cases("May be one person", [_case(one) for one in found], empty="Nobody is proposed to be somebody else.")
    else:
        print_cases("People", [_person(one) for one in found], empty="Nobody fits. Try fewer words.")


def _proposals(opened: "House") -> list[dict[str, Any]]:
    from lastgate.proposing import proposals

    return proposals(opened)


def _people(opened: "House", text: str) -> list[dict[str, Any]]:
    from search.kinds import Kind
    from search.query import Query

    bodies = (hit.body for hit in opened.hits(Query(kind=Kind.PATIENT, text=text, limit=500)))
    return [{name: body[name] for name in ("key", "patient", "members", "told_apart", "dossiers")} for body in bodies]


def _case(one: dict[str, Any]) -> tuple[str, list[str]]:
    keys = f"{one['one']['key'][:12]}  {one['other']['key'][:12]}"
    patients = [f"{who(each['patient'])}  born {each['patient']['birth_date'] or 'unknown'}" for each in _both(one)]
    return keys, [*patients, "; ".join(reason["message"] for reason in one["reasons"])]


def _both(one: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return one["one"], one["other"]


def _person(one: dict[str, Any]) -> tuple[str, list[str]]:
    patient = one["patient"]
    told = [f"born {patient['birth_date'] or 'unknown'}, {len(one['dossiers'])} dossier(s)"]
    if len(one["members"]) > 1:
        told += [f"joined: {each['key'][:12]}  {who(each['patient'])}" for each in one["members"]]
    return f"{one['key'][:12]}  {who(patient)}", told


def link(one: One, other: Other, reason: Reason, as_user: AsUser, password_file: PasswordFile = None) -> None:
    """State that two patients are one person (a file manager or a doctor does)."""
    from lastgate.naming import named_patient

    with house() as opened:
        user = account(opened, as_user, password_file)
        first, second = named_patient(opened, one), named_patient(opened, other)
        after = opened.identity.link(first, second, reason=reason, account=user)
        say(f"They are one person now, {after.key[:12]}, with {len(after.dossiers)} dossier(s).")


def unlink(one: One, other: Other, reason: Reason, as_user: AsUser, password_file: PasswordFile = None) -> None:
    """State that two patients are two persons: refuses a proposal, or undoes a link."""
    from lastgate.naming import named_patient

    with house() as opened:
        user = account(opened, as_user, password_file)
        first, second = named_patient(opened, one), named_patient(opened, other)
        opened.identity.unlink(first, second, reason=reason, account=user)
        say(f"{first[:12]} and {second[:12]} are two persons.")
