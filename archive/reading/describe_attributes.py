"""Reads from a data set what is kept of it by keyword, for queries alone (`archive.reading.attributes`)."""

from collections.abc import Iterable
from typing import Final

from archive.headers import Attribute
from archive.reading.attributes import SEQUENCES
from archive.reading.values import Reader

_MAX_CHARS: Final = 10_240
"""The longest text a query can be about (LT, PS3.5 6.2); what is longer is no value to ask for."""
_MAX_ITEMS: Final = 64
_INSIDE: Final = {
    "TreatmentMachineName": ("TreatmentMachineSequence", "BeamSequence", "IonBeamSequence"),
    "CurrentFractionNumber": (
        "TreatmentSessionBeamSequence",
        "TreatmentSessionIonBeamSequence",
        "TreatmentSessionApplicationSetupSequence",
    ),
    "NumberOfFractionsPlanned": ("FractionGroupSequence",),
}
"""Attributes that RT objects keep inside a sequence though they say something of the whole."""


def attributes_of(reader: Reader, keywords: Iterable[str]) -> dict[str, Attribute]:
    """Return those of `keywords` that have a value.

    What can't be read is left out without a flag: a flag is a finding, and nothing but an answer to a query hangs on
    these values.
    """
    quiet = reader.quiet()
    found: dict[str, Attribute] = {}
    for keyword in keywords:
        value = _items(quiet, keyword) if keyword in SEQUENCES else _text(quiet, keyword)
        if value:
            found[keyword] = value
    return found


def _text(reader: Reader, keyword: str) -> str:
    if keyword in _INSIDE and not reader.has(keyword):
        return "\\".join(_inside(reader, keyword))
    text = reader.written(keyword)
    return text if len(text) <= _MAX_CHARS else ""


def _inside(reader: Reader, keyword: str) -> list[str]:
    items = (item for sequence in _INSIDE[keyword] for item in reader.items(sequence))
    return list(dict.fromkeys(text for item in items if (text := item.text(keyword))))[:_MAX_ITEMS]


def _items(reader: Reader, keyword: str) -> tuple[dict[str, str], ...]:
    told = (
        {name: text for name in SEQUENCES[keyword] if (text := item.written(name))} for item in reader.items(keyword)
    )
    return tuple(item for item in told if item)[:_MAX_ITEMS]
