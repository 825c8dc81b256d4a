"""Keeps the index at the facts: writes what was folded, buries what a fold no longer has."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from search.base import Engine, PatientVersions, Rebuild, Stored
from search.documents import Document, patient_id, tombstone
from search.errors import BadDocument, SearchError
from search.kinds import Kind

_BATCH: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientFold:
    """Everything the index shall hold of one patient.

    Parameters
    ----------
    version
        Number of facts folded; every document has this version.
    documents
        None, if nothing is left under this patient (all moved to another).

    Raises
    ------
    BadDocument
        If a document is of another patient or version, or two have one id.
    """

    patient_key: str
    version: int
    documents: tuple[Document, ...]

    def __post_init__(self) -> None:
        """Refuse what could not be told from another fold."""
        for document in self.documents:
            if document.patient_key != self.patient_key or document.version != self.version or document.tombstone:
                raise BadDocument(f"{document.id} is not of version {self.version} of patient {self.patient_key}.")
        if len({document.id for document in self.documents}) != len(self.documents):
            raise BadDocument(f"Two documents of patient {self.patient_key} have one id.")

    @property
    def written(self) -> tuple[Document, ...]:
        """The documents, or for a patient without any the tombstone that keeps late writers from bringing it back."""
        if self.documents:
            return self.documents
        gone = tombstone(patient_id(self.patient_key), Kind.PATIENT, patient_key=self.patient_key, version=self.version)
        return (gone,)


class Refresher:
    """Writes folds into an index; any number of them may work at once, on the same patient too.

    Facts are only ever added, so a fold of more facts knows all that one of
    fewer knew. Every writer first writes and then looks what stands under the
    patient: whoever looks last sees the documents of all, and buries those
    older than the newest. A tombstone never wins against a living document of
    its own version, so the newest fold's documents stay.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(self, *folds: PatientFold) -> None:
        """Bring patients' documents to new folds; searches see it when this returns.

        On SQLite the change is seen as a whole. If it raises, write the same folds again.
        """
        self._engine.put([document for fold in folds for document in (*fold.written, *self._gone(fold))])
        for fold in folds:
            self._bury_stale(fold.patient_key, at_least=fold.version)

    def _gone(self, fold: PatientFold) -> list[Document]:
        kept = {document.id for document in fold.documents}
        gone = [one for one in self._engine.documents_of(fold.patient_key) if one.id not in kept]
        return _buried(gone, fold.patient_key, at_least=fold.version)

    def _bury_stale(self, patient_key: str, *, at_least: int = 0) -> None:
        held = self._engine.documents_of(patient_key)
        buried = _buried(held, patient_key, at_least=at_least)
        if buried:
            self._engine.put(buried)
            self._engine.refresh()

    def rebuild(self, folds: Iterable[PatientFold]) -> int:
        """Build a new index of all patients and let it answer when it is whole.

        Facts that arrive meanwhile are written to both indexes by `write`. If
        it raises, also because `folds` did, the old index goes on answering.

        Returns
        -------
        int
            Number of documents the new index holds, tombstones included.
        """
        rebuild = self._engine.begin_rebuild()
        try:
            _fill(rebuild, folds)
            held = rebuild.finish()
        except BaseException:
            with suppress(SearchError):  # what stays behind is dropped by the next rebuild; the cause matters more
                rebuild.abandon()
            raise
        self.sweep()
        return held

    def sweep(self) -> tuple[PatientVersions, ...]:
        """Bury what a newer fold no longer has, and return how current every patient is.

        A writer looks for what is stale in the index that answers. What a
        rebuild put into the new one from an older fold, it can't have seen.

        Returns
        -------
        tuple
            In order of key. Compare each `newest` with the number of the patient's facts, and fold again whom it
            does not equal.
        """
        found = tuple(self._engine.patients())
        for patient in found:
            if patient.is_uneven:
                self._bury_stale(patient.patient_key)
        return found


def _fill(rebuild: Rebuild, folds: Iterable[PatientFold]) -> None:
    batch: list[Document] = []
    for fold in folds:
        batch.extend(fold.written)
        if len(batch) >= _BATCH:
            rebuild.put(batch)
            batch = []
    rebuild.put(batch)


def _buried(held: Iterable[Stored], patient_key: str, *, at_least: int) -> list[Document]:
    """Return tombstones for what is alive and older than the newest fold that left a trace."""
    known = tuple(held)
    newest = max((one.version for one in known), default=at_least)
    newest = max(newest, at_least)
    return [
        tombstone(one.id, one.kind, patient_key=patient_key, version=newest)
        for one in known
        if one.version < newest and not one.is_tombstone
    ]
