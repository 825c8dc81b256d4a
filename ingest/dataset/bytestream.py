"""Bytes of a data set in the order they stand, read in pieces, inflated where need be."""

import hashlib
import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from ingest.errors import BadDeflate, TooLarge, TrailingBytes, Truncated

CHUNK_BYTES: Final = 256 * 1024
SMALL_CHUNK_BYTES: Final = 32 * 1024
"""Read at once where most is passed over: what stands before the pixels of an image fits."""
_RATIO_CHECKED_FROM: Final = 16 * 1024 * 1024


class ByteSource:
    """A window that moves over a stream; `buffer[at:]` is what has been read and not yet used.

    Parameters
    ----------
    stream
        Read from where it stands to its end.
    size_bytes
        How many bytes will come, where that is known: lengths beyond it are refused without reading on.
    digesting
        Whether `sha256` is asked for. Without it, `skip` need not read what it passes over.
    """

    def __init__(self, stream: BinaryIO, *, size_bytes: int | None = None, digesting: bool = True) -> None:
        self.buffer = b""
        self.at = 0
        self.size_bytes = size_bytes
        self._base = 0  # offset of buffer[0]
        self._stream = stream
        self._digest = hashlib.sha256() if digesting else None

    @property
    def position(self) -> int:
        """Offset of the next byte."""
        return self._base + self.at

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes read so far, as they stand in the stream; empty if none was asked for."""
        return "" if self._digest is None else self._digest.hexdigest()

    def has(self, count: int) -> bool:
        """Bring at least `count` bytes into the buffer; False if the stream ends before."""
        while (missing := count - len(self.buffer) + self.at) > 0:
            more = self._more(missing)
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

    def skip(self, length: int) -> None:
        """Pass over the next `length` bytes.

        Raises
        ------
        Truncated
            The stream ends before.
        """
        beyond = length - len(self.buffer) + self.at
        if beyond <= 0:
            self.at += length
        elif self._digest is None and self.size_bytes is not None and self.position + length <= self.size_bytes:
            self._base += self.at + length
            self.buffer, self.at = b"", 0
            self._stream.seek(beyond, io.SEEK_CUR)
        else:
            for _ in self.pieces(length):
                pass

    def _more(self, missing: int = 0) -> bytes:
        """Return what comes next, a chunk or all that is `missing` at once."""
        if self._digest is None:
            return self._stream.read(max(missing, SMALL_CHUNK_BYTES))
        chunk = self._stream.read(max(missing, CHUNK_BYTES))
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

    def __init__(self, stream: BinaryIO, *, inflated_bytes: int, ratio: int, digesting: bool = True) -> None:
        super().__init__(stream, digesting=digesting)
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._waiting = b""
        self._read_bytes = 0
        self._made_bytes = 0
        self._limits = (inflated_bytes, ratio)

    def _more(self, missing: int = 0) -> bytes:  # noqa: ARG002 - what inflates comes in chunks, whatever is missing
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
