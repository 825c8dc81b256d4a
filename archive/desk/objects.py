"""Which instances a person means: by SOP Instance UID, by series, or by the digest of a document."""

from collections.abc import Iterable, Iterator, Sequence

from archive.errors import NotFound
from archive.headers import InstanceKind
from archive.model import Held, PatientRecord

_SHORTEST_DIGEST = 8


def held_of(record: PatientRecord) -> dict[str, Held]:
    """Return all instances of a person by UID, in order of UID."""
    parts = [*((*one.instances, *one.late) for one in record.dossiers), record.unattached]
    found = {held.uid: held for part in parts for held in part}
    return {uid: found[uid] for uid in sorted(found)}


def named_objects(record: PatientRecord, names: Sequence[str]) -> list[Held]:
    """Return the instances that are meant, each once; a name may be a UID, a series UID or the beginning of a digest.

    Raises
    ------
    NotFound
        A name fits nothing of this patient.
    """
    known = held_of(record)
    found: dict[str, Held] = {}
    for name in names:
        fitting = [held for held in known.values() if _fits(held, name)]
        if not fitting:
            raise NotFound(
                f"This patient has no object {name!r}",
                hint="Name it by its SOP Instance UID or its series UID, a document by its SHA-256.",
            )
        found |= {held.uid: held for held in fitting}
    return list(found.values())


def _fits(held: Held, name: str) -> bool:
    is_digest = len(name) >= _SHORTEST_DIGEST and held.receipt.file_sha256.startswith(name.lower())
    return bool(name) and (name in (held.uid, held.header.series_uid) or is_digest)


def with_followers(record: PatientRecord, meant: Iterable[Held]) -> list[Held]:
    """Return what is meant and, of each plan in it, the doses and records that name no other plan."""
    chosen = {held.uid: held for held in meant}
    plans = {uid for uid, held in chosen.items() if held.kind is InstanceKind.PLAN}
    for uid, held in held_of(record).items():
        named = set(plans_named_by(held))
        if named and named <= plans:
            chosen[uid] = held
    return list(chosen.values())


def plans_named_by(held: Held) -> Iterator[str]:
    """Yield the UIDs of the plans that a dose or a treatment record is of."""
    for header in (held.header.dose, held.header.record):
        if header is not None:
            yield from header.plan_uids
