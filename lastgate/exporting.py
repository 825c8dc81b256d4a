"""Joins house and packages: writes a dossier into a folder of its own, for somebody else to keep or to look at."""

import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from archive.deidentification.pseudonyms import Pseudonyms, load_or_create_key
from archive.facts.receipts import PatientKey
from archive.handover.bag import write_bag
from archive.handover.contents import Contents, contents_of
from archive.handover.deidentified import deidentified, left_out_of
from archive.handover.formats import PackageFormat
from archive.handover.medium import write_medium
from archive.handover.ocfl_root import sealed_object, write_new_object, write_object
from archive.handover.writing import PackageFolder, new_package
from archive.journal.journal import Event
from archive.model import Dossier
from lastgate.settings import SettingsError
from lastgate.wiring import House, utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A package that was written.

    Parameters
    ----------
    files, size_bytes
        Of the whole package.
    late
        How many instances came after the seal and are not in it.
    left_out
        What is not in it because its identity can't be taken away.
    """

    dossier: str
    target: Path
    package: PackageFormat
    is_sealed: bool
    is_deidentified: bool
    files: int
    size_bytes: int
    late: int
    left_out: tuple[dict[str, Any], ...] = ()

    def answer(self) -> dict[str, Any]:
        """Return it as `export --json` prints it."""
        return {
            "dossier": self.dossier,
            "path": str(self.target),
            "format": self.package.value,
            "sealed": self.is_sealed,
            "deidentified": self.is_deidentified,
            "files": self.files,
            "bytes": self.size_bytes,
            "late": self.late,
            "left_out": list(self.left_out),
        }


def export_dossier(
    house: House,
    key: PatientKey,
    dossier: Dossier,
    target: Path,
    *,
    package: PackageFormat,
    account: str,
    is_deidentified: bool = False,
) -> Exported:
    """Write a dossier as a package into a folder that is not there yet.

    It is in the journal before the folder gets its name: what left the house is told, whatever comes after.

    Raises
    ------
    Refused
        An OCFL object is wanted of a dossier that is not sealed.
    TargetTaken, NoRoom
        The folder is there already, or there is no room for it.
    DigestMismatch, ObjectMissing, SealBroken
        The archive's own copies are not what they must be: nothing is handed over.
    """
    program = f"lastgate {version('lastgate')}"
    needed = dossier.size_bytes * (2 if is_deidentified else 1)
    with new_package(target, needed_bytes=needed) as folder:
        if is_deidentified:
            contents = _without_identity(house, dossier, folder, package, program)
        else:
            contents = _as_kept(house, key, dossier, folder, package, program)
        done = Exported(
            dossier=dossier.id,
            target=target.absolute(),
            package=package,
            is_sealed=bool(contents.version),
            is_deidentified=is_deidentified,
            files=len(folder.written),
            size_bytes=sum(file.size_bytes for file in folder.written.values()),
            late=0 if is_deidentified else len(dossier.late),
            left_out=tuple(left_out_of(contents)) if is_deidentified else (),
        )
        house.journal.append(_event(done, account))
    return done


def _as_kept(
    house: House, key: PatientKey, dossier: Dossier, folder: PackageFolder, package: PackageFormat, program: str
) -> Contents:
    if package is PackageFormat.OCFL:
        contents = sealed_object(dossier, vault=house.vault, places=house.places)
        write_object(folder, contents)
        return contents
    contents = contents_of(dossier, house.facts.read(key).decisions, vault=house.vault, places=house.places)
    _write(folder, contents, package, program)
    return contents


def _without_identity(
    house: House, dossier: Dossier, folder: PackageFolder, package: PackageFormat, program: str
) -> Contents:
    pseudonyms = Pseudonyms(_key(house), dossier.patient_key)
    with tempfile.TemporaryDirectory(dir=folder.root) as scratch:
        contents = deidentified(
            dossier, places=house.places, pseudonyms=pseudonyms, scratch=Path(scratch), program=program
        )
        _write(folder, contents, package, program)
    return contents


def _write(folder: PackageFolder, contents: Contents, package: PackageFormat, program: str) -> None:
    match package:
        case PackageFormat.OCFL:
            write_new_object(folder, contents, created=utc_now())
        case PackageFormat.BAGIT:
            write_bag(folder, contents, program=program, day=utc_now().date())
        case PackageFormat.DICOMDIR:
            write_medium(folder, contents, program=program)


def _key(house: House) -> bytes:
    path = house.settings.pseudonym_key or house.home / "keys" / "pseudonyms.key"
    try:
        return load_or_create_key(path)
    except ValueError as error:
        raise SettingsError(f"pseudonym_key: {error}") from error


def _event(done: Exported, account: str) -> Event:
    subject: dict[str, object] = {
        "dossier": done.dossier,
        "format": done.package.value,
        "deidentified": done.is_deidentified,
        "to": str(done.target),
        "files": done.files,
    }
    return Event(act="export", account=account, subject=subject)
