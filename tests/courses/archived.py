"""Files of a patient as the archive holds them: bytes in a store, receipts of them, folded to a record."""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread

from archive.assembly.fold import fold
from archive.facts.decisions import Act
from archive.facts.receipts import Receipt, patient_key
from archive.facts.store import FactStore, PatientFacts
from archive.model import PatientRecord
from archive.reading.describe import describe
from archive.vault.places import Places
from archive.vault.vault import Vault
from courses.answers import composite_answer, read_organs
from courses.composite import Composite
from courses.reading import Reader
from dose.biology.tissues import standard_tissues
from lastgate.sample import SamplePatient
from storage.base import ObjectStore
from storage.filesystem import FilesystemStore
from tests import factories
from tests.factories import gate


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRecord:
    """A sample patient, the receipts of all files by path, and what is folded of them."""

    patient: SamplePatient
    receipts: dict[Path, Receipt]
    record: PatientRecord


class Archived:
    """A store of a test's own and what is folded from it."""

    def __init__(self, folder: Path) -> None:
        self.store: ObjectStore = FilesystemStore(folder)
        vault = Vault(work=self.store, locked=self.store)
        self.reader = Reader(Places(work=self.store, vault=vault, facts=FactStore(self.store, node="test")))

    def receipt(self, file: Path | Dataset, *, minutes: int = 0) -> Receipt:
        """Store a file, or a data set as a file, and return its receipt."""
        body = file.read_bytes() if isinstance(file, Path) else as_bytes(file)
        made = factories.receipt(describe(dcmread(io.BytesIO(body), force=True)), minutes=minutes, body=body)
        self.store.put_if_absent(made.key, io.BytesIO(body), sha256=made.file_sha256, size_bytes=made.size_bytes)
        return made

    def record(self, files: Iterable[Path | Dataset | Receipt], decisions: Iterable[Act] = ()) -> PatientRecord:
        """Return what the archive folds of these files, in any order of arrival."""
        receipts = tuple(one if isinstance(one, Receipt) else self.receipt(one) for one in files)
        identifier = receipts[0].header.patient.identifier
        decided = tuple(factories.decision(number, act) for number, act in enumerate(decisions, 1))
        facts = PatientFacts(key=patient_key(identifier, ""), receipts=receipts, decisions=decided)
        return fold(facts, gate=gate())

    def sample(self, patient: SamplePatient) -> SampleRecord:
        """Store all files of a sample patient."""
        receipts = {path: self.receipt(path) for path in patient.paths}
        return SampleRecord(patient=patient, receipts=receipts, record=self.record(receipts.values()))

    def changed(
        self,
        sample: SampleRecord,
        *,
        without: Iterable[Path] = (),
        edit: dict[Path, Callable[[Dataset], None]] | None = None,
        more: Iterable[Dataset] = (),
        decisions: Iterable[Act] = (),
    ) -> PatientRecord:
        """Fold a sample patient again, some files left out, edited or added."""
        files: dict[Path, Receipt] = {path: one for path, one in sample.receipts.items() if path not in set(without)}
        for path, change in (edit or {}).items():
            dataset = dcmread(path)
            change(dataset)
            files[path] = self.receipt(dataset)
        return self.record([*files.values(), *more], decisions)


def as_bytes(dataset: Dataset) -> bytes:
    """Return a data set as the bytes of a file."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def answered(composite: Composite, reader: Reader, *, as_of: date | None = None) -> dict[str, Any]:
    """Return the answer of a composite with the tables that come with the program."""
    return composite_answer(composite, read_organs(composite, reader, standard_tissues()), as_of=as_of)
