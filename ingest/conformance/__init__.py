"""The DICOM conformance statement (PS3.2), printed from the tables the node works with."""

from ingest.conformance.statement import statement

__all__ = ["statement"]
