"""What is asked of a composite on the command line, and how its answer prints for people."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import typer

from lastgate.cli.console import print_cases, print_table, say, short, who

if TYPE_CHECKING:
    from archive.model import PatientRecord
    from courses.questions import Questions
    from lastgate.wiring import House

_SHOWN: Final = ("max_gy", "mean_gy", "d0_1cc_gy", "d2cc_gy")
_COLUMNS: Final = ("Max", "Mean", "D0.1cc", "D2cc")


def questions_of(
    opened: "House",
    record: "PatientRecord",
    *,
    alpha_beta: Sequence[str] | None,
    recovery: Sequence[str] | None,
    fractions: int | None,
    limits: str,
    candidate: str,
    has_ensemble: bool,
) -> "Questions":
    """Return what was asked; bad usage where an option can't be understood."""
    from courses.questions import Questions
    from lastgate.candidates import candidate_of

    return Questions(
        alpha_beta_gy=dict(_ratio(text) for text in alpha_beta or ()),
        recovery=tuple(dict.fromkeys(recovery or ())),
        fractions=fractions,
        limits=limits,
        candidate=candidate_of(opened, record, candidate, fractions=fractions) if candidate else None,
        has_ensemble=has_ensemble,
    )


def _ratio(text: str) -> tuple[str, float]:
    name, equals, value = text.rpartition("=")
    try:
        ratio = float(value)
    except ValueError:
        ratio = 0.0
    if not (name and equals and 0 < ratio < float("inf")):
        raise typer.BadParameter(f"{text!r} is no alpha/beta; write it as SpinalCord=2")
    return name, ratio


def figure(told: Mapping[str, float | None] | None) -> str:
    """Return a figure for people: its value, or how little and how much it can be."""
    if told is None:
        return ""
    if told["value"] is not None:
        return f"{told['value']:.2f}"
    if told["hi"] is None:
        return "unknown" if told["lo"] is None else f"at least {told['lo']:.2f}"
    return f"unknown, {told['lo']:.2f} to {told['hi']:.2f}"


def print_composite(body: Mapping[str, Any]) -> None:
    """Print the answer of a composite: what is in it, the figures with their bounds, what to mind."""
    say(f"{who(body['patient'])}  composite {body['dose_type']} dose, {_status(body['status'])}", style="bold")
    if not body["complete"]:
        say("INCOMPLETE: figures are lower bounds, or two bounds.", style="bold red")
    print_table("Courses", ("Dossier", "Treated", "Plan", "Fractions", "Dose", "Overlap"), _courses(body))
    print_table("Structures (physical, Gy)", ("Structure", *_COLUMNS, "Unknown cm3"), _figures(body, "physical"))
    if any(one["eqd2"] for one in body["structures"]):
        print_table("Structures (EQD2, Gy)", ("Structure", *_COLUMNS, "Unknown cm3"), _figures(body, "eqd2"))
    _print_warnings(body)
    for path in _paths(body["files"]):
        say(path)


def _status(status: Mapping[str, Any]) -> str:
    if status["state"] == "approved":
        return f"approved by {status['by']} on {str(status['at'])[:10]}"
    return "DRAFT: what was approved is outdated" if status["state"] == "outdated" else "DRAFT"


def _courses(body: Mapping[str, Any]) -> Iterable[tuple[object, ...]]:
    for course in body["courses"]:
        for plan in course["plans"]:
            yield (
                short(course["dossier"]),
                f"{course['first_fraction'] or '?'} to {course['last_fraction'] or '?'}",
                plan["label"] or plan["uid"],
                f"{plan['fractions']['delivered']:g}/{plan['fractions']['planned'] or '?'}",
                plan["source"] or f"not summed: {plan['reason_not_summed']}",
                course["overlap_class"] or "",
            )


def _figures(body: Mapping[str, Any], kind: str) -> Iterable[tuple[object, ...]]:
    for one in body["structures"]:
        told = one[kind]
        if told is None:
            continue
        ratio = f" (a/b {one['alpha_beta_gy']:g})" if kind == "eqd2" and one["alpha_beta_gy"] else ""
        yield (f"{one['name']}{ratio}", *(figure(told.get(name)) for name in _SHOWN), told["unknown_cc"])


def _print_warnings(body: Mapping[str, Any]) -> None:
    for warning in body["warnings"]:
        say(warning)
    coded = [(f"{one['code']}", (one["words"], one.get("what_to_do", ""))) for one in body.get("codes", ())]
    print_cases("What to do", coded)


def _paths(files: Mapping[str, Any]) -> Iterable[str]:
    for what, told in files.items():
        for one in told if isinstance(told, list) else [told]:
            path = one["path"] if isinstance(one, Mapping) else one
            if path:
                yield f"{what}: {path}"
