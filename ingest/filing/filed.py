"""What happens between an arrival being safe in the spool and its sender being told so."""

import threading
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ingest.errors import NotFiledInTime, Undescribable
from ingest.filing.filer import FILER_BELL, SETTLED_BELL
from ingest.spool.arrival import Held, Outcome
from ingest.spool.bell import Bell, Ear
from ingest.spool.spool import SpoolFolder

_LOOK_S: Final = 1.0


class Spooled:
    """Acknowledges what the spool holds; the filer is woken.

    Parameters
    ----------
    root
        ``spool/``, where the filer listens.
    """

    def __init__(self, root: Path) -> None:
        self._bell = Bell(root / FILER_BELL)

    def __call__(self, _held: Held) -> None:
        """Wake the filer."""
        self._bell.ring()


class Filed:
    """Acknowledges what the filer has settled: bytes read back from the store, receipt written.

    One thread listens for all senders of this process: the filer rings, and
    the journal is asked once for all who wait. A ring may be lost, or another
    process may file without one: then it is asked every second.

    Parameters
    ----------
    folder
        The spool folder of this process.
    within_s
        How long a sender is kept waiting.
    """

    def __init__(self, folder: SpoolFolder, *, within_s: float) -> None:
        self._folder = folder
        self._within_s = within_s
        self._filer = Bell(folder.path.parent / FILER_BELL)
        self._waiting: dict[int, Future[Outcome]] = {}
        self._guard = threading.Lock()
        self._ends = threading.Event()
        self._bell = Bell(folder.path / SETTLED_BELL)
        self._thread = threading.Thread(target=self._listen, name="filed", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ends.set()
        self._bell.ring()
        self._thread.join()

    def __call__(self, held: Held) -> None:
        """Return when the arrival is settled; what is refused anyway is not waited for.

        Raises
        ------
        NotFiledInTime
            It was not; it is safe in the spool and will be.
        Undescribable
            The filer could not read its values: it is in quarantine.
        """
        self._filer.ring()
        if held.arrival.refusal is not None:
            return
        settled: Future[Outcome] = Future()
        with self._guard:
            self._waiting[held.number] = settled
        try:
            self._ask([held.number])  # the filer may have been quicker than we were in waiting
            outcome = settled.result(timeout=self._within_s)
        except TimeoutError as error:
            raise NotFiledInTime(f"It is safe, but was not filed within {self._within_s:g} s") from error
        finally:
            with self._guard:
                self._waiting.pop(held.number, None)
        if outcome.disposition == "quarantined":
            raise Undescribable(outcome.reason)
        if outcome.disposition == "lost":
            raise NotFiledInTime(outcome.reason)

    def _listen(self) -> None:
        with self._bell.heard() as ear:
            while not self._ends.is_set():
                self._look(ear)

    def _look(self, ear: Ear) -> None:
        ear.wait(_LOOK_S)
        with self._guard:
            numbers = list(self._waiting)
        if numbers:
            self._ask(numbers)

    def _ask(self, numbers: list[int]) -> None:
        outcomes = self._folder.journal.outcomes(numbers)
        with self._guard:
            for number, outcome in outcomes.items():
                settled = self._waiting.get(number)
                if settled is not None and not settled.done():
                    settled.set_result(outcome)
