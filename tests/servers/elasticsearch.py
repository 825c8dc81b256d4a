"""A real Elasticsearch for tests: one node on the loopback, unpacked into a folder of its own."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

VERSION: Final = "8.19.21"
ARCHIVE: Final = Path(__file__).parents[2] / ".tools" / f"elasticsearch-{VERSION}.zip"
"""Where ``install-elasticsearch.sh`` puts it."""

_START_TIMEOUT_S: Final = 240.0
_STOP_TIMEOUT_S: Final = 30.0
_CONFIG: Final = """\
cluster.name: lastgate-tests
node.name: one
path.data: {home}/data
path.logs: {home}/logs
network.host: 127.0.0.1
http.port: {http_port}
transport.port: {transport_port}
discovery.type: single-node
action.auto_create_index: false
action.destructive_requires_name: true
cluster.routing.allocation.disk.threshold_enabled: false
xpack.ml.enabled: false
xpack.security.enabled: false
"""
_JVM: Final = "-Xms512m\n-Xmx512m\n-XX:TieredStopAtLevel=1\n"  # tests are short: compile quickly rather than well


class ServerFailed(Exception):
    """The server did not come up; the message holds the end of its log."""


@contextmanager
def running(archive: Path = ARCHIVE) -> Iterator[str]:
    """Run a server and yield its URL; afterwards its processes and files are gone.

    It refuses to run as root, so root lends it the account ``nobody``.

    Raises
    ------
    ServerFailed
        If it does not answer in four minutes.
    """
    with tempfile.TemporaryDirectory(prefix="lastgate-es-", ignore_cleanup_errors=True) as folder:
        home = _unpack(archive, Path(folder))
        http_port, transport_port = _free_ports(2)
        _configure(home, http_port, transport_port)
        url = f"http://127.0.0.1:{http_port}"
        process = _start(home)
        try:
            _wait_until_ready(url, process, home)
            yield url
        finally:
            _stop(process)


def _unpack(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    (home,) = folder.iterdir()
    for program in (home / "bin").iterdir():
        program.chmod(0o755)
    return home


def _configure(home: Path, http_port: int, transport_port: int) -> None:
    settings = _CONFIG.format(home=home, http_port=http_port, transport_port=transport_port)
    (home / "config" / "elasticsearch.yml").write_text(settings)
    (home / "config" / "jvm.options.d" / "tests.options").write_text(_JVM)
    (home / "tmp").mkdir()
    if os.geteuid() == 0:
        account = pwd.getpwnam("nobody")
        home.parent.chmod(0o755)
        for path in (home, *home.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid)


def _start(home: Path) -> subprocess.Popen[bytes]:
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    with (home / "out.txt").open("wb") as out:
        return subprocess.Popen(
            [str(home / "bin" / "elasticsearch")],
            cwd=home,
            env={"PATH": os.defpath, "HOME": str(home), "ES_TMPDIR": str(home / "tmp"), "ES_JAVA_HOME": _java_home()},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own: launcher and server stop together
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )


def _java_home() -> str:
    known = os.environ.get("ES_JAVA_HOME") or os.environ.get("JAVA_HOME")
    java = shutil.which("java")
    if known:
        return known
    if java is None:
        raise ServerFailed("Java is missing: install a runtime of version 17 or later.")
    return str(Path(java).resolve().parents[1])


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], home: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        if _is_healthy(url):
            return
        time.sleep(0.25)
    said = (home / "out.txt").read_text(errors="replace")[-3000:]
    raise ServerFailed(f"Elasticsearch did not come up (exit code {process.poll()}):\n{said}")


def _is_healthy(url: str) -> bool:
    # GET / is not there: this distribution lacks the module for it
    try:
        with urllib.request.urlopen(f"{url}/_cluster/health", timeout=5) as answer:
            return json.load(answer)["status"] in ("yellow", "green")
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)  # the session leader's id is its group's
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            continue
