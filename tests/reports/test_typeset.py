"""Line breaking."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.fonts import Faces, Typeface, Weight
from reports.typeset import Look, Run, lines, measure, pieces

ALPHABET = "您的左侧乳房照了约40 Gy，2026年10月12日（计划20次）。See 120 or 027-5550-0123“好”"


@pytest.fixture(scope="module")
def faces(typeface: Typeface) -> Faces:
    return typeface.faces([ALPHABET, "abcdefghijklmnopqrstuvwxyz", "\u00a0"])


def broken(text: str, faces: Faces, width: float) -> list[str]:
    found = lines([Run(text, Look())], faces=faces, size_pt=10, width_pt=width)
    return ["".join(run.text for run in line) for line in found]


def parts(text: str) -> list[str]:
    return ["".join(run.text for run in piece) for piece in pieces([Run(text, Look())])]


@pytest.mark.parametrize(
    "whole", ["40\u00a0Gy", "40 Gy", "2026年10月12日", "20次", "约40 Gy", "027-5550-0123", "12\u00a0October\u00a02026"]
)
def test_pieces_when_a_number_has_a_unit_then_they_stay_together(whole: str) -> None:
    assert any(whole in part for part in parts(f"您的左侧乳房照了{whole}，很好"))


def test_pieces_when_marks_close_or_open_then_lines_neither_begin_nor_end_with_them() -> None:
    found = parts("您好，“这里”（那里）。完")
    assert not any(part[0] in "，”）。" for part in found)
    assert not any(part[-1] in "“（" for part in found)


def test_lines_when_broken_then_nothing_is_lost_and_all_fit(faces: Faces) -> None:
    text = "您的左侧乳房照了约40 Gy，2026年10月12日（计划20次）。" * 5
    found = broken(text, faces, 120)
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
    assert all(faces.regular.width(line, 10) <= 120.01 for line in found)


@settings(max_examples=60, deadline=None)
@given(text=st.text(alphabet=ALPHABET, max_size=80), width=st.floats(30, 300))
def test_lines_when_any_text_then_no_character_is_lost_or_overflows(faces: Faces, text: str, width: float) -> None:
    found = broken(text, faces, width)
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
    assert all(faces.regular.width(line, 10) <= width + 0.02 for line in found)


def test_lines_when_looks_change_inside_a_piece_then_it_still_stays_together(faces: Faces) -> None:
    bold = Look(weight=Weight.BOLD)
    found = lines(
        [Run("照了", Look()), Run("约40", bold), Run("\u00a0Gy", Look())], faces=faces, size_pt=10, width_pt=45
    )
    assert ["".join(run.text for run in line) for line in found] == ["照了", "约40\u00a0Gy"]
    assert measure(found[1], faces, 10) <= 45


def test_lines_when_a_uid_is_wider_than_the_cell_then_it_parts_after_dots(faces: Faces) -> None:
    found = broken("1.2.826.0.1.3680043.8.498.20261012", faces, 80)
    assert len(found) > 1
    assert all(line.endswith(".") for line in found[:-1])
