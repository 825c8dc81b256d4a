"""Errors of the courses room.

CoursesError
├── NothingToSum         no delivered plan of this patient has a dose that can be had
├── BadReference         the image or dossier to compose onto is not one of this patient's
└── Unreadable           an instance of the archive can't be read as what it says it is
"""

from typing import ClassVar


class CoursesError(Exception):
    """Root of the errors of this room: `code` is stable, `hint` tells what to do."""

    code: ClassVar[str] = "LG-CRS-000"
    hint: ClassVar[str] = ""


class NothingToSum(CoursesError):
    """No plan of this patient has a dose that may be summed."""

    code = "LG-CRS-001"
    hint = "Run `lastgate gate` for the dossiers: dose or treatment records are missing."


class BadReference(CoursesError):
    """The image or dossier to compose onto is not one of this patient's."""

    code = "LG-CRS-002"
    hint = "Name a series UID or a dossier of this patient, as `lastgate find` shows them."


class Unreadable(CoursesError):
    """An instance of the archive can't be read as what it says it is."""

    code = "LG-CRS-003"
    hint = "The bytes are kept as received; send a readable copy."
