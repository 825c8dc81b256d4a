"""One segment after the other: what each line must be."""

import pytest

from archive.errors import ChainBroken
from archive.journal.chain import START, Chain, link, parsed
from archive.signing.signing import canonical


def segment(previous: str, sequence: int, *events: str, **header: object) -> tuple[bytes, str]:
    """Return the bytes of a segment and the hash at its end."""
    opening: dict[str, object] = {"format": "lastgate/journal/1", "sequence": sequence, "previous": previous}
    entries: list[dict[str, object]] = [{**opening, "heads": {}, **header}]
    entries += [{"act": event} for event in events]
    lines, end = [], previous
    for entry in entries:
        end = link(end, entry)
        lines.append(canonical({**entry, "hash": end}) + b"\n")
    return b"".join(lines), end


def test_chain_then_events_ends_and_what_was_seen_are_gathered() -> None:
    chain = Chain()
    first, end = segment(START, 1, "view", "sign", heads={"n2": "abc"})
    second, last = segment(end, 2, "seal")

    chain.follow("a", first)
    chain.follow("b", second)

    assert (chain.sequence, chain.end, chain.events) == (2, last, 3)
    assert (chain.ends, chain.seen) == ({1: end, 2: last}, {("n2", "abc")})


@pytest.mark.parametrize(
    ("previous", "sequence"), [("0" * 63 + "1", 1), (START, 2), (START, 0)], ids=["hash", "skipped", "repeated"]
)
def test_chain_when_a_segment_does_not_follow_then_it_is_broken(previous: str, sequence: int) -> None:
    body, _ = segment(previous, sequence, "view")

    with pytest.raises(ChainBroken, match="does not follow"):
        Chain().follow("a", body)


def test_chain_when_a_line_was_changed_then_that_line_is_named() -> None:
    body, _ = segment(START, 1, "view", "sign", "seal")

    with pytest.raises(ChainBroken, match=r"journal/a, line 3, is not what was written"):
        Chain().follow("journal/a", body.replace(b'"sign"', b'"sigh"'))


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"7", b"\xff"])
def test_parsed_when_it_is_no_entry_then_it_is_broken(line: bytes) -> None:
    with pytest.raises(ChainBroken):
        parsed("a", line)
