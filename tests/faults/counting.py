"""Counts what tests of faults tell, and sums it up at the end of the run, whichever process they ran in.

A test tells with pytest's own ``record_property("faults", {"killed in seal": 30, ...})``.
"""

from collections import Counter

import pytest

PROPERTY = "faults"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many blows of each kind were dealt and how much was lost."""
    sums: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call":
                for name, told in report.user_properties:
                    if name == PROPERTY:
                        sums.update(told)
    if sums:
        terminalreporter.section("faults survived")
        for what, count in sorted(sums.items()):
            terminalreporter.write_line(f"{count:8,}  {what}")
