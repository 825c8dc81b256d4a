"""The servers whose word is compared with ours when they are killed: Orthanc and DCMTK's."""

import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.hostile.crash import SERIES, STUDY, Fate, Subject, free_port, is_sound, started

ORTHANC: Final = "/usr/sbin/Orthanc"
# pynetdicom puts scripts of the same names into the virtual environment: always by full path.
STORESCP: Final = "/usr/bin/storescp"
DCMQRSCP: Final = "/usr/bin/dcmqrscp"
FINDSCU: Final = "/usr/bin/findscu"
_NO_DELAY: Final = {"TCP_NODELAY": "1"}
"""DCMTK's programs, Orthanc among them, answer at once with it: more is acknowledged before the blow."""
_UID = re.compile(r"\(0008,0018\) UI \[([0-9.]+)")


class Orthanc:
    """Orthanc as shipped, which syncs its files and not its index."""

    name = "Orthanc"
    called = "ORTHANC"

    def start(self, folder: Path, port: int) -> "subprocess.Popen[bytes]":
        """Start it with its own database; it answers over HTTP on a port of its own."""
        self._http = free_port()
        configuration = {
            "StorageDirectory": str(folder / "db"),
            "IndexDirectory": str(folder / "db"),
            "HttpPort": self._http,
            "RemoteAccessAllowed": False,
            "DicomAet": self.called,
            "DicomPort": port,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowEcho": True,
            "Plugins": [],
        }
        settings = folder.parent / "orthanc.json"
        settings.write_text(json.dumps(configuration))
        return started([ORTHANC, str(settings)], folder, {**os.environ, **_NO_DELAY})

    def fates(self, folder: Path) -> Fate:
        """Ask it which instances it has, and for the file of each."""
        known = {one["MainDicomTags"]["SOPInstanceUID"]: one["ID"] for one in self._get_json("instances?expand")}
        read = folder.parent / "read.dcm"

        def fate(instance: str, _digest: str) -> str:
            if instance not in known:
                return "missing"
            try:
                read.write_bytes(self._get(f"instances/{known[instance]}/file"))
            except OSError:
                return "unreadable"
            return "kept" if is_sound(read) == instance else "unreadable"

        return fate

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http}/{path}", timeout=60) as answer:
            return bytes(answer.read())

    def _get_json(self, path: str) -> list[dict[str, dict[str, str]]]:
        return list(json.loads(self._get(path)))


class Storescp:
    """DCMTK's storescp, which writes files and nothing else."""

    name = "storescp"
    called = "STORESCP"

    def start(self, folder: Path, port: int) -> "subprocess.Popen[bytes]":
        """Start it with a process for each association."""
        return started([STORESCP, "--fork", "-od", str(folder), str(port)], folder, {**os.environ, **_NO_DELAY})

    def fates(self, folder: Path) -> Fate:
        """Read all its files."""
        return _by_files(dict(_files(folder)))


class Dcmqrscp:
    """DCMTK's dcmqrscp, which keeps an index."""

    name = "dcmqrscp"
    called = "QRSCP"

    def start(self, folder: Path, port: int) -> "subprocess.Popen[bytes]":
        """Start it with one storage area."""
        self._port = port
        (folder / "area").mkdir(exist_ok=True)
        lines = [
            f"NetworkTCPPort = {port}",
            "MaxPDUSize = 16384",
            "MaxAssociations = 32",
            "HostTable BEGIN",
            "HostTable END",
            "VendorTable BEGIN",
            "VendorTable END",
            "AETable BEGIN",
            f"{self.called} {folder / 'area'} RW (500, 1024mb) ANY",
            "AETable END",
        ]
        settings = folder.parent / "dcmqrscp.cfg"
        settings.write_text("\n".join(lines) + "\n")
        return started([DCMQRSCP, "-c", str(settings)], folder, {**os.environ, **_NO_DELAY})

    def fates(self, folder: Path) -> Fate:
        """Ask it what it finds, and read those files."""
        keys = [
            "QueryRetrieveLevel=IMAGE",
            f"StudyInstanceUID={STUDY}",
            f"SeriesInstanceUID={SERIES}",
            "SOPInstanceUID",
        ]
        query = [
            FINDSCU,
            "-S",
            "-v",
            "-aec",
            self.called,
            *(part for key in keys for part in ("-k", key)),
            "127.0.0.1",
            str(self._port),
        ]
        answered = subprocess.run(query, capture_output=True, text=True, check=True, env={**os.environ, **_NO_DELAY})
        found = set(_UID.findall(answered.stdout + answered.stderr))
        return _by_files({uid: sound for uid, sound in _files(folder / "area") if uid in found})


def _files(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield the SOP Instance UIDs of files, by content, else by name, and whether they are sound."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("index"):
            uid = is_sound(path)
            yield uid or path.name.partition(".")[2].removesuffix(".dcm"), bool(uid)


def _by_files(sound: Mapping[str, bool]) -> Fate:
    def fate(instance: str, _digest: str) -> str:
        if instance not in sound:
            return "missing"
        return "kept" if sound[instance] else "unreadable"

    return fate


PEERS: Final[dict[str, Subject]] = {"orthanc": Orthanc(), "storescp": Storescp(), "dcmqrscp": Dcmqrscp()}
