"""With index, caches and spool gone, a rebuild from the object store gives every answer again, byte for byte."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args
from unittest import mock
from uuid import uuid4

import pytest

from archive.facts import decisions as acts
from archive.facts import dose_decisions as dosed
from archive.facts.decisions import Act
from archive.facts.receipts import PatientKey
from archive.facts.store import PatientFacts
from archive.journal.journal import Event
from archive.model import Dossier
from archive.signing.acts import signed_sha256
from lastgate.reception import take_in
from lastgate.sample import Department
from lastgate.settings import NodeSettings, Settings, StoreSettings
from lastgate.wiring import House, open_house
from tests.acceptance.houses import on_servers

ALL_ACTS: Final = {one.__dataclass_fields__["act"].default for one in get_args(get_args(Act)[0])}
DIGEST: Final = "ab" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A dossier, whose it is, and the facts it was folded from."""

    key: PatientKey
    other: PatientKey
    dossier: Dossier
    facts: PatientFacts

    @property
    def plans(self) -> tuple[str, ...]:
        return self.dossier.plan_uids

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(held.receipt.file_sha256 for held in self.dossier.instances)


def _transcribe(case: Case) -> acts.Transcribe:
    told = (acts.SheetFraction(number=1, date="20260101"),)
    return acts.Transcribe(plan_uid=case.plans[0], fractions=told, source=DIGEST, reason="no records")


def _sealed(case: Case) -> acts.Sealed:
    files = case.files[:-1]
    return acts.Sealed(
        dossier=case.dossier.id, version=1, plan_uids=case.plans, file_sha256s=files, dossier_sha256=DIGEST
    )


def _countersign(case: Case) -> acts.Countersign:
    (signed,) = [one for one in case.facts.decisions if one.what.act == "transcribe"]
    return acts.Countersign(number=signed.number, sha256=signed_sha256(signed))


def _waive(case: Case) -> acts.Waive:
    finding = next(one for one in case.dossier.findings if one.waivable_by)
    return acts.Waive(
        code=finding.code, subject=finding.subject, plan_uids=case.plans, message=finding.message, reason="seen"
    )


def _tombstone(case: Case) -> acts.Tombstone:
    return acts.Tombstone(
        dossier=case.dossier.id, version=1, plan_uids=case.plans, file_sha256s=case.files,
        arrivals=tuple(1 for _ in case.files), dossier_sha256s=(DIGEST,), request=1,
    )  # fmt: skip


REGISTERED: Final = dosed.Register(
    uid="1.2.9", sha256=DIGEST, moving_frame="1.1", fixed_frame="1.2", moving_series="1.3", fixed_series="1.4",
    kind="rigid", method="bone", quality=dosed.RegistrationQuality(landmarks=3, tre_mean_mm=0.4, dice=(("Cord", 0.9),)),
)  # fmt: skip
# Which dossier of the sample each is made about: their order is that of the facts.
MADE: Final[list[tuple[int, Callable[[Case], Act]]]] = [
    (0, lambda case: acts.SetDeliveryState(plan_uid=case.plans[0], delivered=True, reason="sheet")),
    (0, lambda case: acts.EnterSummary(plan_uids=case.plans, entries={"diagnosis": "C61"})),
    (0, lambda case: acts.ChooseDose(plan_uid=case.plans[0], dose_uid="1.2.3", reason="newer")),
    (0, lambda _: REGISTERED),
    (0, lambda _: dosed.JudgeRegistration(uid="1.2.9", verdict="approved", reason="seen", invalid=(("1.2", "Scar"),))),
    (0, lambda case: dosed.StateDoseKind(plan_uid=case.plans[0], kind="physical", reason="asked the maker")),
    (0, lambda _: dosed.ApproveComposite(figures_sha256=DIGEST, onto="1.2", as_of="2026-01-01", reason="checked")),
    (1, _waive),
    (1, lambda case: acts.Close(plan_uids=case.plans, outcome="stopped", last_date="20250101", reason="moved")),
    (1, lambda case: acts.SetOrigin(plan_uids=case.plans, origin="elsewhere", reason="letter", institution="North")),
    (1, lambda case: acts.Release(plan_uids=case.plans, figures_sha256=DIGEST, papers=(), number="7")),
    (2, lambda case: acts.Close(plan_uids=case.plans, outcome="completed", last_date="20250101")),
    (2, lambda case: acts.SetHold(plan_uids=case.plans, held=True, reason="court")),
    (2, lambda case: acts.KeepUntil(plan_uids=case.plans, until="2070-01-01", reason="study")),
    (2, lambda case: acts.Split(plan_uids=case.plans[:1], reason="another target")),
    (3, lambda case: acts.Merge(plan_uids=case.plans, reason="one course")),
    (3, lambda _: acts.StateDeath(date="20260201", reason="registry")),
    (3, lambda case: acts.Move(file_sha256s=case.files[:2], to_plan_uid="", reason="of nobody's course")),
    (3, lambda case: acts.StateIdentity(patients=(case.key, case.other), are_one=True, reason="same person")),
    (0, _transcribe),
    (0, _countersign),
    (0, lambda _: acts.OpenDossier(course_uid="2.25.7", origin="paper", label="1998 breast", reason="letter")),
    (2, _sealed),
    (2, lambda case: acts.Dispose(dossier=case.dossier.id, version=1, plan_uids=case.plans, reason="over")),
    (-1, _tombstone),
]


def _settle_everything(house: House) -> None:
    """Store a decision of every kind about the dossiers there are."""
    cases = [(key, dossier.id) for key in house.facts.patients() for dossier in house.desk.record(key).dossiers]
    for place, make in MADE:
        key, name = cases[place]
        others = [other for other, _ in cases if other != key]
        record = house.desk.record(key)
        dossier = next((one for one in record.dossiers if one.id == name), record.dossiers[0])
        act = make(Case(key=key, other=others[0], dossier=dossier, facts=house.facts.read(key)))
        _note(house, key, act)


def _note(house: House, key: PatientKey, act: Act) -> None:
    event = Event(act=act.act, account="mei", subject={"patient": key})
    house.desk.note(
        key, act, account="mei", role="doctor", event=event,
        is_noted=lambda facts: any(one.what == act for one in facts.decisions),
    )  # fmt: skip


def _asked(settings: Settings, *arguments: str) -> bytes:
    """Run a command by the program's own `main` and return what it prints."""
    from lastgate.cli import main

    out = io.StringIO()
    with (
        mock.patch("lastgate.settings.load_settings", return_value=settings),
        mock.patch.object(sys, "argv", ["lastgate", *arguments]),
        redirect_stdout(out),
        suppress(SystemExit),
    ):
        main()
    assert json.loads(out.getvalue())
    return out.getvalue().encode()


def _answers(settings: Settings) -> dict[str, bytes]:
    """Return every answer the archive gives as JSON, by command."""
    answers = {"find": _asked(settings, "find", "--json"), "gate": _asked(settings, "gate", "--json")}
    with open_house(settings) as house:
        names = [f"{hit['id']}@{_identifier(hit)}" for hit in json.loads(answers["find"])]
        assert names
        assert list(house.facts.patients())
    for name in names:
        for command in ("show", "gate"):
            answers[f"{command} {name}"] = _asked(settings, command, name, "--json")
    return answers


def _identifier(hit: dict[str, dict[str, list[dict[str, str]]]]) -> str:
    one = hit["patient"]["ids"][0]
    return f"{one['issuer']}/{one['value']}" if one["issuer"] else one["value"]


@pytest.fixture(params=["sqlite", pytest.param("elasticsearch", marks=pytest.mark.server)])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Settings, Settings]]:
    """Settings of an archive, and of a machine that has its object store and nothing else of it."""
    node = NodeSettings(port=0)
    with ExitStack() as stack:
        if request.param == "sqlite":
            store = StoreSettings(root=tmp_path / "archive")
            yield tuple(Settings(home=tmp_path / name, store=store, node=node) for name in ("first", "second"))  # type: ignore[misc]
            return
        servers = [request.getfixturevalue(name) for name in ("seaweedfs", "elasticsearch_url")]
        first = stack.enter_context(on_servers(tmp_path / "first", *servers)).settings
        index = first.index.model_copy(update={"name": f"lg-{uuid4().hex[:8]}"})
        yield first, first.model_copy(update={"home": tmp_path / "second", "index": index})


def test_rebuild_when_nothing_is_left_but_the_object_store_then_every_answer_is_the_same_to_the_byte(
    archive: tuple[Settings, Settings], sample_department: Department
) -> None:
    first, second = archive
    with open_house(first) as house:
        take_in(house, list(sample_department.paths))
        _settle_everything(house)
        settled = {one.what.act for key in house.facts.patients() for one in house.facts.read(key).decisions}
        quarantined = len(house.quarantined())
    assert settled == ALL_ACTS
    before = _answers(first)
    assert len(before) >= 8

    with open_house(second) as house:
        assert house.rebuild() > len(before)
        assert len(house.quarantined()) == quarantined

    after = _answers(second)
    assert after.keys() == before.keys()
    assert [name for name in before if before[name] != after[name]] == []
