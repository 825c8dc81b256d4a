"""Bytes of a data set in the order they stand, read in pieces, inflated where need be."""

import hashlib
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from ingest.errors import BadDeflate, TooLarge, TrailingBytes, Truncated

CHUNK_BYTES: Final = 256 * 1024
_RATIO_CHECKED_FROM: Final = 16 * 1024 * 1024


class ByteSource:
    """A window that moves over a stream; `buffer[at:]` is what has been read and not yet used.

    Parameters
    ----------
    stream
        Read from where it stands to its end.
    size_bytes
        How many bytes will come, where that is known: lengths beyond it are refused without reading on.
    """

    def __init__(self, stream: BinaryIO, *, size_bytes: int | None = None) -> None:
        self.buffer = b""
        self.at = 0
        self.size_bytes = size_bytes
        self._base = 0  # offset of buffer[0]
        self._stream = stream
        self._digest = hashlib.sha256()

    @property
    def position(self) -> int:
        """Offset of the next byte."""
        return self._base + self.at

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes read so far, as they stand in the stream."""
        return self._digest.hexdigest()

    def has(self, count: int) -> bool:
        """Bring at least `count` bytes into the buffer; False if the stream ends before."""
        while len(self.buffer) - self.at < count:
            more = self._more()
            if not more:
                return False
            self._base += self.at
            self.buffer = self.buffer[self.at :] + more
            self.at = 0
        return True

    def pieces(self, length: int) -> Iterator[bytes]:
        """Yield the next `length` bytes in pieces, all but the last a multiple of eight long.

        Raises
        ------
        Truncated
            The stream ends before.
        """
        left = length
        while left:
            if not self.has(min(8, left)):
                raise Truncated(f"The bytes end at {self.position}, {left} bytes before the value does")
            count = min(left, len(self.buffer) - self.at)
            if count < left:
                count -= count % 8
            piece = self.buffer[self.at : self.at + count]
            self.at += count
            left -= count
            yield piece

    def _more(self) -> bytes:
        chunk = self._stream.read(CHUNK_BYTES)
        self._digest.update(chunk)
        return chunk


class InflatingSource(ByteSource):
    """The same over a raw deflate stream (PS3.5 A.5), guarded against bombs.

    Parameters
    ----------
    inflated_bytes
        The most it may inflate to.
    ratio
        The most it may inflate by, looked at from 16 MiB on. Deflate itself reaches 1,032.
    """

    def __init__(self, stream: BinaryIO, *, inflated_bytes: int, ratio: int) -> None:
        super().__init__(stream)
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._waiting = b""
        self._read_bytes = 0
        self._made_bytes = 0
        self._limits = (inflated_bytes, ratio)

    def _more(self) -> bytes:
        while not self._inflater.eof:
            if not self._waiting:
                self._waiting = super()._more()
                self._read_bytes += len(self._waiting)
                if not self._waiting:
                    raise Truncated("The deflated stream ends early")
            try:
                made = self._inflater.decompress(self._waiting, CHUNK_BYTES)
            except zlib.error as error:
                raise BadDeflate(f"The deflated stream is broken: {error}") from error
            self._waiting = self._inflater.unconsumed_tail
            if made:
                self._guard(len(made))
                return made
        self._check_end()
        return b""

    def _guard(self, made: int) -> None:
        self._made_bytes += made
        most, ratio = self._limits
        if self._made_bytes > most:
            raise TooLarge(f"The data set inflates to more than {most} bytes")
        if self._made_bytes > max(_RATIO_CHECKED_FROM, self._read_bytes * ratio):
            raise TooLarge(f"The data set inflates to more than {ratio} times its length")

    def _check_end(self) -> None:
        """One NUL may pad the stream to even length (PS3.5 A.5); anything else is a second stream or garbage."""
        rest = self._inflater.unused_data + ByteSource._more(self)
        if rest not in (b"", b"\0"):
            raise TrailingBytes(f"{len(rest)} or more bytes stand after the end of the deflated stream")
