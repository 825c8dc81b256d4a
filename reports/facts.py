"""A printed fact: a value that says where it comes from, or the plain statement that nobody recorded it."""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final, Generic, TypeAlias, TypeVar

T = TypeVar("T")


class NotRecorded(Enum):
    """The one value of a fact nobody recorded; it is false in a condition and prints as 未记录 / not recorded."""

    NOT_RECORDED = "not recorded"

    def __bool__(self) -> bool:
        """Nothing recorded is false, so `if fact` asks whether there is one."""
        return False


NOT_RECORDED: Final = NotRecorded.NOT_RECORDED


class Origin(StrEnum):
    """Kinds of places a fact comes from."""

    DICOM = "dicom"  # an attribute of a stored instance
    RECORDS = "records"  # treatment records of the machine
    TRANSCRIPTION = "transcription"  # the treatment sheet, typed in and signed by two persons
    ENTERED = "entered"  # a person, for this course
    DEPARTMENT = "department"  # the standing texts of the department
    INFERRED = "inferred"  # a rule of ours; says so until a person confirms it
    COMPUTED = "computed"  # our own sum or dose evaluation
    ARCHIVE = "archive"  # what the archive itself knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a fact comes from.

    Parameters
    ----------
    origin
        Kind of place.
    detail
        Which one: a plan label, an account, a rule.
    """

    origin: Origin
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact(Generic[T]):
    """A value with its source."""

    value: T
    source: Source


Recorded: TypeAlias = Fact[T] | NotRecorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Bilingual:
    """A text in Chinese and English; a page is printed from its own language only.

    Parameters
    ----------
    zh, en
        The text; None where nobody wrote it in that language.
    """

    zh: str | None = None
    en: str | None = None

    def in_language(self, language: str) -> str | None:
        """Return the text in `zh` or `en`, None where it was not written."""
        return self.zh if language == "zh" else self.en
