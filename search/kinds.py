"""Kinds of documents in the index."""

from enum import StrEnum


class Kind(StrEnum):
    """What a document stands for."""

    PATIENT = "patient"
    DOSSIER = "dossier"
    SERIES = "series"
    PLAN = "plan"
