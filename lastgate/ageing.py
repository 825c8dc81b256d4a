"""What depends on today: how long something has waited, and what that proposes. Printed and mailed, never in JSON."""

from collections.abc import Mapping
from datetime import date
from typing import Any


def days_since(day: str | None, today: date) -> int | None:
    """Return how many days ago a day in ISO 8601 was, None where none is known; what lies ahead is today's."""
    return max(0, (today - date.fromisoformat(day)).days) if day else None


def days_waiting(entry: Mapping[str, Any], today: date) -> int | None:
    """Return for how many days a dossier has waited: since its treatment ended, else since its first finding."""
    return days_since(entry["last_fraction"] or entry["since"], today)


def proposes_to_close(entry: Mapping[str, Any], today: date, *, silent_days: int) -> bool:
    """Return whether a course that nobody closed should be: its records say so, or it has been silent for so long."""
    silent = days_since(entry["silent_since"], today)
    return bool(entry["close_proposed"]) or (silent is not None and silent >= silent_days)
