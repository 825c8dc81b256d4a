"""The walker refuses every kind of damage by its own name, and nothing that is only odd."""

import hashlib
import io
import struct

import pytest

from ingest import errors
from ingest.dataset.limits import Limits
from ingest.dataset.walker import Walked, Walker
from tests.ingest.datasets import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    ITEM,
    ITEM_END,
    JPEG,
    SEQUENCE_END,
    UNDEFINED,
    dataset,
    deflated,
    element,
    implicit,
    item,
)

_EMPTY_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
_SQ = 0x300A_0010  # Dose Reference Sequence


def walk(body: bytes, syntax: str = EXPLICIT, limits: Limits | None = None) -> Walked:
    return Walker(io.BytesIO(body), syntax, limits=limits, size_bytes=len(body)).walk()


def sequence(content: bytes, *, tag: int = _SQ) -> bytes:
    return element(tag, b"SQ", content, length=UNDEFINED) + SEQUENCE_END


def nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = element(_SQ, b"SQ", ITEM + body + ITEM_END, length=UNDEFINED) + SEQUENCE_END
    return body


def test_walk_when_data_set_is_sound_then_names_and_digests_are_told() -> None:
    body = dataset(instance="1.2.3.99", patient="P 7")

    walked = walk(body)

    assert walked.names.sop_instance_uid == "1.2.3.99"
    assert walked.names.patient_id == "P 7"
    assert walked.dataset_sha256 == hashlib.sha256(body).hexdigest()
    assert walked.elements == 8
    assert walked.flags == ()


DAMAGE = {
    "value cut off": (dataset()[:-3], errors.Truncated),
    "header cut off": (dataset() + b"\x20\x00\x13", errors.TrailingBytes),
    "long header cut off": (dataset() + b"\x28\x00\x10\x10OB\x00\x00", errors.Truncated),
    "length beyond the end": (dataset(tail=element(0x0028_0010, b"US", b"\0\0", length=40)), errors.Truncated),
    "zeros after the end": (dataset() + bytes(64), errors.TrailingBytes),
    "length FFFFFFF0": (dataset(tail=element(0x7FE0_0010, b"OW", b"", length=0xFFFF_FFF0)), errors.BadLength),
    "undefined length of a string": (
        dataset(tail=element(0x0040_A160, b"UT", b"", length=UNDEFINED)),
        errors.BadLength,
    ),
    "undefined length of native pixels": (
        dataset(tail=element(0x7FE0_0010, b"OW", _EMPTY_ITEM + SEQUENCE_END, length=UNDEFINED)),
        errors.BadLength,
    ),
    "sequence never ends": (dataset(tail=element(_SQ, b"SQ", ITEM, length=UNDEFINED)), errors.Truncated),
    "item never ends": (dataset(tail=element(_SQ, b"SQ", ITEM + SEQUENCE_END, length=UNDEFINED)), errors.BadDelimiter),
    "element where an item must stand": (
        dataset(tail=sequence(element(0x0008_0060, b"CS", b"CT"))),
        errors.BadDelimiter,
    ),
    "item longer than its sequence": (
        dataset(tail=element(_SQ, b"SQ", struct.pack("<HHI", 0xFFFE, 0xE000, 99) + bytes(8))),
        errors.BadLength,
    ),
    "element longer than its item": (
        dataset(tail=element(_SQ, b"SQ", item(element(0x0008_0060, b"CS", b"CT", length=20)))),
        errors.BadLength,
    ),
    "delimiter with a length": (
        dataset(tail=element(_SQ, b"SQ", struct.pack("<HHI", 0xFFFE, 0xE0DD, 4), length=UNDEFINED)),
        errors.BadDelimiter,
    ),
    "item delimiter outside": (dataset(tail=ITEM_END), errors.BadDelimiter),
    "unknown VR": (dataset(tail=element(0x0028_0010, b"ZZ", b"\0\0")), errors.BadVR),
    "repeated tag": (dataset(tail=element(0x0020_000E, b"UI", b"1.2.3\0")), errors.BadTagOrder),
    "unsorted tags": (dataset(tail=element(0x0008_0070, b"LO", b"ACME")), errors.BadTagOrder),
    "unsorted in an item": (
        dataset(tail=sequence(item(element(0x0010_0020, b"LO", b"P1") + element(0x0008_0060, b"CS", b"CT")))),
        errors.BadTagOrder,
    ),
    "file meta inside": (element(0x0002_0010, b"UI", b"1.2.3\0") + dataset(), errors.MetaInside),
    "nothing at all": (b"", errors.EmptyDataSet),
    "nested 65 deep": (dataset(tail=nested(65)), errors.TooMany),
    "implicit bytes in explicit encoding": (implicit(0x0008_0016, b"1.2.3\0"), errors.BadVR),
}


@pytest.mark.parametrize("damage", DAMAGE, ids=str)
def test_walk_when_data_set_is_damaged_then_the_error_names_the_damage(damage: str) -> None:
    body, expected = DAMAGE[damage]

    with pytest.raises(errors.BadDataSet) as caught:
        walk(body)

    assert type(caught.value) is expected
    assert int(caught.value.status) == 0xC000
    assert caught.value.hint


@pytest.mark.parametrize("damage", [d for d in DAMAGE if d != "nothing at all"], ids=str)
def test_walk_when_length_is_not_known_beforehand_then_damage_is_found_all_the_same(damage: str) -> None:
    body, _ = DAMAGE[damage]

    with pytest.raises(errors.BadDataSet):
        Walker(io.BytesIO(body), EXPLICIT).walk()


@pytest.mark.parametrize("cut", range(1, len(dataset())))
def test_walk_when_cut_anywhere_but_between_elements_then_it_is_refused(cut: int) -> None:
    whole = dataset()
    ends = {0}
    at = 0
    while at < len(whole):
        at += 8 + int.from_bytes(whole[at + 6 : at + 8], "little")
        ends.add(at)

    if cut in ends:
        walk(whole[:cut])
    else:
        with pytest.raises(errors.BadDataSet):
            walk(whole[:cut])


def test_walk_when_explicit_bytes_stand_in_implicit_encoding_then_it_is_refused() -> None:
    with pytest.raises(errors.BadDataSet):
        walk(dataset(), IMPLICIT)


def test_walk_when_nested_64_deep_then_it_is_taken() -> None:
    assert walk(dataset(tail=nested(64))).elements == 8 + 128


def test_walk_when_a_million_empty_items_come_then_it_stops_at_the_limit() -> None:
    body = dataset(tail=sequence(_EMPTY_ITEM * 1_000_000))

    with pytest.raises(errors.TooMany, match="200000 elements"):
        walk(body)


def test_walk_when_two_million_empty_fragments_come_then_they_are_passed_over() -> None:
    body = dataset(tail=element(0x7FE0_0010, b"OB", _EMPTY_ITEM * 2_000_000, length=UNDEFINED) + SEQUENCE_END)

    assert walk(body, JPEG).elements == 9


def test_walk_when_fragments_exceed_their_limit_then_it_is_refused() -> None:
    body = dataset(tail=element(0x7FE0_0010, b"OB", item(b"ab") * 20, length=UNDEFINED) + SEQUENCE_END)

    with pytest.raises(errors.TooMany, match="fragments"):
        walk(body, JPEG, Limits(fragments=19))


@pytest.mark.parametrize(
    ("body", "syntax"),
    [
        (implicit(0x0008_0018, b"1.2\0") + implicit(0x3006_0050, b"1\\" * 2_500_000), IMPLICIT),
        (implicit(0x0008_0018, b"1.2\0") + implicit(0x0008_1161, bytes(4 * 2_500_000)), IMPLICIT),
        (dataset(tail=element(0x0040_A160, b"UC", b"a\\" * 2_500_000)), EXPLICIT),
    ],
    ids=["contour data", "frame list", "long text values"],
)
def test_walk_when_one_element_holds_millions_of_values_then_it_is_refused(body: bytes, syntax: str) -> None:
    with pytest.raises(errors.TooMany, match="values"):
        walk(body, syntax)


def test_walk_when_bulk_data_are_long_then_they_are_taken() -> None:
    assert walk(dataset(tail=element(0x7FE0_0010, b"OW", b"\\1" * 5_000_000))).elements == 9


def test_walk_when_length_is_odd_then_it_is_taken_and_flagged() -> None:
    assert walk(dataset(tail=element(0x0028_0030, b"DS", b"1.0"))).flags == ("odd-length",)


def test_walk_when_a_group_length_lies_then_it_is_taken_and_flagged() -> None:
    good = walk(element(0x0008_0000, b"UL", struct.pack("<I", 10)) + element(0x0008_0060, b"CS", b"CT"))
    bad = walk(element(0x0008_0000, b"UL", struct.pack("<I", 12)) + element(0x0008_0060, b"CS", b"CT"))

    assert good.flags == ()
    assert bad.flags == ("group-length-wrong",)
    assert good.content_sha256 == bad.content_sha256 == walk(element(0x0008_0060, b"CS", b"CT")).content_sha256


def test_content_digest_when_a_value_changes_then_it_changes() -> None:
    assert walk(dataset(name="A^B")).content_sha256 != walk(dataset(name="A^C")).content_sha256


def test_content_digest_when_an_item_moves_between_sequences_then_it_changes() -> None:
    inner = item(element(0x0008_0060, b"CS", b"CT"))
    one = walk(dataset(tail=sequence(inner * 2) + sequence(inner, tag=0x300A_0040)))
    other = walk(dataset(tail=sequence(inner) + sequence(inner * 2, tag=0x300A_0040)))

    assert one.content_sha256 != other.content_sha256


def test_content_digest_when_lengths_are_written_otherwise_then_it_stays() -> None:
    content = element(0x0008_0060, b"CS", b"CT")
    undefined = dataset(tail=sequence(ITEM + content + ITEM_END))
    defined = dataset(tail=element(_SQ, b"SQ", item(content)))
    hidden = dataset(tail=element(_SQ, b"UN", item(implicit(0x0008_0060, b"CT"))))

    digests = {walk(body).content_sha256 for body in (undefined, defined, hidden)}

    assert len(digests) == 1


def test_content_digest_when_un_only_looks_like_a_sequence_then_it_is_taken_as_bytes() -> None:
    body = dataset(tail=element(0x0029_1010, b"UN", item(b"abc") + b"\0"))

    assert walk(body).elements >= 9


def test_content_digest_when_trailing_padding_differs_then_it_stays() -> None:
    one = dataset(tail=element(0x0028_0004, b"CS", b"RGB "))
    more = dataset(tail=element(0x0028_0004, b"CS", b"RGB   ") + element(0xFFFC_FFFC, b"OB", bytes(6)))

    assert walk(one).content_sha256 == walk(more).content_sha256


def test_content_digest_when_binary_ends_in_a_space_then_it_counts() -> None:
    one = dataset(tail=element(0x0028_0010, b"US", b"\x01\x00"))
    other = dataset(tail=element(0x0028_0010, b"US", b"\x01\x20"))

    assert walk(one).content_sha256 != walk(other).content_sha256


def test_walk_when_deflated_then_content_is_the_same_and_bytes_are_their_own() -> None:
    stream = deflated(dataset())

    walked = walk(stream, DEFLATED)

    assert walked.content_sha256 == walk(dataset()).content_sha256
    assert walked.dataset_sha256 == hashlib.sha256(stream).hexdigest()


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (deflated(dataset())[:-20], errors.Truncated),
        (deflated(dataset()) + b"garbage", errors.TrailingBytes),
        (deflated(dataset()) + deflated(dataset()), errors.TrailingBytes),
        (b"\xff" * 40, errors.BadDeflate),
    ],
    ids=["cut off", "garbage behind", "second stream", "no stream"],
)
def test_walk_when_the_deflated_stream_is_broken_then_it_is_refused(
    stream: bytes, expected: type[errors.BadDataSet]
) -> None:
    with pytest.raises(expected):
        walk(stream, DEFLATED)


def test_walk_when_a_deflated_stream_is_a_bomb_then_resources_are_named() -> None:
    bomb = deflated(dataset(tail=element(0x7FE0_0010, b"OW", bytes(64 * 1024 * 1024))))

    with pytest.raises(errors.TooLarge) as caught:
        walk(bomb, DEFLATED)

    assert int(caught.value.status) == 0xA700


def test_walk_when_inflating_beyond_the_size_limit_then_it_is_refused() -> None:
    with pytest.raises(errors.TooLarge, match="more than 100 bytes"):
        walk(deflated(dataset()), DEFLATED, Limits(inflated_bytes=100))


def test_walk_when_big_endian_then_numbers_are_compared_as_numbers() -> None:
    little = element(0x0028_0010, b"US", struct.pack("<H", 513)) + element(0x3004_000A, b"FD", struct.pack("<d", 1.5))
    big = struct.pack(">HH2sHH", 0x28, 0x10, b"US", 2, 513) + struct.pack(">HH2sHd", 0x3004, 0xA, b"FD", 8, 1.5)

    assert walk(little).content_sha256 == walk(big, BIG).content_sha256


@pytest.mark.parametrize(
    "instance", ["1.2/../3", "1.2.\u0663", "abc", "1..2", "1." + "2" * 63, "", "../../etc/passwd"], ids=ascii
)
def test_names_when_a_uid_is_malformed_then_they_are_refused(instance: str) -> None:
    with pytest.raises(errors.BadUID):
        walk(dataset(instance=instance)).names.check()


def test_names_when_a_component_has_a_leading_zero_then_it_is_only_flagged() -> None:
    walked = walk(dataset(instance="1.2.03.4"))

    walked.names.check()
    assert walked.flags == ("uid-leading-zero",)


def test_names_when_the_walk_fails_then_what_was_seen_is_told() -> None:
    walker = Walker(io.BytesIO(dataset()[:-3]), EXPLICIT)

    with pytest.raises(errors.Truncated):
        walker.walk()

    assert walker.names.sop_instance_uid == "1.2.3.4"
