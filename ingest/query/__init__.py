"""The query service (C-FIND): what others may ask of the archive, answered from the index alone."""

from ingest.query.service import FindService, FindSettings
from ingest.query.trail import Asked, Trail

__all__ = ["Asked", "FindService", "FindSettings", "Trail"]
