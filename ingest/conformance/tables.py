"""Rows of the conformance statement, each taken from what the node itself uses."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from enum import IntEnum
from inspect import getdoc
from typing import Any

from ingest.peers.classes import is_storage
from ingest.peers.contexts import _LAST as LAST
from ingest.service import Context

Row = Sequence[str]


def table(heads: Row, rows: Iterable[Row]) -> str:
    """Return a table in Markdown."""
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join("---" for _ in heads) + " |"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def storage_classes() -> list[Row]:
    """Return name, UID and standing of every storage class PS3.6 names."""
    from pydicom._uid_dict import UID_dictionary

    return [
        (_name(uid), uid, "retired" if retired else "")
        for uid, (_, kind, _, retired, _) in sorted(UID_dictionary.items(), key=lambda one: _order(one[0]))
        if kind == "SOP Class" and is_storage(uid)
    ]


def transfer_syntaxes() -> list[Row]:
    """Return name, UID and rank of every transfer syntax PS3.6 names; private ones are taken as well."""
    from pydicom._uid_dict import UID_dictionary

    return [
        (_name(uid), uid, "only if nothing else is proposed" if uid in LAST else "", "retired" if retired else "")
        for uid, (_, kind, _, retired, _) in sorted(UID_dictionary.items(), key=lambda one: _order(one[0]))
        if kind == "Transfer Syntax"
    ]


def services(offered: Iterable[Context]) -> list[Row]:
    """Return name, UID, our roles and the transfer syntaxes of each class a service of the node offers."""
    return [
        (
            _name(context.abstract_syntax),
            context.abstract_syntax,
            "provider; user of what a peer provides" if context.peer_may_provide else "provider",
            ", ".join(map(_name, context.transfer_syntaxes)),
        )
        for context in sorted(offered, key=lambda one: _order(one.abstract_syntax))
    ]


def statuses(*codes: type[IntEnum]) -> list[Row]:
    """Return code and name of the members of enumerations of status codes, each once."""
    found = {int(code): code.name for enumeration in codes for code in enumeration}
    return [(f"`{code:04X}`", _words(name)) for code, name in sorted(found.items())]


def limits(settings: Any, meanings: Mapping[str, str]) -> list[Row]:
    """Return name, default and meaning of the fields of a dataclass of settings that `meanings` names."""
    known = {field.name: field for field in fields(settings)}
    return [(meaning, _value(getattr(settings, known[name].name))) for name, meaning in meanings.items()]


def refusals() -> list[Row]:
    """Return result, source and reason of the rejections of an association, with what they mean."""
    from ingest import errors

    return [
        (*map(str, kind.rejection), (getdoc(kind) or "").splitlines()[0], kind.code)
        for kind in sorted(errors.PeerRefused.__subclasses__(), key=lambda one: one.code)
    ]


def keys(keywords: Iterable[str]) -> str:
    """Return attributes by name and tag, in order of tag."""
    from pydicom.datadict import dictionary_description, tag_for_keyword

    tags = sorted((tag_for_keyword(keyword) or 0, keyword) for keyword in set(keywords))
    return "; ".join(f"{dictionary_description(tag)} ({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag, _ in tags)


def _name(uid: str) -> str:
    from pydicom.uid import UID

    return UID(uid).name or "(no name any more)"


def _order(uid: str) -> tuple[int, ...]:
    return tuple(map(int, uid.split(".")))


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize().replace(" sop ", " SOP ")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{value:,}" if isinstance(value, int) else str(value)
