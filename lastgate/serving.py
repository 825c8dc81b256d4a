"""The processes of `lastgate serve`: receiving workers that share one port, the filer, and who looks at doses.

They know each other only by the spool: a worker writes into a folder of its
own, the filer empties them all. Each may be killed at any time and is started
again; what was acknowledged is in the spool.
"""

import fcntl
import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from lastgate.auditing import keep_auditing, keep_mirrored
from lastgate.checking import keep_checking
from lastgate.committing import keep_committing
from lastgate.errors import AlreadyServing
from lastgate.keeping import keep_tidy
from lastgate.listening import Listeners, bound
from lastgate.notifying import keep_notifying
from lastgate.reception import keep_chained, keep_filing, node_of, prepare, spool_of
from lastgate.sending import keep_sending
from lastgate.settings import Settings
from lastgate.supervisor import Life, Role, Supervisor
from lastgate.wiring import open_house

_LOOK_S: Final = 1.0
_WORKERS_END_S: Final = 30.0
_KILLED_AFTER_S: Final = 10.0
_FILER_ENDS_S: Final = 30.0
_NICE: Final = 10


def serve(settings: Settings, *, on_start: Callable[[int], None]) -> None:
    """Receive and file until SIGTERM or SIGINT; only in a process of one thread.

    Before that the stores prove what the archive relies on, and seals that a crash interrupted are ended.

    Parameters
    ----------
    on_start
        Told the port when everything runs.

    Raises
    ------
    AlreadyServing
        Another node runs on this home.
    SettingsError
        The address can't be listened on.
    StoreUnfit
        A store does not keep what it must; nothing is received.
    ChildFailed
        A process of the node did not start; nothing is received.
    """
    with sole_server(settings), bound(settings) as listeners:
        with open_house(settings) as house:
            prepare(house)
        gc.collect()
        gc.freeze()  # what is loaded now stays shared between the processes
        listeners.listen()
        workers = [_worker(settings, listeners, number) for number in range(1, settings.node.workers + 1)]
        Supervisor((workers, (_filer(settings), _checker(settings)))).run(lambda: on_start(listeners.port))


@contextmanager
def sole_server(settings: Settings) -> Iterator[None]:
    """Keep every other node off this home; the processes of this one hold the lock as long as one of them lives.

    Raises
    ------
    AlreadyServing
        Another node runs on it.
    """
    folder = settings.home.absolute() / "spool"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyServing(f"A node runs on {settings.home.absolute()} already") from error
        yield
    finally:
        os.close(descriptor)


def _worker(settings: Settings, listeners: Listeners, number: int) -> Role:
    def run(life: Life) -> None:
        _receive(settings, listeners, f"worker-{number}", life)

    return Role(name=f"worker-{number}", run=run, patience_s=_WORKERS_END_S + _KILLED_AFTER_S)


def _filer(settings: Settings) -> Role:
    return Role(name="filer", run=lambda life: _file(settings, life), patience_s=_FILER_ENDS_S + _KILLED_AFTER_S)


def _checker(settings: Settings) -> Role:
    return Role(name="checker", run=lambda life: _check(settings, life), patience_s=_FILER_ENDS_S + _KILLED_AFTER_S)


def _receive(settings: Settings, listeners: Listeners, name: str, life: Life) -> None:
    """Be a receiving worker until told to end; a node that no longer listens ends too, and is started again."""
    with (
        open_house(settings) as house,
        spool_of(house, name, log_mb=settings.spool_log_mb) as spool,
        node_of(house, spool, workers=settings.node.workers) as node,
    ):
        node.start(listeners.plain, listeners.tls)
        life.is_ready()
        while life.goes_on(_LOOK_S):
            if not node.is_listening:
                raise RuntimeError("the node listens no more")
        node.stop(patience_s=_WORKERS_END_S, hurry=life.hurries)


def _file(settings: Settings, life: Life) -> None:
    """Be the filer until told to end."""
    _step_back()
    stop = threading.Event()
    with open_house(settings) as house:
        threads = [
            threading.Thread(target=work, args=(house, stop), name=name)
            for name, work in (
                ("filer", keep_filing),
                ("journal", keep_chained),
                ("commitment", keep_committing),
                ("availability", keep_notifying),
                ("sending", keep_sending),
                ("audit", keep_auditing),
                ("second-store", keep_mirrored),
                ("tidying", keep_tidy),
            )
        ]
        for thread in threads:
            thread.start()
        life.is_ready()
        try:
            while life.goes_on(_LOOK_S):
                if not all(thread.is_alive() for thread in threads):
                    raise RuntimeError("the filer ended")
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def _check(settings: Settings, life: Life) -> None:
    """Look at planned doses until told to end: a process of its own, for it needs much memory for a short time."""
    _step_back()
    with open_house(settings) as house:
        life.is_ready()
        keep_checking(house, life.goes_on)


def _step_back() -> None:
    """Let receiving go first: filing has time."""
    os.nice(_NICE)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
