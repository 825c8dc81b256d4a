"""pynetdicom's associations without its sleeps: threads wait for the socket, for each other, or for a timer.

pynetdicom 3.0.4 runs two threads an association, and each looks for work a
thousand times a second: every message waits for one poll or two, and a hundred
idle associations cost a processor. Here the thread of the upper layer waits in
`poll` for the socket and for a bell, and the thread of the service user waits
for a message; state machine, negotiation and services are pynetdicom's own.

What is relied on inside pynetdicom is listed, with digests of its source, in
tests/ingest/node/test_pynetdicom_internals.py: when it changes, the test says
what to read again. The version is pinned.
"""

import logging
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.pdu_primitives import P_DATA

from ingest.errors import BadMessage
from ingest.node.connection import Bell, Connection
from ingest.node.messages import COMMAND_BYTES, Message, first_message

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import DimseServiceType

RELIES_ON: Final = "3.0.4"
"""The version of pynetdicom whose internals are known here."""

_MESSAGE_BYTES: Final = 64 * 1024 * 1024
_MOST_WAITING: Final = 64
_MOST_OUTGOING: Final = 64
_LOG = logging.getLogger(__name__)
_Item = TypeVar("_Item")


class _ToldQueue(queue.Queue[_Item]):
    """A queue that tells somebody when something was put into it by another thread."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__()
        self._tell = tell

    def put(self, item: _Item, block: bool = True, timeout: float | None = None) -> None:
        """Put it in and tell."""
        super().put(item, block, timeout)
        self._tell()


class _Outgoing(queue.Queue[Any]):
    """Primitives to be sent: who makes answers faster than the peer takes them waits, or they would fill memory."""

    def __init__(self, layer: "UpperLayer") -> None:
        super().__init__()
        self._layer = layer

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put it in; data wait for room.

        Raises
        ------
        ConnectionAbortedError
            We answer a peer that is gone: the service need not go on.
        """
        layer = self._layer
        if isinstance(item, P_DATA) and threading.current_thread() is not layer:
            with self.not_full:
                self.not_full.wait_for(lambda: self._qsize() < _MOST_OUTGOING or layer._kill_thread)
            if layer._kill_thread and layer.assoc.is_acceptor:
                raise ConnectionAbortedError("The peer is gone")
        super().put(item, block, timeout)
        layer.ring()


class _ToldEvent(threading.Event):
    """An event that tells somebody when it is set."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__()
        self._tell = tell

    def set(self) -> None:
        """Set it and tell."""
        super().set()
        self._tell()


class Receiver(Protocol):
    """What may take messages off the connection before pynetdicom sees them: C-STORE, C-FIND, C-MOVE, C-GET."""

    def take(self, connection: Connection, message: Message) -> bool:
        """Take the message that begins; False leaves every byte of it there."""


class UpperLayer(DULServiceProvider):
    """The upper layer service provider, woken by the socket, by primitives to be sent, and by its timers."""

    def __init__(self, assoc: "ReactorAssociation") -> None:
        super().__init__(assoc)
        self.bell = Bell()
        self.receivers: list[Receiver] = []
        self.event_queue = _ToldQueue(self.ring)
        self.to_provider_queue = _Outgoing(self)
        self._hears_first = False
        self.to_user_queue = _ToldQueue(assoc.nudge)

    @property
    def connection(self) -> Connection:
        """The socket, which is one of ours."""
        assert isinstance(self.socket, Connection)
        return self.socket

    @property
    def is_ending(self) -> bool:
        """Whether this side wants the association to end at once."""
        return self._kill_thread or self.assoc._sent_abort

    def kill_dul(self) -> None:
        """End the thread."""
        super().kill_dul()
        self.ring()

    def stop_dul(self) -> bool:
        """End the thread if there is no association any more; return whether it has ended."""
        if self.state_machine.current_state != "Sta1":
            return False
        self.kill_dul()
        if threading.current_thread() is not self and self.is_alive():
            self.join()
        return True

    def run_reactor(self) -> None:
        """Do what is to be done, and wait when there is nothing."""
        try:
            self.bell.open()
            self._idle_timer.start()
            self.assoc._dul_ready.set()
            while not self._kill_thread:
                self._turn()
        except Exception as error:  # noqa: BLE001 - as pynetdicom does: the peer is told, and the threads end
            self._fail(error)
        finally:
            self._kill_thread = True
            self.assoc._dul_ready.set()  # without a file for the bell it never was: the thread above waits for it
            self.bell.close()
            self._release_waiters()

    def _turn(self) -> None:
        """Look for one event, where none waits, and act on it."""
        if self.event_queue.empty():
            # The timer's event stands before all others.
            if self.artim_timer.expired:
                self.event_queue.put("Evt18")
            elif self._look():
                self._idle_timer.restart()
        try:
            event = self.event_queue.get_nowait()
        except queue.Empty:
            self._wait()
            return
        self.state_machine.do_action(event)

    def _look(self) -> bool:
        """Look for what has come and what is to be sent, by turns: whoever gets many answers must be able to cancel."""
        if self.state_machine.current_state == "Sta13":  # nothing is sent any more
            return self._is_transport_event()
        self._hears_first = not self._hears_first
        if self._hears_first:
            return self._is_transport_event() or self._process_recv_primitive()
        return self._process_recv_primitive() or self._is_transport_event()

    def _wait(self) -> None:
        """Wait for the socket, for a primitive or for the timer of the state machine."""
        if self._kill_thread or not self.to_provider_queue.empty():
            return
        # A timer that does not run tells how long it would: waking up that often costs nothing.
        self.connection.wait(max(0.0, self.artim_timer.remaining) + 0.001)

    def _is_transport_event(self) -> bool:
        """Read what has come; where the association is over already (Sta13), throw it away and close.

        pynetdicom goes on reading PDUs there, and waits for the rest of one that will never come.
        """
        if self.state_machine.current_state != "Sta13":
            return super()._is_transport_event()
        self.connection.throw_away()
        self.connection.close()
        return True

    def _read_pdu_data(self) -> None:
        """Let the receivers take what they know to take; all else goes pynetdicom's way."""
        if self.state_machine.current_state == "Sta6":
            if self._is_too_much():
                self.event_queue.put("Evt19")
                return
            if self.assoc.dimse.message is None and self._is_taken():
                return
        super()._read_pdu_data()

    def _is_taken(self) -> bool:
        if not self.receivers:
            return False
        try:
            message = first_message(self.connection)
        except (BadMessage, OSError):
            return False  # pynetdicom finds the same, and says so to the peer
        return message is not None and any(one.take(self.connection, message) for one in self.receivers)

    def _is_too_much(self) -> bool:
        """Whether a peer sends a message without end, or requests without waiting for answers: both lie in memory."""
        message = self.assoc.dimse.message
        if message is not None and message.encoded_command_set.tell() > COMMAND_BYTES:
            return True
        if message is not None and message.data_set is not None:
            return message.data_set.tell() > _MESSAGE_BYTES
        return self.assoc.is_acceptor and self.assoc.dimse.msg_queue.qsize() > _MOST_WAITING

    def _fail(self, error: Exception) -> None:
        """Tell the peer past the state machine, whose state is unknown, and end both threads."""
        _LOG.error("The upper layer failed, the association is aborted", exc_info=error)
        abort = A_ABORT_RQ()
        abort.source, abort.reason_diagnostic = 0x02, 0x00
        self.connection.send(abort.encode())
        self.connection.cut()
        self.assoc.is_aborted = True
        self.assoc.is_established = False
        self.assoc._kill = True

    def _release_waiters(self) -> None:
        """Let go whoever waits for a primitive or message: none will come any more."""
        self.to_user_queue.put(cast(Any, None))  # what `receive_pdu` returns when it waited in vain
        self.assoc.dimse.msg_queue.put((None, None))
        with self.to_provider_queue.not_full:
            self.to_provider_queue.not_full.notify_all()

    def ring(self) -> None:
        """Let this thread look for work."""
        if threading.current_thread() is not self:
            self.bell.ring()


class ReactorAssociation(Association):
    """An association whose threads wait instead of looking."""

    def __init__(self, ae: ApplicationEntity, mode: str) -> None:
        self._work = threading.Event()
        self._beside = threading.RLock()
        self._paused = False
        super().__init__(ae, mode)
        self.dul: UpperLayer = UpperLayer(self)
        self.dimse = DIMSEServiceProvider(self)
        self.dimse.msg_queue = _ToldQueue(self.nudge)
        self._reactor_checkpoint = _ToldEvent(self._resume)
        self._reactor_checkpoint.set()
        # The timers of the upper layer were set on the one that is replaced.
        self.acse_timeout = ae.acse_timeout
        self.network_timeout = ae.network_timeout

    def nudge(self) -> None:
        """Wake the thread of the service user, unless it is paused: somebody else takes what has come then."""
        checkpoint = getattr(self, "_reactor_checkpoint", None)
        if checkpoint is None or checkpoint.is_set():
            self._work.set()

    @property
    def _has_work(self) -> bool:
        alive = self.dul.is_alive() and not self.dul._kill_thread
        return not alive or not self.dimse.msg_queue.empty() or not self.dul.to_user_queue.empty()

    def _resume(self) -> None:
        """Wake the thread of the service user after a pause, if nobody took what came."""
        if self._has_work:
            self._work.set()

    def run_reactor(self) -> None:
        """Negotiate and serve; where that fails the peer is told, and both threads end.

        pynetdicom would let this thread die and the other one wait with the open connection: a request with a
        presentation context of no transfer syntax is enough.
        """
        try:
            super().run_reactor()
        except Exception as error:  # noqa: BLE001 - whatever a peer made fail, it must not keep the connection
            _LOG.error("The association failed and is aborted", exc_info=error)
            self.abort()

    @property
    def _is_paused(self) -> bool:
        """Whether the thread of the service user leaves alone what comes, so that somebody else may take it.

        Only that thread knows. pynetdicom serves an N-EVENT-REPORT in a thread of its own, which notes in the end that
        nobody is paused; there the reactor notes the contrary a millisecond later, here it waits, and whoever wanted to
        release would wait for ever.
        """
        return self._paused

    @_is_paused.setter
    def _is_paused(self, paused: bool) -> None:
        if threading.current_thread() is self:
            self._paused = paused

    def _serve_request(self, msg: "DimseServiceType", context_id: int) -> None:
        """Serve a request; see `Association._serve_request`."""
        if threading.current_thread() is self:
            super()._serve_request(msg, context_id)
            return
        with self._beside:
            super()._serve_request(msg, context_id)

    def release(self) -> None:
        """Release the association when the report that is being served, if any, is answered."""
        with self._beside:
            super().release()

    def kill(self) -> None:
        """End the thread; see `Association.kill`."""
        self._kill = True
        self._reactor_checkpoint.set()
        self._work.set()
        self.is_established = False
        self._paused = True
        if threading.current_thread() is self.dul:
            self.dul.kill_dul()
            return
        while self.dul.is_alive() and not self.dul.stop_dul():
            self.dul.join(0.01)

    def _run_reactor(self) -> None:
        """Serve requests until the association ends; see `Association._run_reactor`."""
        while not self._kill:
            self._is_paused = True
            self._work.wait(self._idle_left_s())
            self._work.clear()
            self._reactor_checkpoint.wait()
            self._is_paused = False
            # Whoever cleared the checkpoint before the line above may have seen this thread paused: nothing is
            # taken from them then. Who clears it after sees that it is not.
            if not self._reactor_checkpoint.is_set():
                continue
            if self._is_over():
                return

    def _is_over(self) -> bool:
        """Serve what has come; return whether the association has ended."""
        context_id, message = self.dimse.get_msg(block=False)
        if message:
            self._serve_request(message, cast(int, context_id))
        if self.is_established and self.acse.is_release_requested():
            self._answer_release()
        elif self.acse.is_aborted():
            self._note_abort()
        elif self.dul.idle_timer_expired():
            self._end_silence()
        elif self.dul.is_alive():
            self._resume()  # more than one thing may have come
            return False
        self.kill()
        return True

    def _answer_release(self) -> None:
        self.acse.send_release(is_response=True)
        self.is_released = True
        self.is_established = False
        evt.trigger(self, evt.EVT_RELEASED, {})

    def _note_abort(self) -> None:
        self.dul.receive_pdu(wait=False)  # so that EVT_ACSE_RECV is triggered
        self.is_aborted = True
        self.is_established = False
        evt.trigger(self, evt.EVT_ABORTED, {})

    def _end_silence(self) -> None:
        _LOG.error("Network timeout reached")
        if self.network_timeout_response == "A-RELEASE":
            self._is_paused = True
            self.release()
        else:
            self.abort()

    def _idle_left_s(self) -> float | None:
        """Return how long the peer may yet be silent."""
        if self.network_timeout is None:
            return None
        return max(0.0, self.dul._idle_timer.remaining) + 0.001
