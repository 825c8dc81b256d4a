"""Work on many units at once: a local pool of processes, each with a house of its own built from the same settings."""

import gc
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from lastgate.wiring import House

_T = TypeVar("_T")
WORTH_A_POOL: Final = 32
"""A process takes a second to start: fewer units are done before it has."""

_AHEAD: Final = 4
"""So many units of each process may be done and wait to be taken."""
_OBJECTS_PER_COLLECTION: Final = 100_000
"""Folds make many objects and few cycles: looking for cycles as often as Python does takes a tenth of the time."""

_own: "list[House]" = []


def each(
    house: "House", work: "Callable[[House, str], _T]", units: Iterable[str], *, processes: int = 0
) -> Iterator[_T]:
    """Yield what `work` returns for each unit, in order of the units.

    Parameters
    ----------
    work
        A function of a module, that can be named to another process. It is given a house like `house` and may be
        called twice for one unit if a process dies.
    processes
        How many share the work; 0 for one on each core this process may use. Few units are done here.

    Raises
    ------
    BrokenProcessPool
        A process died, as when memory was short.
    """
    count = processes or len(os.sched_getaffinity(0))
    waiting = iter(units)
    first = list(islice(waiting, WORTH_A_POOL))
    if count == 1 or len(first) < WORTH_A_POOL:
        yield from (work(house, unit) for unit in chain(first, waiting))
        return
    # spawned, not forked: threads and open databases of this process must not live on in others
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_open, initargs=(house.settings,))
    try:
        yield from _in_order(pool, work, chain(first, waiting), ahead=count * _AHEAD)
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor, work: "Callable[[House, str], _T]", units: Iterator[str], *, ahead: int
) -> Iterator[_T]:
    going: deque[Future[_T]] = deque(pool.submit(_done, work, unit) for unit in islice(units, ahead))
    while going:
        yield going.popleft().result()
        going.extend(pool.submit(_done, work, unit) for unit in islice(units, 1))


def _open(settings: object) -> None:
    from lastgate.settings import Settings
    from lastgate.wiring import House

    assert isinstance(settings, Settings)
    gc.set_threshold(_OBJECTS_PER_COLLECTION, *gc.get_threshold()[1:])
    _own.append(House(settings))


def _done(work: "Callable[[House, str], _T]", unit: str) -> _T:
    return work(_own[0], unit)
