"""Errors of queries; part of the tree of `ingest.errors`.

IngestError
└── QueryError               a query that is not answered
    ├── BadIdentifier        its keys don't make sense at this level of this model: A900
    ├── TooMuchAsked         its identifier is longer, or lists more, than anybody needs: A700
    └── UnreadableIdentifier its identifier can't be read at all: C000
"""

from ingest.errors import IngestError
from ingest.status import StatusClass


class QueryError(IngestError):
    """A query that is not answered; nothing was searched."""

    code = "LG-ING-800"


class BadIdentifier(QueryError):
    """The keys of a query don't make sense at this level of this model."""

    code = "LG-ING-801"
    hint = "The message names the key: ask the vendor of the requesting system, or let it negotiate relational queries."
    status = StatusClass.DOES_NOT_MATCH


class TooMuchAsked(QueryError):
    """The identifier is longer, or lists more values, than a query may."""

    code = "LG-ING-802"
    hint = "Ask in several queries."
    status = StatusClass.OUT_OF_RESOURCES


class UnreadableIdentifier(QueryError):
    """The identifier is no data set in the transfer syntax that was agreed on."""

    code = "LG-ING-803"
    hint = "Ask the vendor of the requesting system."
    status = StatusClass.CANNOT_UNDERSTAND
