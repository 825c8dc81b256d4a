"""The second of two stores, as one that may be away."""

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from storage.base import ObjectStore
from storage.errors import StorageError, StoreFull, StoreUnavailable, StoreUnfit

T = TypeVar("T")

_PAUSE_S: Final = 30.0
_AWAY: Final = (StoreUnavailable, StoreFull, StoreUnfit)
_LOG = structlog.get_logger(__name__)


class Second:
    """Opens the second store when it is first needed, and leaves it alone for a while after it failed.

    Without that pause each write would wait for the timeout of a machine that is switched off.

    Parameters
    ----------
    open_store
        Opens it; may raise `StoreUnavailable`, and is asked again later then.
    pause_s
        For so long it is not asked again after it failed.
    monotonic
        A clock in seconds.
    """

    def __init__(
        self,
        open_store: Callable[[], ObjectStore],
        *,
        pause_s: float = _PAUSE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open = open_store
        self._pause_s = pause_s
        self._monotonic = monotonic
        self._store: ObjectStore | None = None
        self._away: StorageError | None = None
        self._again_at = 0.0
        self._lock = threading.Lock()

    def call(self, act: Callable[[ObjectStore], T]) -> T:
        """Do something with the store.

        Raises
        ------
        StoreUnavailable
            It is away, or was a moment ago.
        StorageError
            What `act` raises.
        """
        with self._lock:
            store = self._opened()
        try:
            return act(store)
        except _AWAY as error:
            self._leave(error)
            raise

    def peek(self) -> ObjectStore | None:
        """Return the store if it can be had now, None if it is away."""
        try:
            return self.call(lambda store: store)
        except StorageError:
            return None

    def _opened(self) -> ObjectStore:
        if self._away is not None and self._monotonic() < self._again_at:
            raise StoreUnavailable(f"The second store is away: {self._away}") from self._away
        if self._store is None:
            try:
                self._store = self._open()
            except StorageError as error:
                self._note(error)
                raise StoreUnavailable(f"The second store is away: {error}") from error
        self._away = None
        return self._store

    def _leave(self, error: StorageError) -> None:
        with self._lock:
            self._note(error)

    def _note(self, error: StorageError) -> None:
        if self._away is None:
            _LOG.warning("second_store.away", code=error.code, error=str(error))
        self._away = error
        self._again_at = self._monotonic() + self._pause_s
