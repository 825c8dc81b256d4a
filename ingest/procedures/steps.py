"""Performed procedure steps as they are kept: ``site/procedure-steps/`` (docs/formats.md).

A modality creates a step, changes it, and ends it as completed or discontinued
(PS3.4 F.7). What it says is kept as DICOM JSON (PS3.18 F) beside what is
needed to find it: nothing of it is judged, and dossiers are not folded from it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from storage.base import ObjectStore, Version
from storage.errors import ObjectMissing, Replaced

_FOLDER: Final = "site/procedure-steps"

StepStatus = Literal["IN PROGRESS", "COMPLETED", "DISCONTINUED"]
FINAL: Final = frozenset[StepStatus]({"COMPLETED", "DISCONTINUED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One performed procedure step.

    Parameters
    ----------
    sop_instance_uid
        Names it.
    modality
        AE title of whoever created it.
    status
        Performed Procedure Step Status (0040,0252).
    created_at, changed_at
        When it was created and changed last; aware UTC.
    changes
        How often it was changed.
    patient_id, issuer, study_uids
        Whose it is, and of which studies, as it says.
    attributes
        All it says, as DICOM JSON; a change replaces whole elements of the top level (PS3.4 F.7.2.2).
    """

    format: Literal["lastgate/procedure-step/1"] = "lastgate/procedure-step/1"
    sop_instance_uid: str
    modality: str
    status: StepStatus
    created_at: datetime
    changed_at: datetime
    changes: int = 0
    patient_id: str = ""
    issuer: str = ""
    study_uids: tuple[str, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        """Whether it can't be changed any more."""
        return self.status in FINAL

    def changed(self, attributes: dict[str, Any], *, status: StepStatus, at: datetime) -> "Step":
        """Return the step after a change."""
        merged = {**self.attributes, **attributes}
        return replace(self, attributes=merged, status=status, changed_at=at, changes=self.changes + 1)


_STEP: Final = TypeAdapter(Step)


class Steps:
    """Keeps steps in the object store.

    Parameters
    ----------
    store
        Where ``site/`` lies.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def find(self, sop_instance_uid: str) -> tuple[Step, Version] | None:
        """Return a step and the version it was read in, None if there is none."""
        key = _key(sop_instance_uid)
        try:
            version = self._store.stat(key).version
            return _STEP.validate_json(self._store.read_bytes(key)), version
        except ObjectMissing:
            return None

    def save(self, step: Step, *, expected: Version | None) -> bool:
        """Keep a step durably if it still is what was read (None: if there is none); False if it is not."""
        body = _STEP.dump_json(step, indent=1) + b"\n"
        try:
            self._store.replace_if_match(_key(step.sop_instance_uid), body, expected=expected)
        except Replaced:
            return False
        return True

    def all(self) -> Iterator[Step]:
        """Yield all steps."""
        for stat in self._store.list(f"{_FOLDER}/"):
            yield _STEP.validate_json(self._store.read_bytes(stat.key))


def _key(sop_instance_uid: str) -> str:
    """Return where a step lies; what a peer calls it is not trusted as a path."""
    digest = hashlib.sha256(sop_instance_uid.encode()).hexdigest()
    return f"{_FOLDER}/{digest[:2]}/{digest}.json"
