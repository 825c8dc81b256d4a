"""What a line of a journal is."""

import pytest

from archive.errors import ChainBroken
from archive.journal.chain import START, link, parsed, written


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"7", b"\xff"])
def test_parsed_when_it_is_no_entry_then_it_is_broken(line: bytes) -> None:
    with pytest.raises(ChainBroken):
        parsed("a", line)


def test_link_when_keys_stand_in_another_order_then_it_is_the_same() -> None:
    assert link(START, {"act": "view", "account": "ada"}) == link(START, {"account": "ada", "act": "view"})
    assert link(START, {"act": "view"}) != link("1" * 64, {"act": "view"})


def test_written_when_read_again_then_it_is_the_same_line() -> None:
    line = {"act": "view", "名": "样", "n": 1.5, "hash": "ab"}

    assert written(parsed("a", written(line))) == written(line)
    assert b" " not in written(line)
