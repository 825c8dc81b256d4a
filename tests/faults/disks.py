"""Disks of a test's own: one whose power can be cut, and one that is soon full. Both need root."""

import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

_SHUTDOWN: Final = 0x8004_587D  # EXT4_IOC_SHUTDOWN of <linux/ext4.h>
_WITHOUT_FLUSH: Final = struct.pack("I", 2)


def cut_power(mounted: Path) -> None:
    """Cut the power of the disk mounted there: what is not on it now never will be."""
    descriptor = os.open(mounted, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, _SHUTDOWN, _WITHOUT_FLUSH)
    finally:
        os.close(descriptor)


class Disk:
    """A disk whose power can be cut: a file with an ext4 in it, mounted through a loop device.

    Parameters
    ----------
    work
        Folder of the file and of the mount point.
    size_bytes
        Of the disk; the file is sparse.
    """

    def __init__(self, work: Path, *, size_bytes: int) -> None:
        self._image = work / "disk.img"
        self._size_bytes = size_bytes
        self.mounted = work / "disk"
        self.mounted.mkdir(exist_ok=True)

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """Make it anew and mount it until the block ends."""
        self._image.unlink(missing_ok=True)
        with self._image.open("wb") as stream:
            stream.truncate(self._size_bytes)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self._image)], check=True, capture_output=True)
        self._mount()
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", str(self.mounted)], check=False)
            self._image.unlink(missing_ok=True)

    def settle(self) -> None:
        """Write back what the start of a server left: nobody's folders are new on the day of a power cut."""
        subprocess.run(["sync", "--file-system", str(self.mounted)], check=True)

    def cut(self) -> None:
        """Cut the power; see `cut_power`."""
        cut_power(self.mounted)

    def power_up(self) -> None:
        """Mount it again, as after a power cut; nobody may use it any more."""
        for _ in range(100):
            if subprocess.run(["umount", str(self.mounted)], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
        self._mount()

    def _mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", str(self._image), str(self.mounted)], check=True, capture_output=True)


@cache
def why_no_power_cut() -> str:
    """Return why this machine can't cut the power of a disk; empty if it can."""
    if os.geteuid() != 0:
        return "only root can mount a disk whose power is cut"
    if shutil.which("mkfs.ext4") is None:
        return "mkfs.ext4 is not installed"
    with tempfile.TemporaryDirectory() as folder:
        disk = Disk(Path(folder), size_bytes=16 << 20)
        try:
            with disk.fresh():
                (disk.mounted / "written").write_bytes(b"x")
                disk.cut()
                disk.power_up()
        except (OSError, subprocess.CalledProcessError) as error:
            return f"this machine mounts no disk whose power can be cut: {error}"
    return ""


@contextmanager
def small_disk(root: Path, size_bytes: int) -> Iterator[None]:
    """Put a disk of so many bytes, in memory, under a folder until the block ends."""
    root.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(root)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(root)], check=True)
