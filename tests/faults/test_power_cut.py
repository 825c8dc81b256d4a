"""Power cuts: a real disk is shut down without writing anything back, at each step of what an archive does."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Final

import pytest

from tests.faults.acts import ACTS, Act, struck_while_receiving
from tests.faults.disks import Disk, why_no_power_cut
from tests.faults.lives import States, Toll
from tests.faults.prepared import Prepared

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(bool(why_no_power_cut()), reason=f"{why_no_power_cut()}; see test_lost_writes.py"),
]

Tell = Callable[[str, object], None]
_CUTS: Final = {"file": 10, "close and sign": 6, "seal": 10, "add to a sealed dossier": 8, "chain the journal": 6}
_RECEIVING: Final = 8
_DISK_BYTES: Final = 3 << 30  # sparse; a node wants 1 GiB free


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    made = Disk(tmp_path_factory.mktemp("power"), size_bytes=_DISK_BYTES)
    with made.fresh():
        yield made


def report(tell: Tell, what: str, toll: Toll) -> None:
    tell("faults", toll.told(f"power cut while it would {what}"))
    assert toll.wrongs == []


@pytest.mark.parametrize("act", [act for act in ACTS if act.name in _CUTS], ids=lambda act: act.name)
def test_act_when_the_power_goes_at_any_step_then_nothing_is_lost_half_or_unsaid(
    act: Act, disk: Disk, states: States, prepared_process: Prepared, record_property: Tell
) -> None:
    toll = act.struck(prepared_process, disk, states, times=_CUTS[act.name], chance=Random(act.name))

    report(record_property, act.name, toll)
    assert toll.blows == _CUTS[act.name]


@pytest.mark.parametrize("log_mb", [0, 8], ids=["files", "log"])
def test_node_when_the_power_goes_then_everything_acknowledged_is_there(
    log_mb: int, disk: Disk, prepared_process: Prepared, record_property: Tell
) -> None:
    toll = struck_while_receiving(
        prepared_process, disk, "receive and file", times=_RECEIVING, chance=Random(log_mb), log_mb=log_mb
    )

    report(record_property, f"receive and file ({'with' if log_mb else 'without'} a log)", toll)
    assert toll.acknowledged > _RECEIVING
