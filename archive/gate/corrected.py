"""Gate rules about corrections: what a seal can no longer follow, and what a second person must still sign."""

from collections.abc import Iterator

from archive.assembly.transcription import unsigned
from archive.gate.raised import Raised, Rule, Surroundings
from archive.model import Dossier


def sealed_astray(dossier: Dossier, _: Surroundings) -> Iterator[Raised]:
    """What a seal holds stays there, also where a person said since that it belongs elsewhere."""
    if dossier.astray:
        yield Raised(code="SEALED-ASTRAY", params={"count": len(dossier.astray)}, instance_uids=dossier.astray)


def transcription_unsigned(dossier: Dossier, around: Surroundings) -> Iterator[Raised]:
    """Fractions copied from a treatment sheet count once a second person compared and signed them."""
    labels = {plan.uid: plan.header.label for plan in dossier.plans}
    labels |= {one.course_uid: one.label for one in dossier.opened}
    for number, copy in unsigned(around.decisions, dossier.plan_uids):
        yield Raised(
            code="TRANSCRIPTION-UNSIGNED",
            subject=copy.plan_uid,
            params={
                "label": labels[copy.plan_uid] or copy.plan_uid,
                "count": len(copy.fractions),
                "number": number,
            },
        )


CORRECTED_RULES: tuple[Rule, ...] = (sealed_astray, transcription_unsigned)
