"""kill -9 of the whole node at a random moment, three times; ``benchmarks/crash_node.py`` does so fifty times."""

from pathlib import Path
from random import Random

import pytest

from tests.hostile.crash import Lastgate, Load, Tally, free_port, kill, running

pytestmark = pytest.mark.server

ASSOCIATIONS = 3


def test_node_when_it_is_killed_again_and_again_then_everything_acknowledged_is_there(tmp_path: Path) -> None:
    node, folder, chance, tally = Lastgate(), tmp_path / "node", Random(4), Tally()
    folder.mkdir()
    told = []
    for life in range(3):
        port = free_port()
        load = Load(port, node.called, serial=str(life), chance=chance, associations=ASSOCIATIONS)
        with running(node, folder, port) as process, load:
            assert load.wait_until_acknowledged(chance.randrange(5, 60))
            kill(process)
        told += load.acknowledged
    with running(node, folder, free_port()):
        tally.add(told, node.fates(folder))

    assert (tally.missing, tally.unreadable) == ([], [])
    assert tally.acknowledged >= 15
