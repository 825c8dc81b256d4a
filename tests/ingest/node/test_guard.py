"""Processes that accept from one socket: whoever has the fewest associations takes the next."""

import socket
import time

import pytest

from ingest.node import guard
from tests.ingest.conftest import House
from tests.ingest.node.test_node_attacks import listening
from tests.ingest.node.test_reactor import asked


@pytest.mark.parametrize(("processes", "gives_way"), [(1, False), (2, True)])
def test_accept_when_others_could_then_the_busy_give_way(
    house: House, monkeypatch: pytest.MonkeyPatch, processes: int, gives_way: bool
) -> None:
    waits: list[float] = []
    sleep = time.sleep

    def noted(seconds: float) -> None:
        waits.append(seconds)
        sleep(seconds)

    with listening(house, processes=processes) as port:
        with monkeypatch.context() as patched:
            patched.setattr("ingest.node.guard.time.sleep", noted)
            opened = []
            for _ in range(4):
                opened.append(asked(port))
                sleep(2 * guard._BEGINS_WITHIN_S)
        for association in opened:
            association.release()

    told = [wait for wait in waits if wait == 0 or wait in {n * guard._GIVES_WAY_S for n in range(1, 9)}]
    assert (told == [n * guard._GIVES_WAY_S for n in range(4)]) == gives_way


def test_accept_when_connections_come_at_once_then_those_hardly_begun_count(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[int] = []
    load = guard.GuardedServer._load

    def noted(server: guard.GuardedServer) -> int:
        loads.append(load(server))
        return loads[-1]

    monkeypatch.setattr(guard.GuardedServer, "_load", noted)
    monkeypatch.setattr(guard, "_BEGINS_WITHIN_S", 60.0)
    with listening(house, processes=2) as port:
        connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        deadline = time.monotonic() + 10
        while len(loads) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        for connection in connections:
            connection.close()

    assert loads[0] == 0
    assert loads == sorted(loads)
    assert loads[2] >= 2
