"""The chapter on biology tells what stands in the tables, and nothing more."""

import re

from courses.biology import standard_biology
from dose.biology.tables import Read
from tests.lastgate import pages

PAGE = pages.section(next(path for path in pages.PAGES if path.name == "physicist.md"), "Biology")


def test_limits_when_active_then_the_page_tells_each_with_its_figures() -> None:
    rows = [row for one in standard_biology().limits.sets.values() for row in one.rows if row.is_active]
    assert {row.name for row in rows} == set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, flags=re.M))
    for row in rows:
        (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{row.name}` |")]
        assert f"| {row.structure} | Max ≤ {row.at_most:g} Gy {row.quantity}" in line
        assert f"alpha/beta {row.alpha_beta_gy:g} Gy | {row.least_months:g} months" in line
        assert line.endswith(f"| {row.source.read} |")


def test_recovery_when_a_rule_exists_then_the_page_names_it_and_how_it_was_read() -> None:
    rules = standard_biology().recovery
    assert all(f"`{name}`" in PAGE for name in [*rules.models, *rules.scalings])
    read = {name: model.source.read for name, model in rules.models.items()}
    read |= {name: scaling.source.read for name, scaling in rules.scalings.items()}
    assert [name for name, how in read.items() if how is Read.ORIGINAL] == ["doi"]
    assert [name for name, how in read.items() if how is Read.ABSTRACT] == ["foxchase"]


def test_tissues_when_their_source_was_read_then_the_page_names_just_these() -> None:
    rows = standard_biology().tissues.rows
    read = {name: row for name, row in rows.items() if row.source and row.source.read is not Read.CONVENTION}
    assert set(read) == {"SpinalCord", "CaudaEquina"}
    assert all(f"{name} {row.alpha_beta_gy:g} Gy" in PAGE for name, row in read.items())
