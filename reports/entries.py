"""What DICOM does not hold: entries of a person for one course, and the standing texts of the department.

Both have one shape, so that a department may state once what a doctor would else write each time; an entry for the
course always goes before the department's. Files are TOML or JSON; an unknown key is an error, because a misspelt
safety text would otherwise silently be missing.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, Final

from reports.errors import EntriesUnreadable
from reports.facts import Bilingual
from reports.fonts import composed
from reports.summary import (
    Answer,
    Contact,
    Diagnosis,
    DoseType,
    EarlierRadiation,
    FollowUp,
    Implant,
    Intent,
    LateEffect,
    Side,
    SideEffect,
    Status,
)

_WHITE: Final = re.compile(r"[ \t\r\n]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetEntry:
    """What a person says about one target.

    Parameters
    ----------
    name
        Name of the structure or dose reference, as in the plan.
    words
        Plain name, such as 左侧乳房 / left breast.
    region
        Key of the department's texts for this part of the body.
    receives_also
        Names of earlier targets that contain this one: their doses count towards its total. Empty states that it got
        no other dose; None leaves it open, and then the total of a course with several phases is not recorded.
    dose_type
        Confirmed by a physicist where the plan leaves it open.
    """

    name: str
    words: Bilingual | None = None
    side: Side | None = None
    region: str | None = None
    receives_also: tuple[str, ...] | None = None
    dose_type: DoseType | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganEntry:
    """How an organ dose is told: plain words, and whether the patient page tells it."""

    name: str
    words: Bilingual
    is_for_patient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptionEntry:
    """Why a course paused after a day, and whether the missed fractions were given later."""

    last_before: date
    reason: Bilingual
    was_made_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionTexts:
    """Standing texts for one part of the body; they come first, the course's own after them."""

    side_effects: tuple[SideEffect, ...] = ()
    late_effects: tuple[LateEffect, ...] = ()
    call_same_day: tuple[Bilingual, ...] = ()
    call_emergency: tuple[Bilingual, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryEntries:
    """All a person or department may enter; None and empty mean that nothing was said."""

    hospital: Bilingual | None = None
    department: Bilingual | None = None
    doctor: Bilingual | None = None
    diagnosis: Diagnosis | None = None
    intent: Intent | None = None
    intent_words: Bilingual | None = None
    status: Status | None = None
    status_reason: Bilingual | None = None
    technique: str | None = None
    approval: str | None = None
    targets: tuple[TargetEntry, ...] = ()
    organs: tuple[OrganEntry, ...] = ()
    interruptions: tuple[InterruptionEntry, ...] = ()
    remains_radioactive: Answer | None = None
    source_safety: Bilingual | None = None
    earlier_radiation: EarlierRadiation | None = None
    implant: Implant | None = None
    drugs: Bilingual | None = None
    side_effects: tuple[SideEffect, ...] = ()
    late_effects: tuple[LateEffect, ...] = ()
    call_same_day: tuple[Bilingual, ...] = ()
    call_emergency: tuple[Bilingual, ...] = ()
    follow_up: tuple[FollowUp, ...] = ()
    contact: Contact | None = None
    regions: Mapping[str, RegionTexts] = field(default_factory=dict)

    def target(self, name: str) -> TargetEntry | None:
        """Return what was said about a target, None if nothing."""
        return next((entry for entry in self.targets if entry.name == name), None)


def entries_from_mapping(values: Mapping[str, object]) -> SummaryEntries:
    """Check a form's values and return them typed; texts are tidied, accented letters composed.

    Raises
    ------
    EntriesUnreadable
        If a key is unknown or a value is not of its kind; the message names the place.
    """
    from pydantic import TypeAdapter, ValidationError

    tidy = _tidied(dict(values))
    try:
        entries = TypeAdapter(SummaryEntries).validate_python(tidy)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise EntriesUnreadable(f"{place}: {first['msg']}") from error
    _refuse_unknown(tidy, asdict(entries), "")
    return entries


def entries_from_text(text: str, *, is_json: bool = False) -> SummaryEntries:
    """Read entries from TOML, or from JSON.

    Raises
    ------
    EntriesUnreadable
        If the text can't be read or holds what entries do not have.
    """
    import tomllib

    try:
        values = json.loads(text) if is_json else tomllib.loads(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise EntriesUnreadable(f"not {'JSON' if is_json else 'TOML'}: {error}") from error
    if not isinstance(values, dict):
        raise EntriesUnreadable("entries are a table of names and values")
    return entries_from_mapping(values)


def entries_as_mapping(entries: SummaryEntries) -> dict[str, Any]:
    """Return entries as plain JSON values, without what was not said."""
    from pydantic import TypeAdapter

    values: dict[str, Any] = TypeAdapter(SummaryEntries).dump_python(entries, mode="json", exclude_defaults=True)
    return values


def _tidied(value: object) -> Any:
    if isinstance(value, str):
        return composed(_WHITE.sub(" ", value).strip())
    if isinstance(value, Mapping):
        # A form sends an empty field for what nobody wrote.
        return {key: _tidied(item) for key, item in value.items() if item is not None and item != ""}
    if isinstance(value, list | tuple):
        return [_tidied(item) for item in value]
    return value


def _refuse_unknown(given: Any, understood: Any, place: str) -> None:
    if isinstance(given, Mapping) and isinstance(understood, Mapping):
        for key, item in given.items():
            if key not in understood:
                raise EntriesUnreadable(f"{place}{key}: there is no such entry")
            _refuse_unknown(item, understood[key], f"{place}{key}.")
    elif isinstance(given, list) and isinstance(understood, list | tuple):
        for number, (item, known) in enumerate(zip(given, understood, strict=True)):
            _refuse_unknown(item, known, f"{place}{number}.")
