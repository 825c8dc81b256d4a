"""The connection of an answer is closed by whoever uses it last, given up or not."""

import threading

import pytest

from storage.s3.reading import Body


class Stream:
    """Bytes that come when they are let."""

    def __init__(self) -> None:
        self.asked, self.let, self.closed = threading.Event(), threading.Event(), threading.Event()

    def read(self, amt: int) -> bytes:
        """Wait until let."""
        self.asked.set()
        assert self.let.wait(30)
        return b"x" * amt

    def close(self) -> None:
        """Note it; closing while somebody reads would wait."""
        assert self.let.is_set(), "closed under the thread that reads"
        self.closed.set()


def test_leave_when_nobody_reads_then_the_connection_is_closed_at_once() -> None:
    stream, body = Stream(), Body()
    stream.let.set()
    body.ask(lambda: stream)
    assert body.read(2) == b"xx"
    body.leave()
    assert stream.closed.is_set()


def test_leave_when_a_read_was_given_up_then_the_connection_is_closed_when_it_ends() -> None:
    stream, body = Stream(), Body()
    body.ask(lambda: stream)
    reader = threading.Thread(target=body.read, args=(1,))
    reader.start()
    assert stream.asked.wait(30)
    body.leave()
    assert not stream.closed.is_set()
    stream.let.set()
    reader.join(30)
    assert stream.closed.is_set()


def test_leave_when_the_answer_itself_was_given_up_then_it_is_closed_when_it_comes() -> None:
    stream, body = Stream(), Body()

    def late() -> Stream:
        stream.asked.set()
        assert stream.let.wait(30)
        return stream

    asker = threading.Thread(target=body.ask, args=(late,))
    asker.start()
    assert stream.asked.wait(30)
    body.leave()
    stream.let.set()
    asker.join(30)
    assert stream.closed.is_set()


def test_read_when_the_server_hangs_up_then_the_error_comes_and_the_connection_is_closed() -> None:
    class Broken(Stream):
        def read(self, amt: int) -> bytes:
            raise ConnectionResetError(amt)

    stream, body = Broken(), Body()
    stream.let.set()
    body.ask(lambda: stream)
    with pytest.raises(ConnectionResetError):
        body.read(1)
    body.leave()
    assert stream.closed.is_set()
