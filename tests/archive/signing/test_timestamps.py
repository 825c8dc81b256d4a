"""Time-stamps over a seal: from an authority of ours made with OpenSSL, which is also the judge."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from archive.errors import StampMissing
from archive.signing.timestamps import TimeStamps, stamped_at
from archive.vault.vault import Vault
from tests.archive.house import FILE_MANAGER, SmallHouse
from tests.archive.stores import flip
from tests.archive.vault.test_vault import object_path, problems

BODY = b'{"seal": "of a dossier"}\n'
_CONFIG = """
[tsa]
default_tsa = ours
[ours]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ordering = yes
tsa_name = yes
"""
_EXTENSIONS = "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n"


@dataclass(kw_only=True)
class Authority:
    """A time-stamping authority on the loopback."""

    folder: Path
    url: str = ""
    spoil: Callable[[bytes], bytes] = field(default=lambda answer: answer)
    asked: int = 0

    @property
    def pem(self) -> bytes:
        """Its root certificate."""
        return (self.folder / "ca.pem").read_bytes()

    def answer(self, query: bytes) -> bytes:
        """Stamp what is asked, with OpenSSL."""
        self.asked += 1
        asked, answered = self.folder / f"{self.asked}.tsq", self.folder / f"{self.asked}.tsr"
        asked.write_bytes(query)
        run(
            "ts",
            "-reply",
            "-config",
            self.folder / "tsa.cnf",
            "-section",
            "ours",
            "-queryfile",
            asked,
            "-out",
            answered,
        )
        return self.spoil(answered.read_bytes())

    def verifies(self, body: bytes, token: bytes) -> bool:
        """Return whether OpenSSL finds that `token` is a stamp of `body`."""
        (self.folder / "body").write_bytes(body)
        (self.folder / "token").write_bytes(token)
        files = ("-data", self.folder / "body", "-in", self.folder / "token", "-CAfile", self.folder / "ca.pem")
        return subprocess.run(["openssl", "ts", "-verify", *files], capture_output=True, timeout=60).returncode == 0


def run(*command: str | Path) -> None:
    subprocess.run(["openssl", *command], check=True, capture_output=True, timeout=60)


def certified(folder: Path) -> Authority:
    """Make a root and an authority under it."""
    for name in ("ca", "tsa"):
        run("ecparam", "-genkey", "-noout", "-name", "prime256v1", "-out", folder / f"{name}.key")
    root = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign")
    subject = ("-subj", "/CN=Test root", "-days", "3650")
    run("req", "-x509", "-new", "-key", folder / "ca.key", *subject, *root, "-out", folder / "ca.pem")
    run("req", "-new", "-key", folder / "tsa.key", "-subj", "/CN=Test authority", "-out", folder / "tsa.csr")
    (folder / "extensions").write_text(_EXTENSIONS)
    by = ("-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "365")
    made = ("-extfile", folder / "extensions", "-out", folder / "tsa.pem")
    run("x509", "-req", "-in", folder / "tsa.csr", *by, *made)
    (folder / "tsa.cnf").write_text(_CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    return Authority(folder=folder)


@contextmanager
def listening(authority: Authority) -> Iterator[Authority]:
    """Answer over HTTP while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = authority.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    authority.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield authority
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return certified(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def authority(made: Authority) -> Iterator[Authority]:
    with listening(made):
        yield made
    made.spoil = lambda answer: answer


def stamps(authority: Authority, *, is_required: bool = False, url: str | None = None) -> TimeStamps:
    return TimeStamps(url=authority.url if url is None else url, authority=authority.pem, is_required=is_required)


def test_stamp_then_openssl_verifies_it_and_it_tells_the_time(authority: Authority) -> None:
    stamp = stamps(authority).stamp(BODY)

    assert stamp.problem == ""
    assert authority.verifies(BODY, stamp.token)
    assert not authority.verifies(BODY + b" ", stamp.token)
    assert abs(stamped_at(stamp.token) - datetime.now(UTC)) < timedelta(minutes=5)
    assert stamps(authority).problem(BODY, stamp.token) is None
    assert stamps(authority).problem(BODY + b" ", stamp.token) is not None


def test_problem_when_a_byte_of_the_token_is_changed_then_it_never_proves_another_time(authority: Authority) -> None:
    """What it tells is signed; a few bytes around that are not, and change nothing of it."""
    token = stamps(authority).stamp(BODY).token
    asked, unseen = stamps(authority), 0

    for at in range(0, len(token), 13):
        changed = bytearray(token)
        changed[at] ^= 1
        if asked.problem(BODY, bytes(changed)) is None:
            assert stamped_at(bytes(changed)) == stamped_at(token), at
            unseen += 1
    assert unseen < 5
    assert asked.problem(BODY, b"") is not None


def test_problem_when_another_root_signed_it_then_it_is_noticed(authority: Authority, tmp_path: Path) -> None:
    token = stamps(authority).stamp(BODY).token

    assert stamps(certified(tmp_path)).problem(BODY, token) is not None


@pytest.mark.parametrize("spoil", [lambda answer: answer[:-1], lambda _: b"", lambda _: b"<html>", None])
def test_stamp_when_the_answer_is_none_then_the_problem_is_told(
    authority: Authority, spoil: Callable[[bytes], bytes] | None
) -> None:
    if spoil is None:  # a good stamp of an earlier question
        earlier = stamps(authority).stamp(BODY).token
        authority.spoil = lambda _: earlier
    else:
        authority.spoil = spoil

    stamp = stamps(authority).stamp(BODY)

    assert stamp.token == b""
    assert stamp.problem
    with pytest.raises(StampMissing):
        stamps(authority, is_required=True).stamp(BODY)


def test_stamp_when_the_authority_is_away_then_the_problem_is_told(made: Authority) -> None:
    away = "http://127.0.0.1:1/"

    assert "refused" in stamps(made, url=away).stamp(BODY).problem
    with pytest.raises(StampMissing, match="gave no stamp"):
        stamps(made, url=away, is_required=True).stamp(BODY)


@pytest.mark.parametrize("pem", [b"", b"nothing"])
def test_stamps_without_a_root_then_they_can_not_be_checked(pem: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        TimeStamps(url="", authority=pem)


def test_stamps_with_the_authority_but_not_its_root_then_they_can_not_be_checked(made: Authority) -> None:
    with pytest.raises(ValueError, match="no root certificate"):
        TimeStamps(url="", authority=(made.folder / "tsa.pem").read_bytes())


def stamping(folder: Path, asked: TimeStamps) -> SmallHouse:
    """Return a house whose seals are stamped."""
    house = SmallHouse(folder)
    house.vault = Vault(work=house.work, locked=house.locked, stamps=asked)
    object.__setattr__(house.desk, "vault", house.vault)
    return house


def test_seal_with_an_authority_then_the_stamp_lies_in_the_version_and_covers_its_seal(
    authority: Authority, tmp_path: Path
) -> None:
    house = stamping(tmp_path, stamps(authority))
    _, dossier = house.sealed()
    content = object_path(house, dossier) / "v1" / "content"

    assert authority.verifies((content / "seal.json").read_bytes(), (content / "seal.tsr").read_bytes())
    assert problems(house, dossier) == []
    house.journal.flush()
    (sealed,) = [event for event in house.journal.events() if event["act"] == "seal"]
    assert "no_timestamp" not in sealed["subject"]


def test_check_when_the_stamp_is_that_of_another_seal_then_it_is_told(authority: Authority, tmp_path: Path) -> None:
    house = stamping(tmp_path, stamps(authority))
    _, dossier = house.sealed()
    other = certified_token(authority, b"another seal")
    path = object_path(house, dossier) / "v1" / "content" / "seal.tsr"
    path.chmod(0o600)
    path.write_bytes(other)

    assert any("no stamp of its seal" in problem for problem in problems(house, dossier))
    flip(house.locked_files, str(path.relative_to(house.locked_files.root)), at=9)
    assert len(problems(house, dossier)) >= 2


def certified_token(authority: Authority, body: bytes) -> bytes:
    return stamps(authority).stamp(body).token


def test_seal_when_the_authority_is_away_then_it_is_sealed_and_the_journal_says_so(
    made: Authority, tmp_path: Path
) -> None:
    house = stamping(tmp_path, stamps(made, url="http://127.0.0.1:1/"))
    _, dossier = house.sealed()

    assert not (object_path(house, dossier) / "v1" / "content" / "seal.tsr").exists()
    assert problems(house, dossier) == []
    house.journal.flush()
    (sealed,) = [event for event in house.journal.events() if event["act"] == "seal"]
    assert "refused" in sealed["subject"]["no_timestamp"]


def test_seal_when_a_stamp_is_required_and_the_authority_is_away_then_nothing_is_begun(
    made: Authority, tmp_path: Path
) -> None:
    house = stamping(tmp_path, stamps(made, url="http://127.0.0.1:1/", is_required=True))
    key, dossier = house.ready()

    with pytest.raises(StampMissing):
        house.desk.seal(key, dossier.id, account=FILE_MANAGER)
    assert list(house.vault.begun(dossier.id)) == []
