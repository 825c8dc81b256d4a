"""The durable steps of a process, counted, and its death before one of them.

Every step by which our code makes something lasting goes through one of a few
calls of the operating system. Counting them names all moments at which a crash
can tell; what SQLite does inside itself is met by kills at random times.
"""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any, Final, NoReturn

SEAMS: Final = ("fsync", "fdatasync", "link", "rename", "replace", "unlink", "mkdir", "fchmod", "writev", "pwritev")
_WRITES: Final = frozenset({"writev", "pwritev"})


def arm(*, at: int | None) -> list[str]:
    """Count this process's durable steps from now on, and kill it before step `at` (0-based; never if None).

    A step that writes is torn: half of its bytes reach the file.

    Returns
    -------
    list
        The names of the steps, which grows while they are made.
    """
    made: list[str] = []
    turn = threading.Lock()
    for name in SEAMS:
        setattr(os, name, _counted(name, getattr(os, name), made, turn, at))
    return made


def _counted(
    name: str, call: Callable[..., Any], made: list[str], turn: threading.Lock, at: int | None
) -> Callable[..., Any]:
    def step(*arguments: Any, **options: Any) -> Any:
        with turn:
            is_last = len(made) == at
            made.append(name)
        if is_last:
            if name in _WRITES:
                _tear(call, *arguments)
            _die()
        return call(*arguments, **options)

    return step


def _tear(call: Callable[..., Any], descriptor: int, parts: list[bytes], *place: int) -> None:
    whole = b"".join(parts)
    call(descriptor, [whole[: len(whole) // 2]], *place)


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a process outlived SIGKILL")
