"""What people and departments enter."""

import json
from importlib import resources

import pytest

from reports.entries import entries_as_mapping, entries_from_mapping, entries_from_text
from reports.errors import EntriesUnreadable
from reports.facts import Bilingual
from reports.summary import Intent


def test_entries_when_read_then_they_are_typed_and_tidied() -> None:
    entries = entries_from_mapping(
        {"intent": "adjuvant", "drugs": {"zh": " 无\n ", "en": "Jose\u0301"}, "technique": ""}
    )
    assert entries.intent is Intent.ADJUVANT
    assert entries.drugs == Bilingual(zh="无", en="José")
    assert entries.technique is None


@pytest.mark.parametrize(
    ("form", "place"),
    [
        ({"intnet": "adjuvant"}, "intnet"),
        ({"intent": "fun"}, "intent"),
        ({"drugs": {"zh": "无", "de": "keine"}}, r"drugs\.de"),
        ({"targets": [{"words": {"zh": "x"}}]}, r"targets\.0\.name"),
        ({"targets": [{"name": "PTV", "recieves_also": []}]}, r"targets\.0\.recieves_also"),
        ({"contact": {"day_phone": "1"}}, "contact"),
        ({"regions": {"breast": {"late": []}}}, r"regions\.breast\.late"),
    ],
)
def test_entries_when_a_key_or_value_is_wrong_then_the_place_is_named(form: dict[str, object], place: str) -> None:
    with pytest.raises(EntriesUnreadable, match=place):
        entries_from_mapping(form)


def test_entries_when_the_text_is_broken_then_it_is_refused() -> None:
    with pytest.raises(EntriesUnreadable, match="TOML"):
        entries_from_text("a = ")
    with pytest.raises(EntriesUnreadable, match="JSON"):
        entries_from_text("{", is_json=True)
    with pytest.raises(EntriesUnreadable, match="table"):
        entries_from_text("[]", is_json=True)


def test_entries_when_written_and_read_again_then_they_are_the_same() -> None:
    example = (resources.files("templates") / "summary" / "department.example.toml").read_text("utf-8")
    entries = entries_from_text(example)
    assert entries_from_text(json.dumps(entries_as_mapping(entries)), is_json=True) == entries
    assert entries.contact is not None


def test_example_department_when_read_then_every_text_has_both_languages() -> None:
    example = (resources.files("templates") / "summary" / "department.example.toml").read_text("utf-8")
    assert example.count("zh = ") == example.count("en = ")
