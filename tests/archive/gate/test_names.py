"""Names after TG-263, titles of papers, and prescriptions told in words."""

import pytest

from archive.assembly.told import told_prescriptions
from archive.gate.names import suggestion, target_name
from archive.gate.papers import is_titled
from archive.headers import PlanHeader


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("Heart", "Heart"),
        ("HEART", "Heart"),
        ("Lung_L", "Lung_L"),
        ("left lung", "Lung_L"),
        ("LungR", "Lung_R"),
        ("R_Kidney", "Kidney_R"),
        ("Lt Femoral Head", "Femur_Head_L"),
        ("cord", "SpinalCord"),
        ("左肺", "Lung_L"),
        ("双肺", "Lungs"),
        ("脊髓", "SpinalCord"),
        ("PTVp_4005", "PTVp_4005"),
        ("ptv 60", "PTV60"),
        ("CTV boost", "CTVboost"),
        ("z_ring of any length!!", ""),
        ("z_ring", "z_ring"),
        ("Brainstem_PRV03", "Brainstem_PRV03"),
        ("Rectum wall", ""),
        ("Bowel_Small_Large_Both", ""),
        ("肿瘤", ""),
    ],
)
def test_suggestion_then_a_right_name_stays_and_a_known_one_is_put_right(name: str, better: str) -> None:
    assert suggestion(name) == better


@pytest.mark.parametrize(("name", "is_one"), [("PTV", True), ("igtv 1", True), ("Prostate", False), ("xPTV", False)])
def test_target_name_then_its_beginning_decides(name: str, is_one: bool) -> None:
    assert target_name(name) is is_one


@pytest.mark.parametrize(
    ("title", "words", "is_one"),
    [
        ("Consent.pdf", ("consent",), True),
        ("RTConsent_signed.PDF", ("consent",), True),
        ("informed-consent", ("consent",), True),
        ("nonconsent", ("consent",), False),
        ("RT_PlanReport.pdf", ("plan report",), True),
        ("plan-report", ("plan report",), True),
        ("explan report", ("plan report",), False),
        ("张三知情同意书(已签).pdf", ("知情同意",), True),
        ("知情 同意", ("知情同意",), True),
        ("患者consent扫描", ("consent",), True),
        ("", ("consent",), False),
    ],
)
def test_title_then_it_is_recognised_however_it_is_written(title: str, words: tuple[str, ...], is_one: bool) -> None:
    assert is_titled(title, words) is is_one


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("60 Gy in 30 fractions to PTVp", ((60.0, 30),)),
        ("54 Gy(RBE) in 30 fractions, RBE 1.1", ((54.0, 30),)),
        ("5 x 7 Gy", ((35.0, 5),)),
        ("2Gy×30", ((60.0, 30),)),
        ("PTV 6000cGy/30F", ((60.0, 30),)),
        ("200cGy*25", ((50.0, 25),)),
        ("处方 50Gy/25次", ((50.0, 25),)),
        ("50Gy/25f + 10Gy/5f", ((50.0, 25), (10.0, 5))),
        ("Prost_5x8", ()),
        ("2 Gy per fraction", ()),
        ("to the 95 % isodose", ()),
    ],
)
def test_prescription_in_words_then_total_and_fractions_are_read(
    text: str, told: tuple[tuple[float, int], ...]
) -> None:
    assert told_prescriptions(PlanHeader(prescription=text)) == told
