"""Loops compiled to machine code, and how they are spread over the processors.

The compiled loops hold no lock of the interpreter, so ordinary threads run them side by side. The thread layers of
numba itself are not used: one of them may not be entered from two threads at once, another not after a fork, and both
end the whole program where they are. Importing this module imports numba: only what computes does so.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar, cast

from numba import njit

_P = ParamSpec("_P")
_R = TypeVar("_R")

_PIECES_EACH = 4
"""Pieces of work for each processor: enough that none waits long for the slowest."""


def compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return the function as machine code, made at its first call and kept beside its source for later runs.

    Where neither the folder of the source nor the user's own may be written to (a service without a home), the code
    is made anew in every process.
    """
    return _made(function, fastmath=False)


def _made(function: Callable[_P, _R], *, fastmath: bool | set[str]) -> Callable[_P, _R]:
    try:
        made = njit(cache=True, nogil=True, fastmath=fastmath)(function)
    except RuntimeError:
        made = njit(nogil=True, fastmath=fastmath)(function)
    return cast(Callable[_P, _R], made)


def compiled_fused(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return the same as `compiled`, with products and sums rounded once where the processor can do both in one step.

    For loops over many values whose last bit does not matter: it may differ from one kind of processor to another.
    """
    return _made(function, fastmath={"contract"})


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def spread(work: Callable[[int, int], int], count: int, *, at_most: int | None = None) -> int:
    """Do ``work(start, stop)`` on consecutive pieces of ``range(count)``, on all processors, and add what it returns.

    Parameters
    ----------
    work
        Called from several threads at once; writes only what belongs to its piece.
    count
        How many there are to do.
    at_most
        Largest piece, to bound what a piece needs in memory.
    """
    return sum(each_piece(work, count, at_most=at_most))


def each_piece(work: Callable[[int, int], _R], count: int, *, at_most: int | None = None) -> list[_R]:
    """Do the same as `spread`, and return what `work` returned, in the order of the pieces."""
    threads = processors()
    step = max(1, -(-count // (threads * _PIECES_EACH)))
    pieces = list(_pieces(count, step if at_most is None else min(step, at_most)))
    if threads == 1 or len(pieces) == 1:
        return [work(start, stop) for start, stop in pieces]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, *zip(*pieces, strict=True)))


def _pieces(count: int, step: int) -> Iterator[tuple[int, int]]:
    for start in range(0, count, step):
        yield start, min(start + step, count)
