"""The export command: what goes out, what is refused, and that no name leaves with a package that has none."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import Dataset

from archive.deidentification.structure_names import is_telling_nothing
from archive.facts.decisions import Close
from archive.handover.formats import PackageFormat
from archive.headers import Identifier, InstanceKind
from archive.model import Dossier
from lastgate.exporting import export_dossier
from lastgate.reception import take_in
from lastgate.sample import Department
from lastgate.settings import NodeSettings, Settings
from lastgate.wiring import House, open_house
from storage.errors import DigestMismatch
from tests import judges
from tests.gates import AsksNothing
from tests.lastgate.program import PASSWORD, environment, lastgate

FORMATS = pytest.mark.parametrize("package", list(PackageFormat))
CONSENT = b"%PDF-1.7 consent of a patient"
_PRIVATE_VRS = frozenset({"PN", "LO", "SH", "ST", "LT", "UT", "UC", "UR", "AE", "UI", "DA", "DT"})
_NOT_TELLING = frozenset(
    {
        *("SOPClassUID", "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "CodeMeaning", "CodeValue"),
        *("CodingSchemeDesignator", "ROIName", "DoseReferenceDescription", "ConvolutionKernel"),
    }
)


_SHORT = 8
_EVERYBODYS = frozenset({"Radiotherapy", "Sample"})
"""Words that our README and the name of the maker hold as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """An archive with one sealed and one open dossier."""

    env: dict[str, str]
    home: Path
    sealed: Dossier
    open: Dossier


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, sample_department: Department) -> Desk:
    """A prostate course with a consent form, sealed; and a course that goes on."""
    base = tmp_path_factory.mktemp("exporting")
    (base / "consent.pdf").write_bytes(CONSENT)
    with _house(base / "home") as house:
        take_in(house, [sample_department.patient("SAMPLE-0003").courses[0].folder])
        take_in(house, [sample_department.patient("SAMPLE-0002").courses[0].folder])
        take_in(house, [base / "consent.pdf"], patient=_identifier(house, "SAMPLE-0003"))
        account = house.accounts.add("mei", "doctor", PASSWORD)
        house.__dict__["desk"] = replace(house.desk, gate=AsksNothing())
        key, course = house.dossier(_id(house, "SAMPLE-0003"))
        end = Close(plan_uids=(), outcome="completed", last_date=course.last_fraction)
        house.desk.close(key, course.id, end, account=account)
        sealed = house.desk.seal(key, course.id, account=account)
        _, going_on = house.dossier(_id(house, "SAMPLE-0002"))
    return Desk(env=environment(base / "home"), home=base / "home", sealed=sealed, open=going_on)


def _house(home: Path) -> Any:
    return open_house(Settings(home=home, node=NodeSettings(port=0)))


def _identifier(house: House, value: str) -> Identifier:
    (found,) = {one for one in house.patient(value).person.identifiers if one.value == value}
    return found


def _id(house: House, patient: str) -> str:
    return house.patient(patient).dossiers[0].id


@pytest.fixture(scope="module")
def packages(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[PackageFormat, bool], Path]:
    """The sealed dossier in every form, with and without its identity, by the command line."""
    base = tmp_path_factory.mktemp("packages")
    found = {}
    for package in PackageFormat:
        for without in (False, True):
            target = base / f"{package.value}{'-without' if without else ''}"
            options = ("--deidentify",) if without else ()
            told = lastgate(
                *("export", desk.sealed.id[:10], target, "--format", package.value, "--as", "mei", "--json", *options),
                env=desk.env,
            )
            assert told.code == 0, told.err
            assert (told.json["deidentified"], told.json["path"]) == (without, str(target))
            found[package, without] = target
    return found


@pytest.mark.server
@FORMATS
@pytest.mark.parametrize("without", [False, True], ids=["", "deidentified"])
def test_export_when_done_then_the_judge_of_its_form_finds_it_whole(
    packages: dict[tuple[PackageFormat, bool], Path], package: PackageFormat, without: bool
) -> None:
    target = packages[package, without]
    match package:
        case PackageFormat.OCFL:
            judges.install_ocfl()
            assert judges.ocfl_verdict([target]) == []
        case PackageFormat.BAGIT:
            assert judges.bag_verdict(target) == []
        case PackageFormat.DICOMDIR:
            assert judges.medium_verdict(target) == []


@FORMATS
def test_export_when_it_comes_in_again_then_files_patient_and_titles_are_the_same(
    packages: dict[tuple[PackageFormat, bool], Path], desk: Desk, tmp_path: Path, package: PackageFormat
) -> None:
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", packages[package, False])
    with _house(tmp_path / "to") as house:
        report = take_in(house, [Path(archive)])
        key, found = house.dossier(desk.sealed.id)
        assert key == desk.sealed.patient_key
        assert _kept(found) == _kept(desk.sealed)
        assert {one.receipt.source.package for one in found.instances} == {package.value}
        (event,) = [one for one in _events(house) if one["act"] == "import"]
        kept = house.stores.work.read_bytes(_package_key(event["subject"]["dossier_sha256"]))
        assert json.loads(kept)["id"] == desk.sealed.id
    (line,) = [line for line in report.lines if line.disposition == "package"]
    assert "Sealed by mei" in line.reason
    assert "which is none of this archive" in line.reason


def _kept(dossier: Dossier) -> set[tuple[str, Identifier, str]]:
    return {
        (one.receipt.file_sha256, one.header.patient.identifier, one.header.document_title) for one in dossier.instances
    }


def _package_key(sha256: str) -> str:
    return f"intake/packages/{sha256[:2]}/{sha256}"


def _events(house: House) -> list[dict[str, Any]]:
    house.journal.flush()
    return list(house.journal.events())


@FORMATS
def test_export_when_the_identity_is_taken_away_then_nothing_of_the_patient_is_left_in_any_byte(
    packages: dict[tuple[PackageFormat, bool], Path], desk: Desk, package: PackageFormat
) -> None:
    secrets = set(_secrets(desk))
    assert {"SAMPLE-0003", desk.sealed.id} <= secrets
    whole = _bytes_below(packages[package, False])
    assert sum(secret.encode() in whole for secret in secrets) > 70, "the check would find what is there"
    cleaned = _bytes_below(packages[package, True])
    assert [one for one in secrets if _stands_in(one, cleaned)] == []


def _stands_in(secret: str, body: bytes) -> bool:
    """Return whether a text is anywhere in these bytes; a short number by chance stands inside many a longer one."""
    if secret.isdigit() and len(secret) < _SHORT:
        return re.search(rb"(?<![0-9.])%s(?![0-9.])" % secret.encode(), body) is not None
    return secret.encode() in body or secret.encode("latin-1", "replace") in body


def test_stands_in_when_a_short_number_is_part_of_a_longer_one_then_only_by_itself_it_counts() -> None:
    assert not _stands_in("1002", b"2.25.910021 1002.5")
    assert _stands_in("1002", b"\x00\x041002\x08")
    assert _stands_in("20250908", b"120250908.5")


def _secrets(desk: Desk) -> Iterator[str]:
    """Yield every text, date and UID of the originals that some person or system wrote."""
    yield desk.sealed.id
    yield CONSENT.decode()
    with _house(desk.home) as house:
        for held in desk.sealed.instances:
            if held.header.sop_instance_uid:
                found = _texts(_read(house.places.whole(held.receipt)))
                yield from (text for text in found if not is_telling_nothing(text) and text not in _EVERYBODYS)


def _read(body: bytes) -> Dataset:
    from io import BytesIO

    return pydicom.dcmread(BytesIO(body))


def _texts(dataset: Dataset) -> Iterator[str]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.VR in _PRIVATE_VRS and element.keyword not in _NOT_TELLING:
            values = (
                element.value if isinstance(element.value, (list, pydicom.multival.MultiValue)) else [element.value]
            )
            texts = (part.strip() for value in values if value for part in re.split(r"[\^=]", str(value)))
            yield from (text for text in texts if len(text) > 3 and not text.startswith("1.2.840.10008."))


def _bytes_below(folder: Path) -> bytes:
    names = "\n".join(str(path.relative_to(folder)) for path in folder.rglob("*")).encode()
    return names + b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_export_when_the_identity_is_taken_away_then_the_course_hangs_together_as_before(
    packages: dict[tuple[PackageFormat, bool], Path], desk: Desk, tmp_path: Path
) -> None:
    with _house(tmp_path / "to") as house:
        take_in(house, [packages[PackageFormat.BAGIT, True]])
        (record,) = [house.desk.record(key) for key in house.facts.patients()]
    (found,) = record.dossiers
    assert record.unattached == ()
    assert _shape(found) == _shape(desk.sealed)
    (identifier,) = found.person.identifiers
    assert re.fullmatch(r"LG-[A-Z2-7]{10}", identifier.value)
    days = zip(found.sessions, desk.sealed.sessions, strict=True)
    moved = {_ordinal(one.date) - _ordinal(other.date) for one, other in days}
    assert len(moved) == 1
    assert moved.pop() % 7 == 0


def _shape(dossier: Dossier) -> object:
    """Return how a dossier hangs together, without any name."""
    plans = [
        (
            plan.modality,
            plan.technique,
            plan.fractions_planned,
            len(plan.structure_sets),
            len(plan.doses),
            len(plan.chosen_dose_uids),
            [(one.number, one.share, one.time, one.planned_metersets) for one in plan.fractions],
        )
        for plan in dossier.plans
    ]
    kinds = sorted(one.kind.value for one in dossier.instances if one.kind is not InstanceKind.DOCUMENT)
    prescribed = [[(one.prescribed_gy, one.delivered_gy) for one in phase.targets] for phase in dossier.phases]
    return plans, kinds, prescribed, len(dossier.sessions)


def _ordinal(day: str) -> int:
    from archive.dates import parse_date

    found = parse_date(day)
    assert found is not None
    return found.toordinal()


def test_export_when_the_identity_is_taken_away_then_documents_stay_and_are_told(
    packages: dict[tuple[PackageFormat, bool], Path], desk: Desk
) -> None:
    told = json.loads((packages[PackageFormat.BAGIT, True] / "data" / "deidentification.json").read_text("utf-8"))
    assert told["format"] == "lastgate/deidentification/1"
    assert [one["code"] for one in told["profile"]] == ["113100", "113105", "113107"]
    documents = [one for one in desk.sealed.instances if one.kind is InstanceKind.DOCUMENT]
    assert {one["kind"] for one in told["left_out"]} == {"document"}
    assert sum(one["count"] for one in told["left_out"]) == len(documents) >= 1
    assert told["instances"] == len(desk.sealed.instances) - len(documents)


def test_export_when_it_is_made_twice_then_the_pseudonyms_are_the_same(
    packages: dict[tuple[PackageFormat, bool], Path], desk: Desk, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    lastgate("export", desk.sealed.id, again, "--format", "bagit", "--deidentify", env=desk.env)
    first = packages[PackageFormat.BAGIT, True]
    assert (again / "manifest-sha256.txt").read_text() == (first / "manifest-sha256.txt").read_text()


def test_export_when_the_dossier_is_open_then_ocfl_is_refused_and_a_bag_says_so(desk: Desk, tmp_path: Path) -> None:
    refused = lastgate("export", desk.open.id, tmp_path / "ocfl", env=desk.env)
    assert refused.code == 1
    assert "--format bagit" in refused.err
    assert list(tmp_path.iterdir()) == []
    told = lastgate("export", desk.open.id, tmp_path / "bag", "--format", "bagit", env=desk.env)
    assert told.code == 0
    assert "It is not sealed" in told.words
    assert judges.bag_verdict(tmp_path / "bag") == []
    assert "Internal-Sender-Description: Not sealed" in (tmp_path / "bag" / "bag-info.txt").read_text("utf-8")
    assert "name" not in (tmp_path / "bag" / "bag-info.txt").read_text("utf-8").lower()


def test_export_when_something_is_at_the_target_then_it_is_refused(desk: Desk, tmp_path: Path) -> None:
    told = lastgate("export", desk.sealed.id, tmp_path, env=desk.env)
    assert (told.code, "LG-ARC-040" in told.err) == (1, True)


def test_export_when_a_password_is_wrong_then_nothing_goes_out(desk: Desk, tmp_path: Path) -> None:
    wrong = {**desk.env, "LASTGATE_PASSWORD": "wrong horse"}
    assert lastgate("export", desk.sealed.id, tmp_path / "out", "--as", "mei", env=wrong).code == 1
    assert list(tmp_path.iterdir()) == []


def test_export_when_done_then_the_journal_tells_who_what_how_and_where(
    packages: dict[tuple[PackageFormat, bool], Path], desk: Desk
) -> None:
    with _house(desk.home) as house:
        events = [one for one in _events(house) if one["act"] == "export"]
    told = {
        (one["subject"]["format"], one["subject"]["deidentified"]): one for one in events if one["account"] == "mei"
    }
    for (package, without), target in packages.items():
        subject = told[package.value, without]["subject"]
        assert (subject["dossier"], subject["to"]) == (desk.sealed.id, str(target))
        assert subject["files"] > 30


@FORMATS
def test_export_when_every_copy_of_an_instance_is_rotten_then_nothing_goes_out_and_no_event_says_so(
    sample_department: Department, tmp_path: Path, package: PackageFormat
) -> None:
    course = sample_department.patient("SAMPLE-0003").courses[0]
    with _house(tmp_path / "home") as house:
        take_in(house, [*sorted(course.folder.rglob("*.dcm"))[:3], course.plans[0].path])
        key, found = house.dossier(_id(house, "SAMPLE-0003"))
        victim = tmp_path / "home" / "archive" / found.instances[-1].receipt.key
        victim.chmod(0o600)
        victim.write_bytes(victim.read_bytes()[:-1] + b"?")
        without = package is PackageFormat.OCFL  # of an open dossier only so
        with pytest.raises(DigestMismatch):
            export_dossier(house, key, found, tmp_path / "out", package=package, account="mei", is_deidentified=without)
        assert [one.name for one in tmp_path.iterdir()] == ["home"]
        assert [one for one in _events(house) if one["act"] == "export"] == []
