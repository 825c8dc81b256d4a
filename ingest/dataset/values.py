"""Values on a walk: read in pieces, brought into the normal form of the content digest, a few of them kept."""

from typing import ClassVar, Final

from ingest.dataset.bytestream import ByteSource
from ingest.dataset.content import TRIMMED_BYTES, ContentDigest, padded
from ingest.dataset.encoding import MANY_VALUED_TEXT, SWAP_BYTES, standard_vr, swapped
from ingest.dataset.levels import Level
from ingest.dataset.limits import COUNTED_FROM_BYTES, Tally
from ingest.dataset.names import CAPTURED, CAPTURED_BYTES

TRAILING_PADDING: Final = 0xFFFC_FFFC
_ITEM: Final = 0xFFFE_E000
_EMPTY_ITEM: Final = bytes.fromhex("feff00e0 00000000")
_RUN: Final = 4096


class Values:
    """Takes the values of one walk from `source` and gives them to the content digest.

    Parameters
    ----------
    source, content, tally
        Of the walk.
    captured
        Gets the raw values of `names.CAPTURED`; None inside a hidden sequence.
    """

    passed: ClassVar[bool] = False
    """Whether values are passed over unread."""

    def __init__(
        self, source: ByteSource, content: ContentDigest, tally: Tally, captured: dict[int, bytes] | None
    ) -> None:
        self.content = content
        self.flags: set[str] = set()
        self._source = source
        self._tally = tally
        self._captured = captured

    def take(self, level: Level, tag: int, vr: bytes | None, length: int, *, outermost: bool) -> None:
        """Take the value of an element; `outermost` if it stands in no sequence."""
        if length % 2:
            self.flags.add("odd-length")
        known = vr
        if vr is None or vr == b"UN":  # a program that does not know an element copies it as UN
            known = standard_vr(tag) or vr
        width = SWAP_BYTES.get(vr or b"", 0) if not level.encoding.little else 0
        if length > TRIMMED_BYTES:
            self._take_long(tag, known, length, width)
            return
        value = b"".join(self._source.pieces(length))
        if width:
            value = swapped(value, width)
        if not tag & 0xFFFF:
            if length == 4:
                level.group_end = (tag >> 16, self._source.position + int.from_bytes(value, "little"))
        elif tag != TRAILING_PADDING:
            self.content.whole(tag, padded(value, known))
        if outermost and tag in CAPTURED and self._captured is not None and length <= CAPTURED_BYTES:
            self._captured[tag] = value

    def _take_long(self, tag: int, vr: bytes | None, length: int, width: int) -> None:
        counted = length > COUNTED_FROM_BYTES
        if counted:
            self._tally.numbers(tag, vr, length)
        separators = 0
        for piece in self._source.pieces(length):
            if counted:
                separators = self._tally.separators(tag, vr, piece, separators)
            if tag != TRAILING_PADDING:
                self.content.piece(swapped(piece, width) if width else piece)
        if tag != TRAILING_PADDING:
            self.content.end(tag, length)

    def within(self, source: ByteSource) -> "Values":
        """Return what takes the values of a hidden sequence, whose bytes come from `source`; captures nothing."""
        return type(self)(source, self.content.copy(), self._tally, None)

    def take_fragment(self, length: int) -> None:
        """Take a fragment of encapsulated pixel data."""
        self._tally.fragments(1)
        for piece in self._source.pieces(length):
            self.content.piece(piece)
        self.content.end(_ITEM, length)
        if length % 2:
            self.flags.add("odd-length")

    def skip_empty_fragments(self) -> None:
        """Pass over long runs of empty fragments at once: two million of them must not take seconds."""
        source, run = self._source, _EMPTY_ITEM * _RUN
        while source.has(len(run)) and source.buffer.startswith(run, source.at):
            self._tally.fragments(_RUN)
            self.content.empty_fragments(_RUN)
            source.at += len(run)


class PassedValues(Values):
    """The same without a digest: values are passed over unread, but for the few that are checked or kept."""

    passed = True

    def take(self, level: Level, tag: int, vr: bytes | None, length: int, *, outermost: bool) -> None:
        """Pass over the value of an element; see `Values.take`."""
        if not tag & 0xFFFF or (outermost and tag in CAPTURED and length <= CAPTURED_BYTES):
            super().take(level, tag, vr, length, outermost=outermost)
            return
        if length % 2:
            self.flags.add("odd-length")
        if length > COUNTED_FROM_BYTES:
            known = (standard_vr(tag) or vr) if vr is None or vr == b"UN" else vr
            self._tally.numbers(tag, known, length)
            if known in MANY_VALUED_TEXT:
                self._take_long(tag, known, length, 0)
                return
        self._source.skip(length)

    def take_fragment(self, length: int) -> None:
        """Pass over a fragment of encapsulated pixel data."""
        self._tally.fragments(1)
        self._source.skip(length)
        if length % 2:
            self.flags.add("odd-length")
