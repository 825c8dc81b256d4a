"""Tables of biology: TOML files that come with the program, and the department's own of the same shape over them.

A row of a department's file with the name of a row here replaces the keys it gives, all others are kept; a new name is
a new row. Whoever gives a figure gives its source too: another figure under the old citation would be a forgery.
"""

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any

from dose.errors import BadTable

Row = dict[str, Any]


class Read(StrEnum):
    """How the source of a row was read before it came into the table."""

    ORIGINAL = "original"
    """The publication itself, or the passage of it that gives the figure."""
    ABSTRACT = "abstract"
    """The abstract of the publication, which gives the figure."""
    SECONDARY = "secondary"
    """Somebody else's transcription. To be checked in the publication before it decides anything."""
    CONVENTION = "convention"
    """A customary assumption. No publication was read for it."""
    DEPARTMENT = "department"
    """The department's own row: it answers for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a row comes from.

    Parameters
    ----------
    citation
        Enough to find it; of a department's row who decided it.
    version
        Of the row: the day it was last changed, or the department's own mark.
    read
        How the source was read.
    """

    citation: str
    version: str
    read: Read

    def __str__(self) -> str:
        """Return the citation as it is printed beside a figure."""
        return f"{self.citation} ({self.read}, {self.version})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One row of a table with what it was called, so that an error says where it is.

    Parameters
    ----------
    table
        File name.
    name
        Name of the row.
    """

    table: str
    name: str
    row: Row

    def fail(self, what: str) -> BadTable:
        """Return the error that names this row."""
        return BadTable(f"{self.table}, row {self.name}: {what}")

    def only(self, known: Collection[str]) -> None:
        """Refuse keys nobody reads: a mistyped key would be a figure that silently does not count."""
        unknown = sorted(set(self.row) - set(known))
        if unknown:
            raise self.fail(f"there is no key {', '.join(unknown)}; write one of {', '.join(sorted(known))}.")

    def text(self, key: str, *, default: str | None = None, among: Collection[str] = ()) -> str:
        """Return a text; without a default it must be there and not be empty."""
        value = self.row.get(key, default)
        if value is None or (value == "" and default is None):
            raise self.fail(f"{key} is missing: write a text.")
        if not isinstance(value, str):
            raise self.fail(f"{key} is a text in quotation marks, not {value!r}.")
        if among and value not in among:
            raise self.fail(f"{key} is one of {', '.join(sorted(among))}, not {value!r}.")
        return value

    def number(self, key: str, *, above: float | None = None, least: float | None = None) -> float:
        """Return a number that must be there."""
        value = self.maybe(key, above=above, least=least)
        if value is None:
            raise self.fail(f"{key} is missing: write a number.")
        return value

    def maybe(self, key: str, *, above: float | None = None, least: float | None = None) -> float | None:
        """Return a number, None where the row has none."""
        value = self.row.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise self.fail(f"{key} is a number, not {value!r}.")
        if above is not None and value <= above:
            raise self.fail(f"{key} is above {above:g}, not {value:g}.")
        if least is not None and value < least:
            raise self.fail(f"{key} is {least:g} or more, not {value:g}.")
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self.row.get(key, default)
        if not isinstance(value, bool):
            raise self.fail(f"{key} is true or false, not {value!r}.")
        return value

    def names(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, empty where the row has none."""
        value = self.row.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise self.fail(f'{key} is a list of texts: ["SpinalCord"].')
        return tuple(value)

    def source(self, *, version: str) -> Source:
        """Return where the row comes from; `version` is that of the file, where the row has none of its own."""
        return Source(
            citation=self.text("citation"),
            version=self.text("version", default=version),
            read=Read(self.text("read", among=[one.value for one in Read])),
        )


SOURCE_KEYS = frozenset({"citation", "version", "read"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows by name, and the version of the file that came with the program, or of the department's over it."""

    name: str
    version: str
    rows: Mapping[str, Row]

    def checked(self) -> Iterable[Checked]:
        """Return the rows in the order of the files."""
        return (Checked(table=self.name, name=name, row=row) for name, row in self.rows.items())


def read_table(name: str, kind: str, own: Path | None = None) -> Table:
    """Read a table of this package, and the department's over it.

    Parameters
    ----------
    name
        File in ``dose/biology/data``, ``limits.toml``.
    kind
        What its rows are called: ``[limit.cord]`` is a row ``cord`` of the kind ``limit``.
    own
        The department's file; it may hold rows of several kinds.

    Raises
    ------
    BadTable
        A file can't be read, or is of another shape.
    """
    standard = _parsed(files("dose.biology").joinpath("data", name).read_text("utf-8"), name)
    rows = _rows(standard, kind, name)
    version = str(standard.get("version", ""))
    if own is None:
        return Table(name=name, version=version, rows=rows)
    written = _parsed(_text(own), own.name)
    for row, keys in _rows(written, kind, own.name).items():
        rows[row] = _merged(rows.get(row), keys, f"{own.name}, row {row}")
    return Table(name=own.name, version=f"{version} + {written.get('version') or own.name}", rows=rows)


def _merged(standard: Row | None, own: Row, where: str) -> Row:
    """Return a row with the department's keys over it."""
    if standard is None:
        return {"read": Read.DEPARTMENT.value, **own}
    figures = set(own) - SOURCE_KEYS - {"active"}
    if figures and "citation" not in own:
        raise BadTable(
            f"{where}: it changes {', '.join(sorted(figures))}, so give its citation: who says so, and where."
        )
    read = {"read": Read.DEPARTMENT.value} if "citation" in own else {}
    return {**standard, **read, **own}


def _rows(written: Mapping[str, Any], kind: str, where: str) -> dict[str, Row]:
    rows = written.get(kind, {})
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise BadTable(f"{where}: rows are written [{kind}.NAME], one table for each.")
    return dict(rows)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadTable(f"{path.name} can't be read: {error}") from error


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadTable(f"{where} is no TOML file: {error}") from error
