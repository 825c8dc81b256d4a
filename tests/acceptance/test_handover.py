"""Dossiers of real data go out in every form: independent judges find them whole, and they come in as they were."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from archive.facts.decisions import Close
from archive.facts.receipts import PatientKey
from archive.handover.formats import PackageFormat
from archive.model import Dossier
from lastgate.exporting import Exported, export_dossier
from lastgate.reception import take_in
from lastgate.wiring import House
from tests import judges
from tests.acceptance.houses import local
from tests.gates import AsksNothing

pytestmark = [pytest.mark.real_data, pytest.mark.server, pytest.mark.slow]

LEFT_HERE = frozenset({"pymedphys_water"})
"""503 slices of water: as much again as all others, and nothing they do not have."""
END = Close(plan_uids=(), outcome="completed", last_date="20260930")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What went out of an archive."""

    house: House
    sealed: tuple[tuple[PatientKey, Dossier], ...]
    packages: dict[PackageFormat, tuple[Exported, ...]]


@pytest.fixture(scope="module")
def handed(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Iterator[Handed]:
    """All dossiers of the real data, sealed and exported in every form."""
    base = tmp_path_factory.mktemp("handover")
    judges.install_ocfl()
    with local(base / "from") as house:
        take_in(house, [path for path in sorted(real_data.iterdir()) if path.name not in LEFT_HERE])
        house.__dict__["desk"] = replace(house.desk, gate=AsksNothing())
        sealed = tuple(_sealed(house))
        packages = {
            package: tuple(
                export_dossier(house, key, one, base / f"{package.value}-{number}", package=package, account="mei")
                for number, (key, one) in enumerate(sealed)
            )
            for package in PackageFormat
        }
        yield Handed(house=house, sealed=sealed, packages=packages)


def _sealed(house: House) -> Iterator[tuple[PatientKey, Dossier]]:
    """Seal each dossier that holds anything; of those that a plan named by several patients makes, one."""
    account = house.accounts.add("mei", "doctor", "correct horse")
    seen: set[str] = set()
    for key in list(house.facts.patients()):
        for dossier in house.desk.record(key).dossiers:
            if dossier.instances and dossier.id not in seen:
                seen.add(dossier.id)
                house.desk.close(key, dossier.id, END, account=account)
                yield key, house.desk.seal(key, dossier.id, account=account)


def test_export_when_real_dossiers_go_out_then_ocfl_py_finds_every_object_valid(handed: Handed) -> None:
    packages = handed.packages[PackageFormat.OCFL]
    assert len(packages) >= 20
    assert judges.ocfl_verdict([one.target for one in packages]) == []


def test_export_when_real_dossiers_go_out_then_bagit_finds_every_bag_valid(handed: Handed) -> None:
    packages = handed.packages[PackageFormat.BAGIT]
    assert len(packages) >= 20
    assert {one.dossier: verdict for one in packages if (verdict := judges.bag_verdict(one.target))} == {}


def test_export_when_real_dossiers_go_out_then_others_read_every_medium(handed: Handed) -> None:
    packages = handed.packages[PackageFormat.DICOMDIR]
    assert len(packages) >= 20
    assert {one.dossier: verdict for one in packages if (verdict := judges.medium_verdict(one.target))} == {}


def _digests(house: House) -> Counter[tuple[PatientKey, str]]:
    """Return each file once under each patient that has it."""
    return Counter(
        {(key, receipt.file_sha256): 1 for key in house.facts.patients() for receipt in house.facts.read(key).receipts}
    )


@pytest.mark.parametrize("package", PackageFormat)
def test_import_when_real_dossiers_come_in_again_then_every_digest_is_the_same(
    handed: Handed, tmp_path: Path, package: PackageFormat
) -> None:
    sent = Counter({(key, held.receipt.file_sha256): 1 for key, one in handed.sealed for held in one.instances})
    with local(tmp_path / "to") as house:
        report = take_in(house, [one.target for one in handed.packages[package]])
        assert report.counts.keys() <= {"package", "ignored", "stored", "conflict", "variant", "duplicate"}
        assert report.counts["package"] == len(handed.sealed)
        assert _digests(house) == sent
        assert {
            receipt.source.package for key in house.facts.patients() for receipt in house.facts.read(key).receipts
        } == {package.value}
