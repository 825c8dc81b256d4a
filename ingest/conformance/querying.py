"""What the conformance statement says of Query/Retrieve, from the tables of those services."""

from ingest.conformance import tables


def querying() -> str:
    """Return the section on C-FIND."""
    from archive.reading.attributes import SEQUENCES
    from ingest.query.models import LEVELS, MODELS, UNIQUE_KEYS, supported
    from ingest.query.service import FindSettings, FindStatus
    from ingest.status import StatusClass

    most = f"{FindSettings(ae_title='').most_answers:,}"
    models = [(one.name, one.find_class, ", ".join(one.levels), UNIQUE_KEYS[one.levels[0]]) for one in MODELS]
    keys = [(level.value, tables.keys(supported(level))) for level in LEVELS]
    inside = [(tables.keys([sequence]), tables.keys(names)) for sequence, names in sorted(SEQUENCES.items())]
    return f"""## Query (C-FIND)

{tables.table(("model", "UID", "levels", "unique key of the top"), models)}

Every key below is matched and returned at its level: single value, wildcard, range of dates and times, list of
UIDs, sequence, universal. A key that is none of them is answered empty, with `FF01`. After {most} answers a query
ends with `A700`. Extended negotiation: relational queries, combined date and time matching and fuzzy matching of
names are granted where a peer asks for them; time zone adjustment and enhanced multi-frame conversion are not.

{tables.table(("level", "keys, those of the levels above included"), keys)}

{tables.table(("sequence", "keys in its items"), inside)}

{tables.table(("status", "meaning"), tables.statuses(StatusClass, FindStatus))}"""


def retrieving() -> str:
    """Return the section on C-MOVE and C-GET."""
    from ingest.retrieve.requests import GET_CLASSES, MOVE_CLASSES
    from ingest.retrieve.tally import Status

    classes = [("C-MOVE", uid) for uid in MOVE_CLASSES] + [("C-GET", uid) for uid in GET_CLASSES]
    return f"""## Retrieve (C-MOVE, C-GET)

{tables.table(("operation", "UID"), classes)}

Instances go out in the transfer syntax they are kept in, and are converted only where the receiver does not
take that. C-MOVE sends to systems whose rule names host and port. Sub-operations are counted in pending
responses; a C-CANCEL ends them.

{tables.table(("status", "meaning"), tables.statuses(Status))}"""
