"""What the sample department would enter by hand: its standing texts, and the entries of each course that has ended.

The files are TOML in the shape of `reports.entries` (docs/summary-entries.md). Their wording is an example; no doctor
has reviewed it and it must not be handed to a patient.
"""

from __future__ import annotations

from importlib import resources


def department_text() -> str:
    """Return the standing texts of the sample department, TOML."""
    return (resources.files(__name__) / "department.toml").read_text("utf-8")


def course_text(key: str) -> str | None:
    """Return the entries for a course by its key (`SampleCourse.key`), TOML.

    None where nothing was entered: the unfinished course, and a key that does not exist.
    """
    found = resources.files(__name__) / f"{key}.toml"
    return found.read_text("utf-8") if found.is_file() and key != "department" else None
