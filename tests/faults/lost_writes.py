"""A disk that loses what was not synced, modelled in one process: for machines that can't cut the power of a real one.

POSIX promises no more than this: the bytes of a file are on the disk after its
fsync, a name after the fsync of its folder. Whatever else differs between what
was synced and what stands now may be there after a power cut, or not, or torn,
in any order. SQLite syncs below Python: its files must lie elsewhere.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from unittest import mock


class PowerGone(BaseException):
    """The power went; no code of ours may catch it."""


class Lossy:
    """Watches what is synced below a folder, and makes of it what a power cut may leave.

    Parameters
    ----------
    root
        The folder; its own name is on the disk already.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._bytes: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._kinds: dict[int, int] = {}
        self._held: list[int] = []  # descriptors that keep inode numbers from being given to others
        self.syncs = 0
        self._ends_at: int | None = None

    @contextmanager
    def watching(self, *, ends_at: int | None = None) -> Iterator[None]:
        """Watch this process's syncs within the block; with `ends_at` the power goes before that one (0-based)."""
        self._ends_at = ends_at
        with (
            mock.patch.object(os, "fsync", self._watched(os.fsync)),
            mock.patch.object(os, "fdatasync", self._watched(os.fdatasync)),
        ):
            try:
                yield
            except PowerGone:
                if ends_at is None:
                    raise

    def close(self) -> None:
        """Let go of what was watched."""
        while self._held:
            os.close(self._held.pop())

    def leave(self, into: Path, chance: Random) -> None:
        """Write what is on the disk after the power cut into an empty folder; chance decides what nobody promised."""
        self._leave_folder(self._root.stat().st_ino, self._root, into, chance)

    def _watched(self, sync: Callable[[int], None]) -> Callable[[int], None]:
        def watched(descriptor: int) -> None:
            if self.syncs == self._ends_at:
                raise PowerGone
            self.syncs += 1
            sync(descriptor)
            self._note(descriptor)

        return watched

    def _note(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        self._held.append(os.dup(descriptor))
        self._kinds[found.st_ino] = found.st_mode
        if stat.S_ISDIR(found.st_mode):
            folder = Path(f"/proc/self/fd/{descriptor}").readlink()
            self._names[found.st_ino] = {path.name: self._seen(path) for path in folder.iterdir()}
        else:
            self._bytes[found.st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()

    def _seen(self, path: Path) -> int:
        """Return the inode of a name, kept from being given to another."""
        self._held.append(os.open(path, os.O_RDONLY | os.O_NOFOLLOW))
        found = os.fstat(self._held[-1])
        self._kinds[found.st_ino] = found.st_mode
        return found.st_ino

    def _leave_folder(self, inode: int, now: Path | None, into: Path, chance: Random) -> None:
        into.mkdir(exist_ok=True)
        synced = self._names.get(inode, {})
        standing = {path.name: path for path in now.iterdir()} if now is not None and now.is_dir() else {}
        for name in sorted(synced.keys() | standing.keys()):
            path = standing.get(name)
            was, stands = synced.get(name), path.lstat().st_ino if path is not None else None
            left = was if was == stands else chance.choice((was, stands))
            if left is not None:
                self._leave(left, path if left == stands else None, into / name, chance)

    def _leave(self, inode: int, now: Path | None, into: Path, chance: Random) -> None:
        mode = now.lstat().st_mode if now is not None else self._kinds[inode]
        if stat.S_ISDIR(mode):
            self._leave_folder(inode, now, into, chance)
        else:
            standing = now.read_bytes() if now is not None else None
            into.write_bytes(self._content(self._bytes.get(inode), standing, chance))

    def _content(self, synced: bytes | None, standing: bytes | None, chance: Random) -> bytes:
        """Return the bytes of a file: those that were synced, or anything between them and what stands."""
        if synced is not None and standing in (None, synced):
            return synced
        body = standing or b""
        torn = body[: chance.randrange(len(body) + 1)]
        return chance.choice((synced or b"", torn, bytes(len(body)), body))
