"""What the Basic Application Level Confidentiality Profile asks of each attribute (PS3.15 2026c Table E.1-1)."""

from enum import StrEnum
from functools import cache
from typing import Final

from pydicom.tag import BaseTag

_TABLE: Final = "dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c"

CODES: Final = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
)
"""What is done, as it stands in (0012,0064): code value and meaning, of the scheme DCM (PS3.16 CID 7050)."""

METHOD: Final = "PS3.15 2026c Basic Profile, texts cleaned, dates shifted"
"""What is done, as it stands in (0012,0063)."""


class Wanted(StrEnum):
    """What the table asks for."""

    REMOVE = "remove"
    EMPTY = "empty"
    REPLACE = "replace"
    NOTHING = "nothing"


def wanted(tag: BaseTag) -> Wanted:
    """Return what the table asks for an attribute; where it leaves a choice, what keeps an object whole."""
    known = _table().get((tag.group, tag.element))
    if known is not None:
        return known
    in_range = any(
        tag.group & group_mask == group & group_mask and tag.element & element_mask == element & element_mask
        for group, element, group_mask, element_mask in _ranges()
    )
    return Wanted.REMOVE if in_range else Wanted.NOTHING


@cache
def _lists() -> dict[str, list[tuple[int, ...]]]:
    from importlib import import_module

    module = import_module(_TABLE)
    return {name: getattr(module, name) for name in dir(module) if name.endswith("_TAGS")}


@cache
def _table() -> dict[tuple[int, int], Wanted]:
    meanings = {
        "X_TAGS": Wanted.REMOVE,
        "X_Z_TAGS": Wanted.EMPTY,
        "Z_TAGS": Wanted.EMPTY,
        "X_D_TAGS": Wanted.REPLACE,
        "X_Z_D_TAGS": Wanted.REPLACE,
        "Z_D_TAGS": Wanted.REPLACE,
        "D_TAGS": Wanted.REPLACE,
        "U_TAGS": Wanted.REPLACE,
        "X_Z_U_STAR_TAGS": Wanted.NOTHING,  # sequences of references: their UIDs are replaced one by one
    }
    lists = _lists()
    return {(tag[0], tag[1]): meaning for name, meaning in meanings.items() for tag in lists[name] if len(tag) == 2}


@cache
def _ranges() -> tuple[tuple[int, int, int, int], ...]:
    found = {tag for name, tags in _lists().items() if name.startswith("X_") for tag in tags if len(tag) == 4}
    return tuple((tag[0], tag[1], tag[2], tag[3]) for tag in sorted(found))
