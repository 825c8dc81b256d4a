"""What every object store promises about keeping: versions, retention, rot and repair, and its self-test."""

import hashlib
import io
from datetime import UTC, datetime, timedelta

import pytest

from storage.errors import DigestMismatch, KeyTaken, ObjectMissing, Retained, StorageError, StoreUnfit
from storage.reading import read_back
from tests.conformance.object_stores import Case, sha256

ONE, TWO = b"first bytes", b"other bytes"
SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
LATER = SOON + timedelta(hours=1)


# --- delete and versions ----------------------------------------------------------------------------------------------


def test_delete_when_object_stands_there_then_it_is_gone_and_the_key_is_free(case: Case) -> None:
    case.put("d/1", ONE)
    case.put("d/2", ONE)

    case.store.delete("d/1")

    assert [stat.key for stat in case.store.list("")] == ["d/2"]
    case.store.delete("d/1")
    case.store.delete("never/was")
    case.put("d/1", TWO)
    assert case.store.read_bytes("d/1") == TWO


def test_delete_when_version_is_no_longer_the_newest_then_the_newest_stays(case: Case) -> None:
    first = case.store.replace_if_match("doc", ONE, expected=None)
    case.store.replace_if_match("doc", TWO, expected=first)

    case.store.delete("doc", version=first)
    case.store.delete("doc", version=first)

    assert case.store.read_bytes("doc") == TWO
    with pytest.raises(ObjectMissing):
        case.store.read_bytes("doc", version=first)


def test_versions_when_object_was_replaced_and_deleted_then_the_store_tells_what_it_keeps(case: Case) -> None:
    first = case.store.replace_if_match("doc", ONE, expected=None)
    second = case.store.replace_if_match("doc", TWO, expected=first)
    case.put("doc-2", ONE)
    case.store.delete("doc")

    found = [stat for stat in case.store.list_versions("doc") if stat.key == "doc"]

    if case.store.capabilities.keeps_versions:
        assert [stat.is_delete_marker for stat in found] == [True, False, False]
        assert [stat.version for stat in found[1:]] == [second, first]
        assert case.store.read_bytes("doc", version=first) == ONE
        case.store.delete("doc", version=found[0].version)  # the marker goes, and the object is back
        assert case.store.read_bytes("doc") == TWO
    else:
        assert found == []
        with pytest.raises(ObjectMissing):
            case.store.read_bytes("doc", version=first)


# --- retention --------------------------------------------------------------------------------------------------------


def test_retain_when_object_is_locked_then_it_can_not_be_deleted(case: Case) -> None:
    case.put("open", ONE)
    version = case.store.copy_if_absent("open", "sealed", sha256=sha256(ONE))  # locks on copies are what fails
    assert case.store.retention(version) is None
    if not case.locks:
        with pytest.raises(StoreUnfit, match="Object Lock"):
            case.store.retain_until(version, SOON)
        return

    case.store.retain_until(version, SOON)

    assert case.store.retention(version) == SOON
    for named in (version, None):
        with pytest.raises(Retained):
            case.store.delete("sealed", version=named)
    assert case.store.read_bytes("sealed") == ONE
    case.store.delete("open")


def test_retain_when_asked_again_then_the_lock_only_grows(case: Case) -> None:
    if not case.locks:
        assert case.store.retention(case.put("k", ONE)) is None
        return
    version = case.put("k", ONE)

    for asked, kept in ((SOON, SOON), (SOON - timedelta(minutes=30), SOON), (LATER, LATER), (SOON, LATER)):
        case.store.retain_until(version, asked)
        assert case.store.retention(version) == kept


def test_retain_when_time_has_fractions_or_no_zone_then_it_is_rounded_up_or_refused(case: Case) -> None:
    version = case.put("k", ONE)

    with pytest.raises(ValueError, match="time zone"):
        case.store.retain_until(version, SOON.replace(tzinfo=None))
    if case.locks:
        case.store.retain_until(version, SOON + timedelta(microseconds=1))
        assert case.store.retention(version) == SOON + timedelta(seconds=1)


def test_retain_when_version_is_gone_then_it_is_missing(case: Case) -> None:
    version = case.put("k", ONE)
    case.store.delete("k", version=version)

    with pytest.raises(ObjectMissing if case.locks else StorageError):
        case.store.retain_until(version, SOON)


def test_replace_when_state_is_locked_then_its_bytes_are_never_lost(case: Case) -> None:
    first = case.store.replace_if_match("doc", ONE, expected=None)
    if not case.locks:
        return
    case.store.retain_until(first, SOON)

    if case.store.capabilities.keeps_versions:
        case.store.replace_if_match("doc", TWO, expected=first)
    else:
        with pytest.raises(Retained):
            case.store.replace_if_match("doc", TWO, expected=first)
    assert case.store.read_bytes("doc", version=first) == ONE


# --- rot and repair ---------------------------------------------------------------------------------------------------


def test_read_back_when_bytes_are_whole_then_it_gives_their_sha512(case: Case) -> None:
    version = case.put("k", ONE)

    for named in (None, version):
        found = read_back(case.store, "k", sha256=sha256(ONE), size_bytes=len(ONE), version=named)
        assert found == hashlib.sha512(ONE).hexdigest()


@pytest.mark.parametrize("rotten", [b"first bytez", b"first byte", b"first bytes.", b""])
def test_read_back_when_bytes_have_changed_then_it_is_found(case: Case, rotten: bytes) -> None:
    case.put("k", ONE)
    case.overwrite("k", rotten)

    with pytest.raises(DigestMismatch):
        read_back(case.store, "k", sha256=sha256(ONE), size_bytes=len(ONE))
    with pytest.raises(KeyTaken):  # putting the good bytes again must not pass for success
        case.put("k", ONE)


def test_repair_when_copy_is_bad_then_good_bytes_stand_there_with_the_old_lock(case: Case) -> None:
    version = case.put("k", ONE)
    if case.locks:
        case.store.retain_until(version, SOON)
    case.overwrite("k", b"rotten byte")

    repaired = case.store.repair("k", io.BytesIO(ONE), sha256=sha256(ONE), size_bytes=len(ONE))

    read_back(case.store, "k", sha256=sha256(ONE), size_bytes=len(ONE), version=repaired)
    assert case.store.stat("k").version == repaired
    assert case.store.retention(repaired) == (SOON if case.locks else None)


def test_repair_when_copy_is_good_then_it_is_left_alone(case: Case) -> None:
    version = case.put("k", ONE)

    assert case.store.repair("k", io.BytesIO(ONE), sha256=sha256(ONE), size_bytes=len(ONE)) == version
    assert len(list(case.store.list_versions("k"))) == 1


def test_repair_when_object_was_deleted_then_it_is_back(case: Case) -> None:
    case.put("k", ONE)
    case.store.delete("k")

    case.store.repair("k", io.BytesIO(ONE), sha256=sha256(ONE), size_bytes=len(ONE))

    assert case.store.read_bytes("k") == ONE


def test_repair_when_bytes_offered_are_not_the_announced_ones_then_nothing_changes(case: Case) -> None:
    case.put("k", ONE)
    case.overwrite("k", b"rotten byte")

    with pytest.raises(DigestMismatch):
        case.store.repair("k", io.BytesIO(TWO), sha256=sha256(ONE), size_bytes=len(ONE))
    assert case.store.read_bytes("k") == b"rotten byte"


# --- what the store says of itself ------------------------------------------------------------------------------------


def test_self_test_when_store_is_honest_then_it_passes_and_moto_is_found_out(
    case: Case,
) -> None:
    if case.kind.endswith("s3-moto"):
        with pytest.raises(StoreUnfit, match="wrong checksum"):  # moto stores bytes whose SHA-256 is wrong
            case.store.self_test()
    else:
        case.store.self_test()
    assert list(case.store.list("")) == []


def test_capabilities_when_asked_then_they_are_what_the_tests_found(case: Case) -> None:
    on_disk, is_pair = case.kind in ("filesystem", "mirrored"), case.kind.startswith("mirrored")
    capabilities = case.store.capabilities

    assert capabilities.name == ("filesystem" if on_disk else "s3") + (" and filesystem" if is_pair else "")
    assert capabilities.durable_on_return is on_disk
    assert capabilities.keeps_versions is case.kind.endswith("lock")
    assert capabilities.locks_versions is (case.kind.endswith("lock") and not is_pair)  # a disk enforces nothing
    assert (capabilities.links_from is not None) is on_disk
