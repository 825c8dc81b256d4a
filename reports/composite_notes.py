"""What a composite says in words: what to mind, what was assumed, where all comes from, who approved it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reports.assemble import person_name
from reports.composite_figures import Told, Wordings, listed
from reports.wording import number

_KINDS: Final = {"dose-kind": "figure", "registered": "registration"}
"""Where the words for the kind in an assumption stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Whether the report may be used: by whom and when it was approved; a draft where that is not clearly told."""

    state: str
    by: str
    at: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Warning:
    """One warning: its code, empty where it has none, what is the matter, and what to do."""

    code: str
    words: str
    what_to_do: str


def status_of(composite: Told) -> Status:
    """Return the status; approved only where the mapping clearly says so and by whom."""
    told = composite.get("status")
    told = told if isinstance(told, Mapping) else {}
    by, state = str(told.get("by") or ""), str(told.get("state") or "")
    known = state if by and state in {"approved", "outdated"} else "draft"
    at = str(told.get("at") or "")[:10]
    return Status(state=known, by=by, at=at, reason=str(told.get("reason") or ""))


def person_of(composite: Told) -> dict[str, str]:
    """Return name, hospital number and birth date of the patient, whatever of them the mapping holds."""
    patient = composite.get("patient")
    if not isinstance(patient, Mapping):
        return {"name": str(patient or ""), "number": "", "birth_date": ""}
    name = person_name([str(patient.get("name") or "")])
    ids = patient.get("ids") or ()
    return {
        "name": " ".join(part for part in (name.zh, name.latin) if part) if name else "",
        "number": str(ids[0]["value"]) if ids else "",
        "birth_date": str(patient.get("birth_date") or ""),
    }


def warnings_of(composite: Told, wordings: Wordings) -> list[Warning]:
    """Return all warnings, those with a code first; none twice."""
    coded = [
        Warning(
            code=str(one["code"]),
            words=_in_language(one, "words", wordings),
            what_to_do=_in_language(one, "fix", wordings),
        )
        for one in composite.get("codes") or ()
    ]
    told = {str(one["words"]) for one in composite.get("codes") or ()}
    rest = [sentence(one, wordings) for one in listed(composite, "warnings")]
    words = wordings.words["warning"]
    plain = [translated(text, wordings.language, words) for text in rest if text not in told]
    return [*coded, *(Warning(code="", words=text, what_to_do="") for text in plain)]


def _in_language(one: Told, key: str, wordings: Wordings) -> str:
    """Return a text told in both languages; the English one stands under the bare name."""
    other = one.get(f"{key}_{wordings.language}")
    return str(other or one.get(key) or "")


def translated(text: str, language: str, words: Mapping[str, Mapping[str, str]]) -> str:
    """Return a warning in this language; its English pattern stands in the words with ``{}`` for names.

    One nobody translated stays as it is: an English warning is better than none.
    """
    for pattern, told in words.items():
        found = re.fullmatch(re.escape(pattern).replace(r"\{\}", "(.+?)"), text)
        if found:
            return told[language].format(*found.groups())
    return text


def sentence(item: Any, wordings: Wordings) -> str:
    """Return a note as text; mappings carry theirs as message, or as names with values."""
    if not isinstance(item, Mapping):
        return str(item)
    if "message" in item:
        return str(item.get(f"message_{wordings.language}") or item["message"])
    return "; ".join(f"{key}: {_said(value)}" for key, value in item.items() if value is not None)


def assumptions_of(composite: Told, wordings: Wordings) -> list[str]:
    """Return what was assumed, as sentences: codes with their figures, worded in `templates/words.toml`."""
    found = []
    for one in composite.get("assumptions") or ():
        pattern = wordings.of("assumption", str(one["code"]))
        figures = {key: _said(value) for key, value in one.items() if key != "code"}
        if "kind" in figures:
            figures["kind"] = wordings.of(_KINDS[str(one["code"])], figures["kind"])
        found.append(pattern.format(**figures))
    return found


def software_rows(composite: Told) -> list[tuple[str, str]]:
    """Return programs and data files with their versions."""
    told = composite.get("provenance") or {}
    programs = [(str(name), str(number)) for name, number in (told.get("software") or {}).items()]
    files = [
        (str(one.get("name", "")), " ".join(str(one[key]) for key in ("version", "sha256") if one.get(key)))
        for one in told.get("data_files") or ()
    ]
    return [*programs, *files]


def instance_rows(composite: Told, wordings: Wordings) -> list[tuple[str, str, str]]:
    """Return what was read: what it is, its UID, and the beginning of its digest."""
    told = composite.get("provenance") or {}
    return [
        (wordings.of("instance", str(one["role"])), str(one["uid"]), str(one["sha256"])[:16])
        for one in told.get("instances") or ()
    ]


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_said(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, list | tuple):
        return ", ".join(_said(item) for item in value)
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
