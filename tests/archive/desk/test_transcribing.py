"""A copied treatment sheet counts once a second person signed it; records outweigh it."""

from dataclasses import replace
from pathlib import Path

import pytest

from archive.desk.transcribing import TranscribingDesk
from archive.errors import NotFound, Refused
from archive.facts.decisions import SheetFraction, Transcribe
from archive.model import Dossier
from tests.archive.house import ADMINISTRATOR, FILE_MANAGER, PHYSICIST, SmallHouse
from tests.factories import MONDAY, course, da, document, key_of, uid, weekdays

KEY = key_of()
SHEET = tuple(SheetFraction(number=at, date=da(day), time="0900") for at, day in enumerate(weekdays(MONDAY, 5), 1))
COPY = Transcribe(plan_uid=uid("plan"), fractions=SHEET, source="shelf 3", reason="records were lost")


@pytest.fixture
def house(tmp_path: Path) -> SmallHouse:
    """Return a house with a course of five fractions, of which three records arrived."""
    made = SmallHouse(tmp_path)
    made.receive(course(fractions=5, delivered=3))
    return made


def only(house: SmallHouse) -> Dossier:
    (dossier,) = house.desk.record(KEY).dossiers
    return dossier


def test_transcribe_then_nothing_counts_before_a_second_person_signed(house: SmallHouse) -> None:
    desk, dossier = TranscribingDesk(desk=house.desk), only(house)

    made = desk.transcribe(KEY, dossier.id, COPY, account=FILE_MANAGER)
    assert len(only(house).sessions) == 3
    assert "TRANSCRIPTION-UNSIGNED" in {one.code for one in only(house).findings}

    after = desk.countersign(KEY, dossier.id, made.number, account=PHYSICIST)
    assert len(after.sessions) == 5
    assert not {"TRANSCRIPTION-UNSIGNED", "METERSET-UNKNOWN"} & {one.code for one in after.findings}
    assert after.phases[0].records_source == "treatment records, transcription"
    assert after.phases[0].fractions_delivered == 5
    assert [bool(one.record_uids) for one in after.plans[0].fractions] == [True] * 3 + [False] * 2


def test_transcribe_again_then_the_newest_signed_copy_counts(house: SmallHouse) -> None:
    desk, dossier = TranscribingDesk(desk=house.desk), only(house)
    first = desk.transcribe(KEY, dossier.id, COPY, account=FILE_MANAGER)
    desk.countersign(KEY, dossier.id, first.number, account=PHYSICIST)

    half = replace(COPY, fractions=(*SHEET[:3], replace(SHEET[3], share=0.5)))
    second = desk.transcribe(KEY, dossier.id, half, account=PHYSICIST)
    assert len(only(house).sessions) == 5
    after = desk.countersign(KEY, dossier.id, second.number, account=FILE_MANAGER)

    assert (len(after.sessions), after.phases[0].fraction_equivalents) == (4, 3.5)


def test_transcribe_of_a_plan_without_records_then_it_was_delivered(tmp_path: Path) -> None:
    house = SmallHouse(tmp_path)
    house.receive(course(fractions=5, delivered=0))
    desk, dossier = TranscribingDesk(desk=house.desk), only(house)
    assert dossier.plans[0].delivery_state.value == "unknown"

    made = desk.transcribe(KEY, dossier.id, COPY, account=FILE_MANAGER)
    after = desk.countersign(KEY, dossier.id, made.number, account=PHYSICIST)

    assert after.plans[0].delivery_state.value == "delivered"
    assert after.phases[0].records_source == "transcription"
    assert (after.first_fraction, after.last_fraction) == ("20240304", "20240308")


def test_transcribe_into_a_sealed_dossier_then_only_with_what_came_late(tmp_path: Path) -> None:
    house = SmallHouse(tmp_path)
    _, sealed = house.sealed()
    desk = TranscribingDesk(desk=house.desk)
    more = replace(COPY, fractions=(*SHEET, SheetFraction(number=6, date=da(weekdays(MONDAY, 6)[-1]))))
    with pytest.raises(Refused, match="sealed"):
        desk.transcribe(KEY, sealed.id, more, account=FILE_MANAGER)

    house.receive([document("scan of the sheet")])
    made = desk.transcribe(KEY, sealed.id, more, account=FILE_MANAGER)

    after = desk.countersign(KEY, sealed.id, made.number, account=PHYSICIST)
    assert len(after.sessions) == 6
    assert [held.uid for held in after.instances] == [held.uid for held in sealed.instances]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"fractions": ()}, "no fractions"),
        ({"fractions": (SHEET[0], SHEET[0])}, "written twice"),
        ({"fractions": (replace(SHEET[0], number=0),)}, "There is no fraction 0"),
        ({"fractions": (replace(SHEET[0], date="20240230"),)}, "was not given on"),
        ({"fractions": (replace(SHEET[0], date="20300101"),)}, "was not given on"),
        ({"fractions": (replace(SHEET[0], share=0.0),)}, "of a whole one"),
        ({"fractions": (replace(SHEET[0], share=2.0),)}, "of a whole one"),
        ({"reason": " "}, "a reason and the place"),
        ({"source": ""}, "a reason and the place"),
    ],
)
def test_transcribe_when_it_can_not_be_then_it_is_refused(
    house: SmallHouse, change: dict[str, object], told: str
) -> None:
    act = replace(COPY, **change)  # type: ignore[arg-type]
    desk, dossier = TranscribingDesk(desk=house.desk), only(house)

    with pytest.raises(Refused, match=told) as refused:
        desk.transcribe(KEY, dossier.id, act, account=FILE_MANAGER)

    assert refused.value.advice


def test_transcribe_of_a_plan_that_is_not_there_then_it_is_not_found(house: SmallHouse) -> None:
    with pytest.raises(NotFound):
        TranscribingDesk(desk=house.desk).transcribe(
            KEY, only(house).id, replace(COPY, plan_uid=uid("other")), account=FILE_MANAGER
        )


def test_countersign_when_it_is_the_same_person_or_no_such_copy_then_it_is_refused(house: SmallHouse) -> None:
    desk, dossier = TranscribingDesk(desk=house.desk), only(house)
    made = desk.transcribe(KEY, dossier.id, COPY, account=FILE_MANAGER)

    with pytest.raises(Refused, match="made decision"):
        desk.countersign(KEY, dossier.id, made.number, account=FILE_MANAGER)
    with pytest.raises(Refused, match="may not"):
        desk.countersign(KEY, dossier.id, made.number, account=ADMINISTRATOR)
    with pytest.raises(NotFound):
        desk.countersign(KEY, dossier.id, made.number + 1, account=PHYSICIST)
    desk.countersign(KEY, dossier.id, made.number, account=PHYSICIST)
    with pytest.raises(Refused, match="signed"):
        desk.countersign(KEY, dossier.id, made.number, account=PHYSICIST)
