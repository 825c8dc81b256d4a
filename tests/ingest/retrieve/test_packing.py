"""Who packs the next instance, and when: nothing is packed twice, and what can't be sent is known before its turn."""

import threading
from collections.abc import Iterator

from ingest.dataset.part10 import file_header
from ingest.retrieve.packing import PackedAhead, pack
from ingest.retrieve.parcel import Parcel
from tests.ingest.datasets import CT_CLASS, EXPLICIT, IMPLICIT, JPEG, dataset, element, implicit

ACCEPTED = {(CT_CLASS, EXPLICIT): 1}
LONG_BYTES = 2 << 20


class _Source:
    """Instances that tell which thread reads them."""

    def __init__(self) -> None:
        self.readers: list[tuple[str, str]] = []

    def parcel(self, uid: str, *, syntax: str = EXPLICIT, size_bytes: int = 1000, data: bytes = b"") -> Parcel:
        header = file_header(sop_class_uid=CT_CLASS, sop_instance_uid=uid, transfer_syntax_uid=syntax)

        def read() -> Iterator[bytes]:
            self.readers.append((uid, threading.current_thread().name))
            return iter([header + (data or dataset(instance=uid))])

        return Parcel(
            sop_class_uid=CT_CLASS,
            sop_instance_uid=uid,
            transfer_syntax_uid=syntax,
            size_bytes=size_bytes,
            read=read,
        )


def test_look_ahead_when_the_next_is_short_then_it_is_packed_here_and_once() -> None:
    source, here = _Source(), threading.current_thread().name
    with PackedAhead(map(source.parcel, ("1.1", "1.2")), folder=None) as ahead:
        first = ahead.take(ACCEPTED)
        assert source.readers == [("1.1", here)]
        ahead.look_ahead(ACCEPTED)
        ahead.look_ahead(ACCEPTED)
        assert source.readers == [("1.1", here), ("1.2", here)]
        second = ahead.take(ACCEPTED)
        ahead.look_ahead(ACCEPTED)
        assert ahead.take(ACCEPTED) is None
    assert len(source.readers) == 2
    assert first is not None
    assert second is not None
    assert [b"".join(one.pieces) for one in (first, second)] == [dataset(instance="1.1"), dataset(instance="1.2")]


def test_take_when_the_next_is_long_then_it_is_read_beside_from_now_on() -> None:
    source = _Source()
    parcels = [source.parcel("1.1"), source.parcel("1.2", size_bytes=LONG_BYTES)]
    with PackedAhead(iter(parcels), folder=None) as ahead:
        ahead.take(ACCEPTED)
        ahead.look_ahead(ACCEPTED)
        packed = ahead.take(ACCEPTED)
    assert packed is not None
    assert packed.kind == (CT_CLASS, EXPLICIT)
    assert [uid for uid, _ in source.readers] == ["1.1", "1.2"]
    assert source.readers[1][1].startswith("packing")


def test_take_when_an_image_must_be_decompressed_then_that_is_done_beside() -> None:
    source = _Source()
    with PackedAhead(iter([source.parcel("1.1", syntax=JPEG)]), folder=None) as ahead:
        assert ahead.take(ACCEPTED) is not None
    assert all(name.startswith("packing") for _, name in source.readers)


def test_waiting_when_one_is_ahead_then_it_is_that_one_until_it_is_taken() -> None:
    source = _Source()
    parcels = [source.parcel("1.1"), source.parcel("1.2")]
    with PackedAhead(iter(parcels), folder=None) as ahead:
        waited = [ahead.waiting]
        for _ in parcels:
            ahead.take(ACCEPTED)
            waited.append(ahead.waiting)
    assert waited == [None, parcels[1], None]


def test_pack_when_the_conversion_fails_at_its_beginning_then_it_is_known_before_anything_is_sent() -> None:
    cut_off = implicit(0x0008_0018, b"1.2\0") + implicit(0x0008_103E, b"0123456789")[:-1]
    packed = pack(_Source().parcel("1.1", syntax=IMPLICIT, data=cut_off), ACCEPTED)
    assert packed.kind is None
    assert "inside a value of 10 bytes" in packed.reason


def test_pack_when_a_long_instance_is_converted_then_only_its_beginning_is_held() -> None:
    taken = 0
    data = dataset() + element(0x7FE0_0010, b"OW", bytes(64 << 20))

    def read() -> Iterator[bytes]:
        nonlocal taken
        yield file_header(sop_class_uid=CT_CLASS, sop_instance_uid="1.1", transfer_syntax_uid=EXPLICIT)
        for at in range(0, len(data), 1 << 20):
            taken += 1
            yield data[at : at + (1 << 20)]

    parcel = Parcel(
        sop_class_uid=CT_CLASS,
        sop_instance_uid="1.1",
        transfer_syntax_uid=EXPLICIT,
        size_bytes=len(data),
        read=read,
    )
    packed = pack(parcel, {(CT_CLASS, IMPLICIT): 1})
    assert taken <= 4
    assert sum(map(len, packed.pieces)) == len(dataset()) + 8 + (64 << 20)
    assert taken == 65
