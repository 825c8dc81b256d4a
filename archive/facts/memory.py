"""Remembers what was read of objects that never change."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Memory(Generic[_T]):
    """Values by the name of their object, up to a bound; those not asked for longest go first.

    Parameters
    ----------
    most_bytes
        So much stored text may be remembered in its parsed form, which takes about twice as much memory.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held: OrderedDict[str, tuple[_T, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, name: str, read: Callable[[], tuple[_T, int]]) -> _T:
        """Return the value of an object; `read` gives it, and its length, where it is not remembered."""
        with self._lock:
            if name in self._held:
                self._held.move_to_end(name)
                return self._held[name][0]
        value, size = read()
        with self._lock:
            if name not in self._held:
                self._bytes += size
            self._held[name] = (value, size)
            while self._bytes > self._most_bytes:
                _, (_, gone) = self._held.popitem(last=False)
                self._bytes -= gone
        return value

    def forget(self) -> None:
        """Remember nothing: the next to ask reads again."""
        with self._lock:
            self._held.clear()
            self._bytes = 0
