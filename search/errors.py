"""Errors of the index.

SearchError
├── BadQuery             the question can't be asked; nothing was searched
├── BadDocument          a document breaks the rules of `search.documents.Document`
├── IndexUnavailable     transient; the caller may retry
├── IndexRefused         the index answers, but will not do what was asked
├── IndexDamaged         the index can't be read and must be built again
├── IndexOutdated        an older program wrote the index; it must be built again
├── IndexTooNew          a newer program wrote the index; this one leaves it alone
└── RebuildSuperseded    another rebuild began, or this one was given up; its index is gone

The index is a projection of facts: whatever happens to it, nothing is lost.
"""

from typing import ClassVar


class SearchError(Exception):
    """Root of all errors of the index: `code` is stable, `hint` tells an operator what to do."""

    code: ClassVar[str] = "LG-IDX-000"
    hint: ClassVar[str] = ""


class BadQuery(SearchError):
    """The question can't be asked: a date that is none, a cursor of another query, too many values."""

    code = "LG-IDX-001"
    hint = "Mend the value named in the message and ask again."


class BadDocument(SearchError):
    """A document breaks the rules of `search.documents.Document`; nothing was written."""

    code = "LG-IDX-002"
    hint = "This is a fault of the program: report it with the document's id."


class IndexUnavailable(SearchError):
    """The index can't be reached or is busy; the caller may retry."""

    code = "LG-IDX-003"
    hint = "Check that the index runs and can be reached; receiving goes on meanwhile and nothing is lost."


class IndexRefused(SearchError):
    """The index answers, but will not do what was asked (rights, limits, disk full)."""

    code = "LG-IDX-004"
    hint = "Look at the index server's own log, mend the cause, then run `lastgate rebuild`."


class IndexDamaged(SearchError):
    """The index can't be read; facts are untouched."""

    code = "LG-IDX-005"
    hint = "Delete the index (it holds nothing of its own) and run `lastgate rebuild`."


class IndexOutdated(SearchError):
    """An older program wrote the index; it can't answer until it is built again."""

    code = "LG-IDX-006"
    hint = "Run `lastgate rebuild`."


class IndexTooNew(SearchError):
    """A newer program wrote the index; this one neither reads nor writes it."""

    code = "LG-IDX-007"
    hint = "Upgrade this node to the version of the newest one."


class RebuildSuperseded(SearchError):
    """The index under construction is gone: another rebuild began, or this one was given up."""

    code = "LG-IDX-008"
    hint = "Let the other rebuild finish, or start again."
