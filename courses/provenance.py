"""Where a composite comes from and what was assumed for it, as its answer tells: nothing of it decides a figure."""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any, Final

from archive.headers import InstanceKind
from archive.model import Held
from archive.uids import is_own
from courses.composite import Composite
from courses.questions import Questions

Json = dict[str, Any]

_PROGRAMS: Final = ("lastgate", "numpy", "pydicom")


def provenance(composite: Composite, questions: Questions, *, data_files: Sequence[Json] = ()) -> Json:
    """Return programs, data files and instances an answer was made with.

    Parameters
    ----------
    data_files
        ``name`` and ``version`` of each table that was read.
    """
    instances = [*_instances(composite)]
    if questions.candidate is not None:
        instances.append({"role": "candidate", "uid": questions.candidate.uid, "sha256": questions.candidate.sha256})
    return {
        "software": {name: version(name) for name in _PROGRAMS},
        "data_files": list(data_files),
        "instances": instances,
    }


def assumptions(composite: Composite, questions: Questions) -> list[Json]:
    """Return what was assumed, as codes with their figures; `templates/words.toml` words them."""
    found: list[Json] = [{"code": "interpolation"}, {"code": "outside"}]
    is_planned = any(share.as_planned for share in composite.shares)
    found.append({"code": "planned" if is_planned else "delivered"})
    found.append({"code": "dose-kind", "kind": "physical" if composite.dose_type == "PHYSICAL" else "RBE-weighted"})
    found += _ways(composite)
    found.append({"code": "lq"})
    if composite.gathered.has_close_sessions:
        found.append({"code": "incomplete-repair"})
    if not questions.recovery:
        found.append({"code": "no-recovery"})
    asked = sorted(questions.alpha_beta_gy.items())
    found += [{"code": "asked-ratio", "structure": name, "value": value} for name, value in asked]
    return found


def _ways(composite: Composite) -> Iterator[Json]:
    same = {share.dossier.id for share in composite.shares if share.mapping and share.mapping.kind == "identity"}
    if len(same) > 1:
        numbers = [str(place) for place, one in enumerate(composite.dossiers, start=1) if one.id in same]
        yield {"code": "same-frame", "courses": ", ".join(numbers)}
    for share in composite.shares:
        if share.mapping and share.mapping.kind != "identity":
            label = share.plan.header.label or share.plan.uid
            yield {"code": "registered", "plan": label, "kind": share.mapping.kind}


def _instances(composite: Composite) -> Iterator[Json]:
    """Yield what was read: grids, plans and structure sets of what is in the sum, and the registrations used."""
    used = {uid for share in composite.shares if share.mapping for uid in share.mapping.sources}
    found: dict[str, Held] = {}
    for share in composite.shares:
        if share.source:
            doses = [held for held in share.plan.doses if held.uid in share.plan.chosen_dose_uids]
            plan = [share.plan.held] if share.plan.held else []
            found |= {held.uid: held for held in (*doses, *plan)}
    drawn = (held for held in composite.onto.instances if held.kind is InstanceKind.STRUCTURES)
    found |= {held.uid: held for held in drawn if not is_own(held.uid)}
    found |= {held.uid: held for held in _everything(composite) if held.uid in used}
    for held in sorted(found.values(), key=lambda one: (one.kind.value, one.uid)):
        yield {"role": held.kind.value, "uid": held.uid, "sha256": held.receipt.file_sha256}


def _everything(composite: Composite) -> Iterator[Held]:
    for dossier in composite.record.dossiers:
        yield from (*dossier.instances, *dossier.late)
    yield from composite.record.unattached
