"""The tables of biology: every row bears its source, and every figure is the one that stands in that source."""

import re
import tomllib
from datetime import date
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest

from dose.biology.limits import read_limits
from dose.biology.recovery import read_recovery
from dose.biology.tables import Read, Source
from dose.biology.tissues import read_tissues

LIMITS, RECOVERY, TISSUES = read_limits(), read_recovery(), read_tissues()

SOURCES: dict[str, Source] = {
    **{f"limit {row.name}": row.source for one in LIMITS.sets.values() for row in one.rows},
    **{f"recovery {name}": one.source for name, one in RECOVERY.models.items()},
    **{f"scaling {name}": one.source for name, one in RECOVERY.scalings.items()},
    **{f"tissue {name}": one.source for name, one in TISSUES.rows.items() if one.source},
    **{f"repair {name}": one.source for name, one in TISSUES.half_times.rows.items()},
}

FORGOTTEN: list[tuple[str, str, str, list[tuple[float, float]]]] = [  # rule, organ, kind, (months, part forgotten)
    ("umich", "SpinalCord", "serial", [(2.9, 0), (3, 0.1), (5.9, 0.1), (6, 0.25), (12, 0.5), (40, 0.5)]),
    ("umich", "Bowel_Small", "serial", [(2.9, 0), (5.9, 0), (6, 0.25), (12, 0.4), (40, 0.4)]),
    ("umich", "Stomach", "serial", [(5.9, 0), (6, 0.25), (12, 0.4)]),
    ("umich", "Duodenum", "serial", [(5.9, 0), (6, 0.25), (40, 0.25)]),
    ("umich", "Lungs", "parallel", [(5.9, 0), (6, 0.25), (24, 0.25), (24.1, 0.5)]),
    ("umich", "Liver", "parallel", [(5.9, 0), (6, 0.5), (24, 0.5), (24.1, 1.0)]),
    ("umich", "Kidneys", "parallel", [(6, 0), (120, 0)]),
    ("umich", "Heart", "parallel", [(120, 0)]),
    ("nieder", "SpinalCord", "serial", [
        (3, 0), (3.9, 0), (4, 0.17), (5, 0.25), (6, 0.28), (7, 0.33), (8, 0.37), (9, 0.4), (10, 0.45), (11, 0.5),
    ]),
    ("nieder", "Rectum", "serial", [(99, 0)]),
    ("abusaris", "SpinalCord", "serial", [(5.9, 0), (6, 0.25), (12, 0.25), (12.1, 0.5)]),
    ("noel", "SpinalCord", "serial", [(11.9, 0), *((12 * year, 0.05 * year) for year in range(1, 11)), (240, 0.5)]),
    ("foxchase", "SpinalCord", "serial", [(5.9, 0), (12, 0), (12.1, 0.5)]),
]  # fmt: skip

UMICH_GY = {
    "Bladder": 85, "Bowel_Small": 54, "BrachialPlex": 70, "Brainstem": 64, "Bronchus": 70, "CaudaEquina": 60,
    "Cochlea": 45, "Colon": 70, "Colon_Sigmoid": 70, "Bowel_Large": 70, "Duodenum": 54, "Esophagus": 70,
    "GreatVes": 100, "A_Aorta": 100, "Heart": 70, "OpticChiasm": 54, "OpticNrv": 54, "Rectum": 80, "Retina": 50,
    "SacralPlex": 70, "SpinalCord": 50, "Stomach": 54, "Trachea": 70,
}  # fmt: skip
UMICH_CC = {"Kidneys": ("CV23Gy[cc]", 200), "Lungs": ("CV16Gy[cc]", 1000), "Liver": ("CV32Gy[cc]", 700)}
NEURAL = {
    "BrachialPlex", "Brainstem", "CaudaEquina", "Cochlea", "OpticChiasm", "OpticNrv", "Retina", "SacralPlex",
    "SpinalCord",
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_row_when_it_comes_with_the_program_then_it_has_citation_version_and_how_it_was_read(name: str) -> None:
    source = SOURCES[name]
    assert date.fromisoformat(source.version) <= date.fromisoformat(max(LIMITS.version, TISSUES.version))
    assert source.read is not Read.DEPARTMENT
    is_customary = source.read is Read.CONVENTION
    assert is_customary == source.citation.startswith("Customary")
    # what was read can be found: a year, and for what decides anything a journal's page, a doi or PubMed
    if not is_customary:
        assert re.search(r"\b(19|20)\d\d\b", source.citation) or source.read is Read.SECONDARY
    if source.read is Read.SECONDARY:
        assert "transcribed" in source.citation


def test_rows_when_read_then_none_of_the_files_is_without_source() -> None:
    counts = {"tissues": {"tissue": 0, "repair": 0}, "recovery": {"recovery": 0, "scaling": 0}, "limits": {"limit": 0}}
    rows = 0
    for file, kinds in counts.items():
        text = files("dose.biology").joinpath("data", f"{file}.toml").read_text("utf-8")
        written: dict[str, Any] = tomllib.loads(text)
        date.fromisoformat(written.pop("version"))
        assert set(written) == set(kinds)
        rows += sum(len(written[kind]) for kind in kinds)
        assert all(row["citation"] and row["read"] for kind in kinds for row in written[kind].values())
    assert rows == len(SOURCES)


@pytest.mark.parametrize(("rule", "organ", "kind", "expected"), FORGOTTEN)
def test_rule_when_so_much_time_has_passed_then_it_forgets_what_its_source_says(
    rule: str, organ: str, kind: Any, expected: list[tuple[float, float]]
) -> None:
    model = RECOVERY.models[rule]
    told = {months: model.forgotten(months, organ, kind) for months, _ in expected}
    assert told == pytest.approx(dict(expected), abs=1e-12)
    assert model.forgotten(None, organ, kind) == 0.0
    grown = [model.forgotten(months / 4, organ, kind) for months in range(600)]
    assert all(before <= after for before, after in pairwise(grown))


def test_rules_when_counted_then_none_is_untested() -> None:
    assert {rule for rule, _, _, _ in FORGOTTEN} == set(RECOVERY.models)
    doi = RECOVERY.scalings["doi"]
    assert [doi.factor(months, "SpinalCord") for months in (5.9, 6, 11.9, 12, 99)] == [1, 1.25, 1.25, 1.5, 1.5]
    assert set(RECOVERY.scalings) == {"doi"}


def test_umich_limits_when_compared_with_the_transcription_then_each_is_the_same_and_none_is_active() -> None:
    rows = {row.structure: row for row in LIMITS.named("umich").rows}
    assert {name: row.at_most for name, row in rows.items() if row.at_most} == UMICH_GY
    assert {name: (str(row.metric), row.at_least) for name, row in rows.items() if row.at_least} == UMICH_CC
    assert {row.recovery for row in rows.values()} == {"umich"}
    assert {str(row.metric) for row in rows.values() if row.at_most} == {"D0.1cc[Gy]"}
    assert {name for name, row in rows.items() if row.alpha_beta_gy == 2.5} == NEURAL
    assert {row.alpha_beta_gy for row in rows.values()} == {2.5, 3.0}
    assert not any(row.is_active for row in rows.values())


def test_limits_when_active_then_their_publication_was_read_and_their_figures_are_its() -> None:
    active = {row.name: row for one in LIMITS.sets.values() for row in one.rows if row.is_active}
    assert {row.source.read for row in active.values()} <= {Read.ORIGINAL, Read.ABSTRACT}
    nieder, hytec = active["nieder-cord"], active["hytec-thecal-sac"]
    assert (nieder.quantity, nieder.at_most, nieder.each_course_gy, nieder.least_months) == ("BED", 135.5, 98, 6)
    assert (hytec.quantity, hytec.at_most, hytec.new_course_gy, hytec.new_share, hytec.least_months) == (
        "EQD2", 70, 25, 0.5, 5,
    )  # fmt: skip
    assert nieder.alpha_beta_gy == hytec.alpha_beta_gy == 2.0


def test_tissues_when_their_source_is_a_convention_then_they_have_the_customary_value() -> None:
    cited = {
        name: row.alpha_beta_gy for name, row in TISSUES.rows.items() if row.source and row.source.read is Read.ABSTRACT
    }
    assert cited == {"SpinalCord": 2.0, "CaudaEquina": 4.0}
    for row in TISSUES.rows.values():
        lo, hi = row.range_gy
        assert lo <= row.alpha_beta_gy <= hi
        assert row.transition_gy
