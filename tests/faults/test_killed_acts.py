"""kill -9 at each step of what an archive does; `benchmarks/crash_acts.py` does the same for as long as one likes."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.faults.acts import ACTS, Act, struck_while_receiving
from tests.faults.lives import States, Toll
from tests.faults.prepared import Prepared

pytestmark = pytest.mark.server

Tell = Callable[[str, object], None]


def report(tell: Tell, what: str, toll: Toll) -> None:
    tell("faults", toll.told(f"kill -9 while it would {what}"))
    assert toll.wrongs == []


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
def test_act_when_it_is_killed_at_any_step_then_nothing_is_lost_half_or_unsaid(
    act: Act, states: States, prepared_process: Prepared, swift_path: Path, record_property: Tell
) -> None:
    toll = act.struck(prepared_process, swift_path, states, times=act.times, chance=Random(act.name))

    report(record_property, act.name, toll)
    assert toll.blows == act.times


@pytest.mark.parametrize("deed", ["receive", "receive and file"])
def test_node_when_it_is_killed_at_any_step_then_everything_acknowledged_is_there(
    deed: str, prepared_process: Prepared, swift_path: Path, record_property: Tell
) -> None:
    toll = struck_while_receiving(prepared_process, swift_path, deed, times=20, chance=Random(deed))

    report(record_property, deed, toll)
    assert toll.blows == 20
    assert toll.acknowledged > 20


def test_prepared_process_when_a_deed_fails_then_it_says_why(prepared_process: Prepared, tmp_path: Path) -> None:
    """Or a broken rig would look like a kill that was survived."""
    ended: Any = prepared_process.run("seal", tmp_path / "home")

    assert ended.how == "failed"
    assert "There is no dossier" in ended.why
