"""How a dose came onto the image, as an answer tells it."""

from dataclasses import asdict
from typing import Any

from archive.facts.dose_decisions import RegistrationQuality
from courses.registration import Mapping

Json = dict[str, Any]


def mapping_answer(mapping: Mapping) -> Json:
    """Return a way between two frames of reference as ``plans[].registration`` tells it."""
    return {
        "kind": mapping.kind,
        "source": mapping.source,
        "sources": list(mapping.sources),
        "approved": mapping.is_approved,
        "approved_by": mapping.approved_by,
        # Images of one frame and one day need no verdict: they are approved by nobody.
        "verdict": "approved" if mapping.approved_by else None,
        "quality": quality_answer(mapping.quality),
        "error": mapping.error,
    }


def quality_answer(quality: RegistrationQuality | None) -> Json | None:
    """Return what was measured of a registration; figures of structures by their name."""
    if quality is None:
        return None
    by_name = {"dice": dict(quality.dice), "mean_distance_mm": dict(quality.mean_distance_mm)}
    return asdict(quality) | by_name
