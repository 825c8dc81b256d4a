"""Numbers, dates and words."""

from datetime import date

import pytest

from reports.errors import TemplateFault
from reports.facts import NOT_RECORDED, Bilingual
from reports.summary import PersonName, Status
from reports.wording import NBSP, Wording, load_words, number, whole_gy
from tests.reports.sample import fact

ZH, EN = Wording("zh", load_words()), Wording("en", load_words())


@pytest.mark.parametrize(
    ("value", "text"),
    [(40.05, "40.05"), (40.0, "40"), (2.6700000001, "2.67"), (0.125, "0.13"), (1.005, "1.01"), (0, "0"), (100, "100")],
)
def test_number_when_printed_then_halves_go_up_and_noughts_go_away(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "zh", "en"),
    [
        (40.05, "约40 Gy", "about 40 Gy"),
        (50.0, "50 Gy", "50 Gy"),
        (0.3, "不到1 Gy", "less than 1 Gy"),
        (0.0, "0 Gy", "0 Gy"),
        (2.5, "约3 Gy", "about 3 Gy"),
    ],
)
def test_dose_when_told_to_a_patient_then_it_is_whole_and_says_about(value: float, zh: str, en: str) -> None:
    assert ZH.about_gy(value) == zh.replace(" ", NBSP)
    assert EN.about_gy(fact(value)).replace(NBSP, " ") == en


def test_whole_gy_when_exact_then_it_says_so() -> None:
    assert whole_gy(40.0) == (40, True)
    assert whole_gy(40.05) == (40, False)
    assert whole_gy(39.999) == (40, True)  # prints as 40 on the doctor's page too


def test_dose_when_weighted_then_its_unit_says_so() -> None:
    assert EN.gy(54.0, "rbe_weighted") == f"54{NBSP}Gy(RBE)"
    assert EN.gy(54.0, "unconfirmed") == f"54{NBSP}Gy(?)"


def test_date_when_printed_then_no_reader_can_swap_day_and_month() -> None:
    assert ZH.day(date(2026, 3, 9)) == "2026年3月9日"
    assert EN.day(date(2026, 3, 9)).replace(NBSP, " ") == "9 March 2026"
    assert EN.iso(date(2026, 3, 9)) == "2026-03-09"


def test_missing_fact_when_printed_then_every_filter_says_so() -> None:
    for wording, text in ((ZH, "未记录"), (EN, "not recorded")):
        filters = (wording.said, wording.gy, wording.about_gy, wording.day, wording.iso, wording.person, wording.source)
        assert {str(one(NOT_RECORDED)) for one in filters} == {text}
        assert wording.word(NOT_RECORDED, "status") == text
        assert wording.said(NOT_RECORDED).__html__() == f"<missing>{text}</missing>"  # type: ignore[attr-defined]


def test_text_when_only_in_the_other_language_then_it_is_missing() -> None:
    assert EN.said(Bilingual(zh="无")) == "not recorded"


def test_name_when_printed_then_the_forms_follow_the_language() -> None:
    name = PersonName(zh="王小东", latin="Wang XiaoDong")
    assert ZH.person(name) == "王小东"
    assert EN.person(name) == "Wang XiaoDong (王小东)"
    assert ZH.person(PersonName(zh="", latin="Doe Jane")) == "Doe Jane"


def test_words_when_loaded_then_every_code_of_the_data_set_has_one() -> None:
    for status in Status:
        assert ZH.word(status, "status")
    with pytest.raises(TemplateFault, match="no word"):
        ZH.word("flying", "status")
