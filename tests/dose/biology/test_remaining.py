"""What remains of limits, recovery and the tables, against published figures and worked examples."""

from datetime import date
from pathlib import Path

import pytest

from dose.biology.limits import read_limits
from dose.biology.rbe import NotAddable, Weighting, one_model, weighting
from dose.biology.recovery import months_between, read_recovery
from dose.biology.remaining import Given, remaining
from dose.biology.tissues import alpha_beta_for, read_tissues
from dose.errors import BadTable


def given(dose: float, months: float | None = 12.0) -> Given:
    return Given(estimate=dose, lo=dose, hi=dose, largest_course=dose, months=months)


@pytest.mark.parametrize("months", [None, 5.9])
def test_nieder_when_the_interval_is_short_or_unknown_then_it_says_nothing(months: float | None) -> None:
    (row,) = read_limits().named("").of("SpinalCord")
    told = remaining(row, given(75, months), 5)
    assert (told.state, told.left) == ("not-applicable", None)


def test_limit_when_a_dose_is_missing_then_only_an_upper_bound_remains() -> None:
    (row,) = read_limits().named("").of("ThecalSac")
    told = remaining(row, Given(estimate=None, lo=50, hi=None, months=12), 5)
    assert told.is_at_most
    assert told.left is not None
    assert (told.left.lo, told.left.hi) == (0.0, 20.0)


def test_limit_when_its_publication_was_not_read_then_nothing_is_computed() -> None:
    (row,) = read_limits().named("umich").of("Rectum")
    assert (remaining(row, given(10), 5).state, remaining(row, given(10), 5).left) == ("inactive", None)


def test_limit_when_the_structure_is_a_margin_then_it_is_none_of_the_organ() -> None:
    assert read_limits().named("").of("SpinalCord_PRV05") == ()
    assert alpha_beta_for("SpinalCord_PRV05").alpha_beta_gy == alpha_beta_for("SpinalCord").alpha_beta_gy == 2.0


def test_recovery_when_target_or_parallel_or_acute_then_nothing_is_forgotten() -> None:
    model = read_recovery().models["abusaris"]
    assert [model.forgotten(24, *of) for of in (("PTV", "serial"), ("Heart", "parallel"), ("Skin", "acute"))] == [0] * 3


def test_months_when_a_day_short_then_below() -> None:
    assert months_between(date(2026, 1, 15), date(2026, 7, 15)) == 6
    assert (months_between(date(2026, 1, 15), date(2026, 7, 14)) or 9) < 6


@pytest.mark.parametrize(
    ("text", "message"),
    [("[limit.x]\nset='a'\nmetrik='Max[Gy]'", "row x: there is no key metrik"),
     ("[limit.nieder-cord]\nat_most=140.0", "give its citation")],
)  # fmt: skip
def test_table_when_wrong_then_the_row_is_named(tmp_path: Path, text: str, message: str) -> None:
    own = tmp_path / "own.toml"
    own.write_text(text, "utf-8")
    with pytest.raises(BadTable, match=message):
        read_limits(own)


def test_tissue_when_the_department_changes_it_then_other_keys_stay(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text("[tissue.SpinalCord]\nalpha_beta_gy = 2.5\ncitation = 'ours'", "utf-8")
    found = read_tissues(own).of("SpinalCord")
    assert (found.alpha_beta_gy, found.kind, str(found.source).split(",")[0]) == (2.5, "serial", "ours (department")


def test_protons_when_unconfirmed_then_both_ways_and_two_carbon_models_are_refused() -> None:
    both = weighting("proton", "unconfirmed")
    assert isinstance(both, Weighting)
    assert (both.lo, both.hi) == (1.0, 1.1)
    assert isinstance(one_model(["LEM-I", "MKM"]), NotAddable)
