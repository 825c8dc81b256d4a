"""Who the instances say the patient is."""

from dataclasses import replace

import pytest

from archive.assembly.person import contradictions, person_of
from archive.headers import Identifier, PatientHeader
from archive.model import Held
from tests.factories import PATIENT, image, receipt, uid


def seen(**values: object) -> list[Held]:
    """Hold three instances of the sample patient and one, ``odd``, with other values."""
    usual = [image(name) for name in "abc"]
    odd = replace(image("odd"), patient=replace(PATIENT, **values))  # type: ignore[arg-type]
    return [Held(receipt=receipt(one)) for one in [*usual, odd]]


def test_person_then_most_instances_decide_and_every_spelling_is_kept() -> None:
    person = person_of(seen(name="Sample^Ada^M", birth_date="19500102", sex="O"))

    assert (person.name, person.birth_date, person.sex) == ("Sample^Ada", "19500101", "F")
    assert person.names == ("Sample^Ada", "Sample^Ada^M")


def test_person_then_identifiers_of_all_issuers_are_kept_and_empty_ones_are_not() -> None:
    other = Identifier(value="9", issuer="B")
    person = person_of(seen(identifier=Identifier(value=""), other_identifiers=(other,)))

    assert person.identifiers == (other, PATIENT.identifier)


def test_person_of_nothing_then_nothing_is_known() -> None:
    assert person_of([]).name == ""


@pytest.mark.parametrize(
    "name",
    [
        "SAMPLE^ADA",
        "Sample Ada",
        "Sample^Ada^^^",
        "Sámple^Ada",
        "Sample^Ada=样^本",
        "样^本",
        "Sample^Ada==ya^ng",
        "",
    ],
)
def test_contradictions_when_a_name_is_only_written_otherwise_then_there_are_none(name: str) -> None:
    patient = seen(name=name)
    if name == "样^本":  # characters agree with letters and characters
        usual = replace(PATIENT, name="Sample^Ada=样本")
        patient = [Held(receipt=receipt(replace(held.header, patient=usual))) for held in patient[:3]] + patient[3:]

    assert contradictions(patient) == {}


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"name": "Other^Ada"}, "name"),
        ({"name": "样^本"}, "name"),
        ({"birth_date": "19500102"}, "birth-date"),
        ({"sex": "M"}, "sex"),
    ],
)
def test_contradictions_when_a_value_differs_then_the_rarer_instances_are_named(
    values: dict[str, object], what: str
) -> None:
    assert contradictions(seen(**values)) == {what: (uid("odd"),)}


def test_contradictions_when_characters_differ_under_the_same_letters_then_it_is_another_person() -> None:
    both = [
        replace(image("a"), patient=PatientHeader(identifier=PATIENT.identifier, name="Wang^Wei=王^伟")),
        replace(image("b"), patient=PatientHeader(identifier=PATIENT.identifier, name="Wang^Wei=王^薇")),
    ]

    assert list(contradictions([Held(receipt=receipt(one)) for one in both])) == ["name"]
