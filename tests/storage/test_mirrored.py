"""Two stores as one: which of them decides, what happens while one is away, and how they come together again."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from storage.base import ObjectStore
from storage.errors import KeyTaken, ObjectMissing, StoreFull, StoreUnavailable
from storage.filesystem import FilesystemStore
from storage.mirrored import Behind, CatchingUp, Difference, MirroredStore, Second
from storage.mirrored.catching_up import differences
from storage.reading import replicas_of
from tests.conformance.object_stores import put, sha256

ONE, TWO = b"first bytes", b"other bytes"
LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)


class Switch:
    """A store that can be switched off; what was asked of it is counted."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.error: Exception | None = None
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return getattr(self.store, name)


class Rig:
    """A pair on disk whose stores can be switched off."""

    def __init__(self, folder: Path) -> None:
        self.first_files = FilesystemStore(folder / "first")
        self.second_files = FilesystemStore(folder / "second")
        self.first, self.second = Switch(self.first_files), Switch(self.second_files)
        self.now = 0.0
        self.behind = Behind(self.first_files, "behind/pair/")
        self.pair = MirroredStore(
            cast(ObjectStore, self.first),
            Second(lambda: cast(ObjectStore, self.second), monotonic=lambda: self.now),
            behind=self.behind,
        )
        self.catching_up = CatchingUp(
            self.pair, is_replaced=lambda key: key.startswith("site/"), named_sha256=lambda _: None
        )

    def away(self) -> None:
        """Switch the second store off."""
        self.second.error = StoreUnavailable("switched off")

    def back(self) -> None:
        """Switch it on again, after the pause in which it is not asked."""
        self.second.error = None
        self.now += 31

    def same(self) -> bool:
        """Whether both stores hold the same under the same keys."""
        held = [
            {stat.key: store.read_bytes(stat.key) for stat in store.list("") if not stat.key.startswith("behind/")}
            for store in (self.first_files, self.second_files)
        ]
        return held[0] == held[1]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_put_then_both_hold_the_bytes_as_files_of_their_own(rig: Rig, tmp_path: Path) -> None:
    put(rig.pair, "one", ONE)
    path = tmp_path / "spooled"
    path.write_bytes(TWO)
    rig.pair.link_if_absent(path, "linked", sha256=sha256(TWO), size_bytes=len(TWO))
    rig.pair.copy_if_absent("one", "copied", sha256=sha256(ONE))

    assert rig.same()
    for key in ("one", "linked", "copied"):  # two names of one file would rot together
        assert not (rig.first_files.root / key).samefile(rig.second_files.root / key)
    assert replicas_of(rig.pair) == (rig.pair.first, rig.second)
    assert rig.behind.count() == 0


def test_writes_while_the_second_is_away_then_they_go_on_and_are_caught_up_with(rig: Rig) -> None:
    put(rig.pair, "kept", ONE)
    put(rig.pair, "gone", ONE)
    rig.pair.replace_if_match("site/doc", ONE, expected=None)
    rig.away()
    version = put(rig.pair, "new", TWO)
    rig.pair.retain_until(version, LATER)
    rig.pair.replace_if_match("site/doc", TWO, expected=rig.pair.stat("site/doc").version)
    rig.pair.delete("gone")
    rig.pair.copy_if_absent("kept", "copied", sha256=sha256(ONE))

    assert not rig.same()
    assert rig.behind.count() == 4
    assert rig.catching_up.notes() == 0

    rig.back()
    assert rig.catching_up.notes() == 4
    assert rig.same()
    assert rig.behind.count() == 0
    assert rig.second_files.retention(rig.second_files.stat("new").version) == LATER


def test_second_when_it_is_away_then_it_is_not_asked_for_every_write(rig: Rig) -> None:
    put(rig.pair, "one", ONE)
    rig.away()
    put(rig.pair, "two", ONE)
    asked = rig.second.asked
    for number in range(5):
        put(rig.pair, f"more/{number}", ONE)

    assert rig.second.asked == asked
    assert rig.behind.count() == 6
    assert rig.pair.replicas == (rig.pair.first,)


def test_second_when_it_is_full_then_writing_goes_on(rig: Rig) -> None:
    rig.second.error = StoreFull("no room")

    put(rig.pair, "one", ONE)

    assert rig.pair.read_bytes("one") == ONE
    assert [note.key for note in rig.behind.all()] == ["one"]


def test_first_when_it_is_away_then_nothing_is_stored_anywhere(rig: Rig) -> None:
    rig.first.error = StoreUnavailable("switched off")

    with pytest.raises(StoreUnavailable):
        put(rig.pair, "one", ONE)
    with pytest.raises(StoreUnavailable):
        rig.pair.replace_if_match("one", ONE, expected=None)
    assert list(rig.second_files.list("")) == []


def test_first_when_it_is_away_then_its_answer_is_not_taken_from_the_second(rig: Rig) -> None:
    put(rig.pair, "one", ONE)
    rig.first.error = StoreUnavailable("500")

    with pytest.raises(StoreUnavailable):
        rig.pair.read_bytes("one")


def test_object_when_lost_from_the_first_then_the_second_gives_it(rig: Rig) -> None:
    put(rig.pair, "one", ONE)
    (rig.first_files.root / "one").unlink()

    assert rig.pair.read_bytes("one") == ONE
    assert rig.pair.stat("one").size_bytes == len(ONE)


def test_object_when_deleted_while_the_second_was_away_then_it_does_not_come_back(rig: Rig) -> None:
    put(rig.pair, "one", ONE)
    rig.away()
    rig.pair.delete("one")
    rig.back()

    with pytest.raises(ObjectMissing):
        rig.pair.read_bytes("one")
    assert list(rig.catching_up.lists()) == []
    rig.catching_up.notes()
    assert list(rig.second_files.list("")) == []


def test_put_when_the_second_holds_other_bytes_then_the_first_decides_and_it_is_noted(rig: Rig) -> None:
    put(rig.second_files, "one", TWO)

    put(rig.pair, "one", ONE)

    assert rig.pair.read_bytes("one") == ONE
    assert [(note.key, note.sha256) for note in rig.behind.all()] == [("one", sha256(ONE))]
    rig.catching_up.notes()
    assert rig.second_files.read_bytes("one") == ONE
    with pytest.raises(KeyTaken):
        put(rig.pair, "one", TWO)


def test_catching_up_when_the_first_has_rotten_meanwhile_then_rot_is_not_copied(rig: Rig) -> None:
    rig.away()
    put(rig.pair, "one", ONE)
    path = rig.first_files.root / "one"
    path.chmod(0o600)
    path.write_bytes(b"first bytez")
    rig.back()

    assert rig.catching_up.notes() == 0
    assert list(rig.second_files.list("")) == []
    assert rig.behind.count() == 1


def test_lists_when_a_crash_came_between_then_what_the_second_lacks_is_copied(rig: Rig) -> None:
    put(rig.pair, "both", ONE)
    put(rig.first_files, "a-b/only-first", ONE)
    put(rig.first_files, "a/only-first", ONE)
    rig.first_files.replace_if_match("site/doc", b"longer than before", expected=None)
    put(rig.second_files, "site/doc", ONE)

    assert list(rig.catching_up.lists()) == []
    assert rig.same()


def test_lists_when_a_copy_is_lost_or_cut_then_it_is_told_and_nothing_is_overwritten(rig: Rig) -> None:
    put(rig.pair, "cut", ONE)
    put(rig.pair, "lost", ONE)
    path = rig.second_files.root / "cut"
    path.chmod(0o600)
    path.write_bytes(ONE[:-1])
    (rig.first_files.root / "lost").unlink()

    found = list(rig.catching_up.lists())

    assert found == [Difference(key="cut", what="lengths"), Difference(key="lost", what="first-lacks")]
    assert rig.second_files.read_bytes("cut") == ONE[:-1]


def test_differences_when_much_is_held_then_each_is_told_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.mirrored.catching_up._HELD", 3)
    for number in range(12):
        store = (rig.first_files, rig.second_files)[number % 4 == 0]
        put(store, f"k/{number:02d}", ONE)
    put(rig.pair, "k/99", ONE)

    found = sorted((one.key, one.what) for one in differences(rig.first_files, rig.second_files))

    assert found == [(f"k/{number:02d}", "first-lacks" if number % 4 == 0 else "second-lacks") for number in range(12)]


def test_note_when_written_then_it_is_one_small_document_for_each_key(rig: Rig) -> None:
    for _ in range(2):
        rig.behind.note("some/key", sha256="ab" * 32)

    (stat,) = rig.first_files.list("behind/")
    told = json.loads(rig.first_files.read_bytes(stat.key))
    assert told == {"format": "lastgate/behind/1", "key": "some/key", "sha256": "ab" * 32}
    assert rig.pair.is_behind("some/key")
    rig.behind.forget("some/key")
    assert not rig.pair.is_behind("some/key")


def test_second_when_its_disk_is_not_mounted_then_it_is_opened_once_it_is(tmp_path: Path) -> None:
    now, first = [0.0], FilesystemStore(tmp_path / "first")
    second = Second(lambda: FilesystemStore(tmp_path / "second", must_exist=True), monotonic=lambda: now[0])
    pair = MirroredStore(first, second, behind=Behind(first, "behind/pair/"))
    put(pair, "one", ONE)
    assert pair.replicas == (first,)
    assert pair.capabilities.name == "filesystem and a second store that is away"

    FilesystemStore(tmp_path / "second")
    put(pair, "two", ONE)
    assert second.peek() is None
    now[0] = 31
    assert second.peek() is not None
