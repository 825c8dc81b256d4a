"""What every object store promises: filesystem, moto, a real SeaweedFS without and with Object Lock, and pairs."""

import hashlib
import io
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.base import MAX_SEGMENT_BYTES, ObjectStore
from storage.errors import (
    BadKey,
    DigestMismatch,
    KeyTaken,
    ObjectMissing,
    Replaced,
    StorageError,
)
from storage.filesystem import FilesystemStore
from storage.reading import PieceReader, read_back
from tests.conformance.object_stores import Case, put, sha256

ONE, TWO = b"first bytes", b"other bytes"
SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
LATER = SOON + timedelta(hours=1)
PROPERTY = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
segments = st.text("ABCXYZabcxyz0189_=+-.", min_size=1, max_size=20).filter(lambda text: text[0] != ".")
keys = st.lists(segments, min_size=1, max_size=4).map("/".join)


# --- put and read ---------------------------------------------------------------------------------------------------


def test_put_when_absent_then_bytes_size_and_version_come_back(case: Case) -> None:
    version = case.put("intake/ab/object.1", ONE)

    stat = case.store.stat("intake/ab/object.1")
    assert case.store.read_bytes("intake/ab/object.1") == ONE
    assert case.store.read_bytes("intake/ab/object.1", version=version) == ONE
    assert (stat.key, stat.size_bytes, stat.version) == ("intake/ab/object.1", len(ONE), version)
    assert abs(stat.modified - datetime.now(UTC)) < timedelta(minutes=5)
    assert not stat.is_delete_marker


def test_put_when_same_bytes_stand_there_then_it_is_one_version(case: Case) -> None:
    first = case.put("k", ONE)

    assert case.put("k", ONE) == first
    assert [stat.version for stat in case.store.list_versions("k")] == [first]


def test_put_when_other_bytes_stand_there_then_it_is_refused_and_they_stay(case: Case) -> None:
    case.put("k", ONE)

    for data in (TWO, b"", ONE + b"longer"):
        with pytest.raises(KeyTaken):
            case.put("k", data)
    assert case.store.read_bytes("k") == ONE


@pytest.mark.parametrize("data", [TWO, ONE[:-1], ONE + b"x", b""])
def test_put_when_source_is_not_what_was_announced_then_nothing_is_stored(store: ObjectStore, data: bytes) -> None:
    with pytest.raises(DigestMismatch):
        store.put_if_absent("k", io.BytesIO(data), sha256=sha256(ONE), size_bytes=len(ONE))
    with pytest.raises(ObjectMissing):
        store.stat("k")
    assert list(store.list("")) == []


def test_put_when_source_can_not_be_rewound_then_bytes_are_stored(store: ObjectStore) -> None:
    pieces = io.BufferedReader(PieceReader(iter([ONE, b"", TWO])))

    store.put_if_absent("k", pieces, sha256=sha256(ONE + TWO), size_bytes=len(ONE + TWO))

    assert store.read_bytes("k") == ONE + TWO


def test_put_when_source_stands_in_the_middle_then_the_rest_is_stored(store: ObjectStore) -> None:
    source = io.BytesIO(b"read before" + ONE)
    source.seek(len(b"read before"))

    store.put_if_absent("k", source, sha256=sha256(ONE), size_bytes=len(ONE))

    assert store.read_bytes("k") == ONE


@PROPERTY
@given(data=st.binary(max_size=5000), cuts=st.tuples(st.integers(0, 6000), st.one_of(st.none(), st.integers(0, 6000))))
def test_read_when_range_is_asked_then_it_is_that_slice(case: Case, data: bytes, cuts: tuple[int, int | None]) -> None:
    key = f"r/{sha256(data)}"
    case.put(key, data)

    start, stop = cuts
    assert b"".join(case.store.read(key, start=start, stop=stop)) == data[start:stop]
    assert case.store.read_bytes(key) == data


def test_read_when_range_is_negative_then_it_is_a_fault_of_the_caller(case: Case) -> None:
    case.put("k", ONE)

    for start, stop in ((-1, None), (0, -1)):
        with pytest.raises(ValueError, match="byte 0"):
            list(case.store.read("k", start=start, stop=stop))


def test_read_when_object_has_many_pieces_then_it_comes_whole(case: Case) -> None:
    data = hashlib.shake_256(b"large").digest(3_000_001)
    case.put("large", data)

    assert b"".join(case.store.read("large")) == data
    assert b"".join(case.store.read("large", start=1_048_575, stop=2_097_154)) == data[1_048_575:2_097_154]


@PROPERTY
@given(key=keys)
def test_key_when_it_keeps_the_rules_then_it_names_an_object(case: Case, key: str) -> None:
    try:
        case.put(key, ONE)
    except BadKey:  # an earlier example is its folder, or it is the folder of one
        return
    assert case.store.read_bytes(key) == ONE
    assert key in [stat.key for stat in case.store.list(key)]


def _uses_of_a_key() -> list[Callable[[ObjectStore, str], object]]:
    return [
        lambda store, key: put(store, key, ONE),
        lambda store, key: store.replace_if_match(key, ONE, expected=None),
        lambda store, key: store.read_bytes(key),
        lambda store, key: store.stat(key),
        lambda store, key: store.delete(key),
        lambda store, key: store.copy_if_absent("k", key, sha256=sha256(ONE)),
        lambda store, key: store.repair(key, io.BytesIO(ONE), sha256=sha256(ONE), size_bytes=len(ONE)),
        lambda store, key: list(store.list(f"{key}/")),
    ]


BAD_KEYS = (
    "", "/", "/a", "a/", "a//b", "..", "a/../b", ".hidden", "a/.tmp-1", "a b", "a\x00b", "name\n", "名", "a\\b",
    "s" * (MAX_SEGMENT_BYTES + 1), "/".join(["long"] * 200),
)  # fmt: skip


def test_key_when_it_breaks_the_rules_then_nothing_takes_it(case: Case) -> None:
    case.put("k", ONE)

    for key in BAD_KEYS:
        for use in _uses_of_a_key():
            with pytest.raises(BadKey):
                use(case.store, key)
    assert [stat.key for stat in case.store.list("")] == ["k"]


def test_reading_when_key_is_absent_then_it_is_missing(case: Case) -> None:
    version = case.put("gone", ONE)
    case.store.delete("gone", version=version)
    uses: list[Callable[[], object]] = [
        lambda: list(case.store.read("gone")),
        lambda: list(case.store.read("gone", start=3, stop=3)),
        lambda: case.store.read_bytes("gone"),
        lambda: case.store.read_bytes("gone", version=version),
        lambda: case.store.stat("gone"),
        lambda: read_back(case.store, "gone", sha256=sha256(ONE), size_bytes=len(ONE)),
        lambda: case.store.copy_if_absent("gone", "copy", sha256=sha256(ONE)),
    ]

    for use in uses:
        with pytest.raises(ObjectMissing):
            use()


# --- replace --------------------------------------------------------------------------------------------------------


def test_replace_when_caller_saw_the_newest_state_then_it_is_replaced(store: ObjectStore) -> None:
    first = store.replace_if_match("site/jobs.json", ONE, expected=None)
    second = store.replace_if_match("site/jobs.json", TWO, expected=first)
    third = store.replace_if_match("site/jobs.json", ONE, expected=store.stat("site/jobs.json").version)

    assert store.read_bytes("site/jobs.json") == ONE
    assert store.stat("site/jobs.json").version == third
    assert second not in (first, third)


def test_replace_when_caller_saw_an_older_state_then_it_is_refused(store: ObjectStore) -> None:
    first = store.replace_if_match("doc", ONE, expected=None)
    store.replace_if_match("doc", TWO, expected=first)

    for expected in (first, None):
        with pytest.raises(Replaced):
            store.replace_if_match("doc", b"third", expected=expected)
    with pytest.raises(Replaced):
        store.replace_if_match("absent", b"third", expected=first)
    assert store.read_bytes("doc") == TWO
    assert [stat.key for stat in store.list("")] == ["doc"]


# --- several writers at once ------------------------------------------------------------------------------------------


def _race(count: int, act: Callable[[int], object], refusal: type[StorageError]) -> list[int]:
    """Let `count` threads act at the same moment; return the numbers of those who were not refused."""
    winners: list[int] = []
    strange: list[BaseException] = []
    start = threading.Barrier(count)

    def run(number: int) -> None:
        start.wait()
        try:
            act(number)
            winners.append(number)
        except refusal:
            pass
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            strange.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert strange == []
    return winners


def _bytes_of(number: int) -> bytes:
    return b"%d" % number * 1000


@pytest.mark.parametrize("round_", range(3))
def test_put_when_eight_write_other_bytes_at_once_then_one_wins(case: Case, round_: int) -> None:
    winners = _race(8, lambda number: case.put("raced/object", _bytes_of(number)), KeyTaken)

    assert len(winners) == 1
    assert case.store.read_bytes("raced/object") == _bytes_of(winners[0])


def test_put_when_eight_write_the_same_bytes_at_once_then_all_succeed_with_one_version(case: Case) -> None:
    winners = _race(8, lambda _: case.put("raced/object", ONE), KeyTaken)

    assert len(winners) == 8
    assert len(list(case.store.list_versions("raced/"))) == 1


def test_replace_when_eight_replace_the_same_state_at_once_then_one_wins(store: ObjectStore) -> None:
    first = store.replace_if_match("doc", ONE, expected=None)

    winners = _race(8, lambda number: store.replace_if_match("doc", _bytes_of(number), expected=first), Replaced)

    assert len(winners) == 1
    assert store.read_bytes("doc") == _bytes_of(winners[0])


def test_replace_when_eight_write_the_same_bytes_at_once_then_one_is_told_so(store: ObjectStore) -> None:
    """Two who take the next number write the same text; both being told of success would give it out twice."""
    first = store.replace_if_match("counter", b"1", expected=None)

    winners = _race(8, lambda _: store.replace_if_match("counter", b"2", expected=first), Replaced)

    assert len(winners) == 1


def test_copy_when_eight_copy_other_bytes_to_one_key_then_one_wins(case: Case) -> None:
    for number in range(8):
        case.put(f"source/{number}", _bytes_of(number))

    def copy(number: int) -> None:
        case.store.copy_if_absent(f"source/{number}", "raced", sha256=sha256(_bytes_of(number)))

    winners = _race(8, copy, KeyTaken)

    if case.kind.endswith("s3-moto"):  # decides conditional copies in two steps: `S3Store` tells of such servers
        assert winners
        assert case.store.read_bytes("raced") in [_bytes_of(number) for number in range(8)]
    else:
        assert len(winners) == 1
        assert case.store.read_bytes("raced") == _bytes_of(winners[0])


# --- lists ------------------------------------------------------------------------------------------------------------


def test_list_when_prefix_is_given_then_keys_come_in_order(case: Case) -> None:
    names = ["a", "a-b", "a.b/x", "ab/c/d", "ab/c/e", "ab/c-d", "ab/c.d", "ab/c=", "abc", "Z/1", "Z/10", "Z/2", "_/x"]
    for key in reversed(names):
        case.put(key, key.encode())
    folder_first = case.kind == "s3-seaweedfs"  # "a/b" before "a-b": the exception the port allows

    for prefix in ("", "a", "ab", "ab/", "ab/c", "ab/c/", "Z/1", "nothing", "nothing/at/all", "a/b"):
        found = [stat.key for stat in case.store.list(prefix)]
        expected = [key for key in names if key.startswith(prefix)]
        assert found == sorted(expected, key=lambda key: key.split("/") if folder_first else [key]), prefix


def test_list_when_objects_stand_there_then_each_has_the_version_of_its_stat(case: Case) -> None:
    for key in ("x/1", "x/2"):
        case.put(key, key.encode())
    case.store.replace_if_match("x/2", TWO, expected=case.store.stat("x/2").version)

    listed = list(case.store.list("x/"))

    assert [stat.version for stat in listed] == [case.store.stat(stat.key).version for stat in listed]
    assert [stat.size_bytes for stat in listed] == [3, len(TWO)]


# --- copy -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [ONE, b""])
def test_copy_when_target_is_free_then_both_keys_have_the_bytes(case: Case, data: bytes) -> None:
    case.put("intake/1", data)

    version = case.store.copy_if_absent("intake/1", "vault/v1/1", sha256=sha256(data))

    assert case.store.stat("vault/v1/1").version == version
    assert case.store.read_bytes("vault/v1/1", version=version) == case.store.read_bytes("intake/1") == data


def test_copy_when_target_has_the_same_bytes_then_it_is_done(case: Case) -> None:
    case.put("from", ONE)
    first = case.put("to", ONE)

    assert case.store.copy_if_absent("from", "to", sha256=sha256(ONE)) == first
    assert len(list(case.store.list_versions("to"))) == 1


def test_copy_when_target_has_other_bytes_then_it_is_refused_and_they_stay(case: Case) -> None:
    case.put("from", ONE)
    case.put("to", TWO)

    with pytest.raises(KeyTaken):
        case.store.copy_if_absent("from", "to", sha256=sha256(ONE))
    assert case.store.read_bytes("to") == TWO


def test_copy_when_source_is_not_what_was_recorded_then_it_is_not_called_done(case: Case) -> None:
    case.put("from", ONE)

    with pytest.raises(DigestMismatch):
        case.store.copy_if_absent("from", "to", sha256=sha256(TWO))


def test_copy_when_source_is_another_store_of_its_kind_then_bytes_arrive(case: Case) -> None:
    put(case.sibling, "from", ONE)

    case.store.copy_if_absent("from", "to", sha256=sha256(ONE), source=case.sibling)

    assert case.store.read_bytes("to") == ONE
    assert list(case.store.list("from")) == []


def test_copy_when_source_is_an_unlike_store_then_bytes_arrive_both_ways(case: Case, tmp_path: Path) -> None:
    disk = FilesystemStore(tmp_path / "unlike")
    data = hashlib.shake_256(b"unlike").digest(2_500_000)
    put(disk, "from", data)

    case.store.copy_if_absent("from", "to", sha256=sha256(data), source=disk)
    disk.copy_if_absent("to", "back", sha256=sha256(data), source=case.store)

    assert case.store.read_bytes("to") == disk.read_bytes("back") == data
    with pytest.raises(ObjectMissing):
        case.store.copy_if_absent("absent", "x", sha256=sha256(data), source=disk)
