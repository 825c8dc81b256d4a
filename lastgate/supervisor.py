"""Keeps the processes of a node alive: forks them, starts again what died, ends them in order.

The supervisor has one thread and opens nothing: it forks at any time, and a
child begins with the memory of the program and none of its locks held.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn

import structlog

from lastgate.errors import ChildFailed

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_WATCHED: Final = (*_STOPPING, signal.SIGCHLD)
_DIE_WITH_PARENT: Final = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>
_NAME: Final = 15  # PR_SET_NAME: what ps and top show
_READY: Final = b"+"
_SHORTEST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 30.0
_SOUND_AFTER_S: Final = 60.0
_START_LOOK_S: Final = 0.02
_END_LOOK_S: Final = 0.5
_START_WITHIN_S: Final = 600.0
_LOG = structlog.get_logger(__name__)


class Life:
    """What a child knows of its supervisor: it is told when it shall end, and tells when it is ready.

    The stop signals are blocked in every thread of the child; one thread waits
    for them here. A handler would run between any two instructions.
    """

    def __init__(self, parent: int, ready: int) -> None:
        self._parent = parent
        self._ready = ready
        self._told = 0

    def is_ready(self) -> None:
        """Tell the supervisor that this process does its work."""
        with suppress(BrokenPipeError):  # nobody waits for one that was started again
            os.write(self._ready, _READY)
        os.close(self._ready)

    def goes_on(self, wait_s: float) -> bool:
        """Wait so long at most and return whether the child shall go on."""
        if self._told == 0 and signal.sigtimedwait(_STOPPING, wait_s) is not None:
            self._told = 1
        return self._told == 0 and not self.is_orphan

    @property
    def is_orphan(self) -> bool:
        """Whether the supervisor is gone."""
        return os.getppid() != self._parent

    def hurries(self) -> bool:
        """Return whether to end without waiting for anything: the supervisor is gone, or was told twice to stop."""
        if self._told == 1 and signal.sigtimedwait(_STOPPING, 0) is not None:
            self._told = 2
        return self._told > 1 or self.is_orphan


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One process of the node.

    Parameters
    ----------
    name
        For the log.
    run
        Its work, in the child; returns when its life shall end.
    patience_s
        How long after it was told to end it is killed.
    """

    name: str
    run: Callable[[Life], None]
    patience_s: float


@dataclass(slots=True, kw_only=True)
class _Child:
    """A role, and the process that plays it; `pid` 0 while there is none."""

    role: Role
    pid: int = 0
    began: float = 0.0
    pause_s: float = _SHORTEST_PAUSE_S
    again_at: float = 0.0


class Supervisor:
    """Runs roles until it is told to stop by SIGTERM or SIGINT; only in a process of one thread.

    Parameters
    ----------
    stages
        Groups of roles. They start from the last to the first, so that nothing comes in before somebody can take care
        of it, and end from the first to the last: a stage is told to end when all of the one before have ended.
    """

    def __init__(self, stages: Sequence[Sequence[Role]]) -> None:
        self._stages = [[_Child(role=role) for role in stage] for stage in stages]
        self._children = [child for stage in self._stages for child in stage]
        self._is_told = False

    def run(self, on_start: Callable[[], None]) -> None:
        """Start everything, call `on_start` when all are ready, and return when all have ended.

        Raises
        ------
        ChildFailed
            One of them ended, or was not ready within ten minutes, at the first start.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        try:
            try:
                for child in (child for stage in reversed(self._stages) for child in stage):
                    if not self._is_told:
                        self._start_first(child)
                if not self._is_told:
                    on_start()
                    self._watch()
            finally:
                self._end()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _start_first(self, child: _Child) -> None:
        ready = self._fork(child)
        os.set_blocking(ready, False)
        try:
            ends = time.monotonic() + _START_WITHIN_S
            while time.monotonic() < ends and child.pid and not self._is_told:
                self._wait(_START_LOOK_S)
                if _is_ready(ready):
                    return
                self._reap(restart=False)
            if not self._is_told:
                raise ChildFailed(f"The process {child.role.name!r} did not start")
        finally:
            os.close(ready)

    def _watch(self) -> None:
        while not self._is_told:
            now = time.monotonic()
            due = [child for child in self._children if not child.pid]
            for child in due:
                if child.again_at <= now:
                    os.close(self._fork(child))
            wait_s = min((child.again_at - now for child in due if not child.pid), default=_LONGEST_PAUSE_S)
            self._wait(wait_s)
            self._reap(restart=not self._is_told)

    def _wait(self, wait_s: float) -> bool:
        """Wait for a child to end or for the word to stop; return whether it came just now."""
        told = signal.sigtimedwait(_WATCHED, max(wait_s, 0.0))
        is_told = told is not None and told.si_signo in _STOPPING
        self._is_told |= is_told
        return is_told

    def _fork(self, child: _Child) -> int:
        """Start the process and return the end of the pipe on which it tells that it is ready."""
        hear, tell = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(hear)
            _live(child.role, Life(parent, tell))
        os.close(tell)
        child.pid, child.began = pid, time.monotonic()
        return hear

    def _reap(self, *, restart: bool) -> None:
        for child in self._children:
            if not child.pid:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                self._bury(child, status, restart=restart)

    @staticmethod
    def _bury(child: _Child, status: int, *, restart: bool) -> None:
        now = time.monotonic()
        if now - child.began > _SOUND_AFTER_S:
            child.pause_s = _SHORTEST_PAUSE_S
        code = os.waitstatus_to_exitcode(status)
        if restart or code:
            again_in = {"again_in_s": child.pause_s} if restart else {}
            _LOG.error("serve.child_died", child=child.role.name, pid=child.pid, code=code, **again_in)
        child.pid, child.again_at = 0, now + child.pause_s
        child.pause_s = min(2 * child.pause_s, _LONGEST_PAUSE_S)

    def _end(self) -> None:
        for stage in self._stages:
            ends = time.monotonic() + max(child.role.patience_s for child in stage)
            _tell(stage)
            while self._are_alive(stage):
                left = ends - time.monotonic()
                if left <= 0:
                    self._kill(stage)
                elif self._wait(min(left, _END_LOOK_S)):
                    _tell(stage)  # again, by an impatient operator: they end at once

    def _are_alive(self, stage: Sequence[_Child]) -> bool:
        self._reap(restart=False)
        return any(child.pid for child in stage)

    @staticmethod
    def _kill(stage: Sequence[_Child]) -> None:
        for child in (child for child in stage if child.pid):
            _LOG.error("serve.child_killed", child=child.role.name, pid=child.pid)
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            child.pid = 0


def _is_ready(ready: int) -> bool:
    try:
        return os.read(ready, 1) == _READY
    except BlockingIOError:
        return False


def _tell(stage: Sequence[_Child]) -> None:
    for child in stage:
        if child.pid:
            os.kill(child.pid, signal.SIGTERM)


def _live(role: Role, life: Life) -> NoReturn:
    """Be the child: play the role and end without touching anything that is the supervisor's."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the supervisor alone decides
        signal.pthread_sigmask(signal.SIG_SETMASK, (signal.SIGTERM,))
        kernel = ctypes.CDLL(None)
        kernel.prctl(_NAME, f"lg-{role.name}".encode())
        kernel.prctl(_DIE_WITH_PARENT, signal.SIGTERM)
        if not life.is_orphan:  # it may have died before we asked to be told
            role.run(life)
        code = 0
    except BaseException as error:  # noqa: BLE001 - whatever it is, this process ends here and says why
        _LOG.critical("serve.child_failed", child=role.name, error=f"{type(error).__name__}: {error}")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
