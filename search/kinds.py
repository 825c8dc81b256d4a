"""Kinds of documents in the index."""

from enum import StrEnum


class Kind(StrEnum):
    """What a document stands for."""

    PATIENT = "patient"
    DOSSIER = "dossier"
    STUDY = "study"
    SERIES = "series"
    PLAN = "plan"
    INSTANCES = "instances"
    """The instances of one series: no more than their attributes, found by way of the series."""
