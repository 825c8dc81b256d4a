"""The query models (PS3.4 C.6): their SOP classes, their levels, and which attribute stands at which level."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from archive.reading.attributes import ATTRIBUTES, RT_ATTRIBUTES, Level
from search.attributes import TOLD_OF_STUDIES

LEVELS: Final = tuple(Level)
"""All levels, upper ones first."""

UNIQUE_KEYS: Final[Mapping[Level, str]] = MappingProxyType(
    {
        Level.PATIENT: "PatientID",
        Level.STUDY: "StudyInstanceUID",
        Level.SERIES: "SeriesInstanceUID",
        Level.IMAGE: "SOPInstanceUID",
    }
)
"""The attribute that names one entity of a level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One information model.

    Parameters
    ----------
    find_class
        SOP Class UID of its C-FIND.
    levels
        What may be asked for, upper levels first. In a model without patients their attributes are those of studies.
    """

    name: str
    find_class: str
    levels: tuple[Level, ...]

    def above(self, level: Level) -> tuple[Level, ...]:
        """Return the levels above one."""
        return self.levels[: self.levels.index(level)]


MODELS: Final = (
    Model(name="Patient Root", find_class="1.2.840.10008.5.1.4.1.2.1.1", levels=LEVELS),
    Model(name="Study Root", find_class="1.2.840.10008.5.1.4.1.2.2.1", levels=LEVELS[1:]),
    Model(name="Patient/Study Only", find_class="1.2.840.10008.5.1.4.1.2.3.1", levels=LEVELS[:2]),
)
"""What is offered (PS3.4 C.6.1, C.6.2, and the retired C.6.3)."""


class Source(Enum):
    """The document of the index that tells an attribute."""

    PATIENT = 0
    STUDY = 1
    SERIES = 2
    IMAGE = 3
    HERE = 4
    """None: it says something of this archive, not of what it holds."""


HERE: Final = ("QueryRetrieveLevel", "RetrieveAETitle", "InstanceAvailability")
"""Attributes every answer can tell by itself."""

_COUNTS: Final = {
    "NumberOfPatientRelatedStudies": (Level.PATIENT, Source.PATIENT),
    "NumberOfPatientRelatedSeries": (Level.PATIENT, Source.PATIENT),
    "NumberOfPatientRelatedInstances": (Level.PATIENT, Source.PATIENT),
    "ModalitiesInStudy": (Level.STUDY, Source.STUDY),
    "SOPClassesInStudy": (Level.STUDY, Source.STUDY),
    "NumberOfStudyRelatedSeries": (Level.STUDY, Source.STUDY),
    "NumberOfStudyRelatedInstances": (Level.STUDY, Source.STUDY),
    "NumberOfSeriesRelatedInstances": (Level.SERIES, Source.SERIES),
}


def supported(level: Level) -> Mapping[str, Source]:
    """Return the keys that are matched and returned at a level, each with the document that tells it.

    Patients of studies and below are told as they stand in the study: a name that differs there is the one its
    instances bear.
    """
    return _SUPPORTED[level]


def _at(level: Level) -> dict[str, Source]:
    rank = LEVELS.index(level)
    found = dict.fromkeys(HERE, Source.HERE)
    for number, one in enumerate(LEVELS[: rank + 1]):
        source = Source(number) if number or not rank else Source.STUDY
        found.update(dict.fromkeys(ATTRIBUTES[one], source))
    found.update({key: source for key, (one, source) in _COUNTS.items() if LEVELS.index(one) <= rank})
    if level is Level.STUDY:
        found.update(dict.fromkeys(TOLD_OF_STUDIES, Source.STUDY))
    if level is Level.SERIES:
        found.update(dict.fromkeys(RT_ATTRIBUTES, Source.SERIES))
    return found


_SUPPORTED: Final = MappingProxyType({level: MappingProxyType(_at(level)) for level in Level})
