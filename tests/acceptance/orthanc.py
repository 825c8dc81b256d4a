"""Orthanc as the other side: a server with its REST interface, and Lastgate among its modalities."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance.serving import AET, Served, eventually, free_ports, listens

PROGRAM = Path("/usr/sbin/Orthanc")
TITLE = "ORTHANC"
_MODALITY = "lastgate"
_STOP_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Orthanc:
    """A running Orthanc.

    Parameters
    ----------
    http_port
        Of its REST interface.
    """

    http_port: int

    def get(self, path: str) -> Any:
        """Return what it answers."""
        return json.loads(self._ask(path))

    def file(self, instance: str) -> bytes:
        """Return the file of an instance as it is stored."""
        return self._ask(f"/instances/{instance}/file")

    def post(self, path: str, body: object) -> Any:
        """Return what it answers to a body in JSON, or to bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return json.loads(self._ask(path, data=data, method="POST") or b"null")

    def delete(self, path: str) -> None:
        """Delete a resource."""
        self._ask(path, method="DELETE")

    def take(self, paths: Sequence[Path]) -> list[str]:
        """Upload files and return their ids."""
        return [self.post("/instances", path.read_bytes())["ID"] for path in paths]

    def modality(self, command: str, body: object) -> Any:
        """Let it do something with Lastgate over DICOM."""
        return self.post(f"/modalities/{_MODALITY}/{command}", body)

    def _ask(self, path: str, *, data: bytes | None = None, method: str = "GET") -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            body = answer.read()
        assert isinstance(body, bytes)
        return body


@contextmanager
def running(folder: Path, served: Served) -> Iterator[Orthanc]:
    """Run an Orthanc that knows Lastgate and is known by it."""
    (http_port,) = free_ports(1)
    configuration = {
        "Name": "peer",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": TITLE,
        "DicomPort": served.peers[TITLE],
        "DicomModalities": {
            _MODALITY: {"AET": AET, "Host": "127.0.0.1", "Port": served.port, "AllowStorageCommitment": True}
        },
        "OverwriteInstances": True,
        "Plugins": [],
    }
    settings = folder / "orthanc.json"
    settings.write_text(json.dumps(configuration))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([str(PROGRAM), str(settings)], stdout=log, stderr=log)
        try:
            eventually(lambda: listens(http_port) and listens(served.peers[TITLE]), what="Orthanc listens")
            yield Orthanc(http_port=http_port)
        finally:
            process.terminate()
            process.wait(timeout=_STOP_S)
