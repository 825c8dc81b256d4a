"""What the S3 store makes of servers and networks that fail: never "missing", never a wrong success."""

import io
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

import pytest

from storage.base import Version
from storage.errors import DigestMismatch, KeyTaken, Replaced, StoreFull, StoreUnavailable
from storage.reading import read_back
from storage.s3 import S3Store, connect
from tests.conformance.object_stores import put, sha256
from tests.storage.fake_s3 import Answer, FakeS3, always, etag, fake_s3, send

ONE, TWO = b"first bytes", b"other bytes"
KEY = "/bucket/k"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    """A fake server; botocore's seconds between two tries are left out."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    with fake_s3() as server:
        yield server


def uses(store: S3Store) -> list[Callable[[], object]]:
    """Return one call of each method of the port."""
    version = Version(key="k", tag=etag(ONE), version_id="1")
    return [
        lambda: put(store, "k", ONE),
        lambda: store.replace_if_match("k", ONE, expected=None),
        lambda: store.replace_if_match("k", ONE, expected=version),
        lambda: store.read_bytes("k"),
        lambda: store.read_bytes("k", version=version),
        lambda: store.stat("k"),
        lambda: list(store.list("")),
        lambda: list(store.list_versions("")),
        lambda: store.copy_if_absent("k", "l", sha256=sha256(ONE)),
        lambda: store.delete("k"),
        lambda: store.delete("k", version=version),
        lambda: store.retain_until(version, datetime.now(UTC)),
        lambda: store.retention(version),
        lambda: store.repair("k", io.BytesIO(ONE), sha256=sha256(ONE), size_bytes=len(ONE)),
        lambda: store.sweep_unfinished(older_than=timedelta(0)),
        lambda: store.capabilities,
        lambda: store.self_test(),
    ]


def answers(status: int, reason: str) -> Answer:
    """Let every request be answered with this error."""
    return always(status, f"<Error><Code>{reason}</Code><Message>no</Message></Error>".encode())


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (500, "InternalError"),
        (503, "SlowDown"),
        (403, "AccessDenied"),
        (403, "RequestTimeTooSkewed"),
        (404, "NoSuchBucket"),
    ],
)
def test_every_call_when_server_answers_errors_then_the_store_is_unavailable(
    fake: FakeS3, status: int, reason: str
) -> None:
    fake.misbehave = answers(status, reason)

    for use in uses(fake.store()):
        with pytest.raises(StoreUnavailable) as caught:
            use()
        assert caught.value.__cause__ is not None


def test_every_call_when_nobody_listens_then_the_store_is_unavailable(fake: FakeS3) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = connect(f"http://127.0.0.1:{unused.getsockname()[1]}", "us-east-1", "any", "any")

        for use in uses(S3Store(client, "bucket")):
            with pytest.raises(StoreUnavailable):
                use()


@pytest.mark.parametrize("garbage", [b"<html>proxy login</html>", b"\xff\x00", b"<a><b>"])
def test_list_when_answer_is_no_list_then_the_archive_does_not_look_empty(fake: FakeS3, garbage: bytes) -> None:
    fake.misbehave = always(200, garbage)
    store = fake.store()

    for use in (lambda: list(store.list("")), lambda: list(store.list_versions("")), lambda: store.self_test()):
        with pytest.raises(StoreUnavailable):
            use()


def test_put_when_server_has_no_room_then_it_is_full(fake: FakeS3) -> None:
    fake.misbehave = answers(507, "InsufficientStorage")

    with pytest.raises(StoreFull):
        put(fake.store(), "k", ONE)


def test_put_when_server_says_the_digest_is_wrong_then_it_is_a_mismatch(fake: FakeS3) -> None:
    fake.misbehave = answers(400, "BadDigest")

    with pytest.raises(DigestMismatch):
        put(fake.store(), "k", ONE)


# --- answers that are lost -------------------------------------------------------------------------------------------


def loses_answers(count: int) -> Answer:
    """Carry out the first `count` PUTs and hang up without an answer."""
    left = [count]

    def answer(fake: FakeS3, handler: BaseHTTPRequestHandler) -> bool:
        if handler.command != "PUT" or left[0] == 0:
            return False
        left[0] -= 1
        fake.carry_out(handler)
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)
        return True

    return answer


def test_put_when_the_answer_is_lost_then_the_second_try_finds_its_own_bytes(fake: FakeS3) -> None:
    fake.misbehave = loses_answers(1)

    version = put(fake.store(), "k", ONE)

    assert version.tag == etag(ONE)
    assert [method for method, path, _ in fake.requests if path == KEY] == ["PUT", "PUT", "HEAD", "GET"]


def test_put_when_another_was_quicker_and_the_answer_is_lost_then_the_key_is_taken(fake: FakeS3) -> None:
    fake.objects[KEY] = (TWO, {})
    fake.misbehave = loses_answers(1)

    with pytest.raises(KeyTaken):
        put(fake.store(), "k", ONE)
    assert fake.objects[KEY][0] == TWO


def test_replace_when_the_answer_is_lost_then_the_mark_tells_whose_write_stands(fake: FakeS3) -> None:
    store = fake.store()
    first = store.replace_if_match("k", ONE, expected=None)
    fake.misbehave = loses_answers(1)

    second = store.replace_if_match("k", TWO, expected=first)

    assert second == store.stat("k").version
    assert fake.objects[KEY][0] == TWO


def test_replace_when_another_wrote_the_same_bytes_and_the_answer_is_lost_then_it_is_not_ours(fake: FakeS3) -> None:
    store = fake.store()
    first = store.replace_if_match("k", ONE, expected=None)
    store.replace_if_match("k", TWO, expected=first)
    fake.misbehave = loses_answers(1)

    with pytest.raises(Replaced):
        store.replace_if_match("k", TWO, expected=first)


# --- bytes that do not come, or come wrong ---------------------------------------------------------------------------


def test_read_when_server_hangs_up_in_the_middle_then_the_store_is_unavailable(fake: FakeS3) -> None:
    def hang_up(_: FakeS3, handler: BaseHTTPRequestHandler) -> bool:
        if handler.command != "GET":
            return False
        send(handler, 200, ONE[:4], Content_Length=str(len(ONE)), ETag=etag(ONE))
        handler.close_connection = True
        return True

    fake.objects[KEY] = (ONE, {})
    fake.misbehave = hang_up

    with pytest.raises(StoreUnavailable):
        fake.store().read_bytes("k")
    with pytest.raises(StoreUnavailable):
        read_back(fake.store(), "k", sha256=sha256(ONE), size_bytes=len(ONE))


def test_read_when_bytes_drip_then_the_deadline_ends_it(fake: FakeS3) -> None:
    finished = threading.Event()

    def drip(_: FakeS3, handler: BaseHTTPRequestHandler) -> bool:
        send(handler, 200, b"", Content_Length="100000", ETag=etag(ONE))
        while not finished.wait(0.05):
            handler.wfile.write(b"x")
            handler.wfile.flush()
        handler.close_connection = True
        return True

    fake.misbehave = drip
    try:
        with pytest.raises(StoreUnavailable, match="no answer within") as caught:
            fake.store(deadline_s=0.6).read_bytes("k")
        assert isinstance(caught.value.__cause__, TimeoutError)
    finally:
        finished.set()


def test_read_when_server_sends_other_bytes_than_its_checksum_then_it_is_a_mismatch(fake: FakeS3) -> None:
    right = "o+rV7trV34IxjFFoXbwcFHo20f+FhPyC3msI0L9jp5U="  # of b"other bytes"
    fake.misbehave = always(200, ONE, ETag=etag(ONE), x_amz_checksum_sha256=right)

    with pytest.raises(DigestMismatch):
        fake.store().read_bytes("k")


def test_read_when_server_sends_rotten_bytes_without_checksum_then_read_back_finds_them(fake: FakeS3) -> None:
    fake.objects[KEY] = (b"first bytez", {})

    assert fake.store().read_bytes("k") == b"first bytez"
    with pytest.raises(DigestMismatch):
        read_back(fake.store(), "k", sha256=sha256(ONE), size_bytes=len(ONE))


def test_repair_when_server_answers_500_for_rotten_bytes_then_good_ones_are_put(fake: FakeS3) -> None:
    fake.objects[KEY] = (b"first bytez", {})

    def rotten(server: FakeS3, handler: BaseHTTPRequestHandler) -> bool:
        if handler.command == "GET" and handler.path == KEY and server.objects[KEY][0] != ONE:
            return answers(500, "InternalError")(server, handler)
        if "?versioning" in handler.path:
            return always(200, b"<VersioningConfiguration/>")(server, handler)
        return False

    fake.misbehave = rotten
    fake.store().repair("k", io.BytesIO(ONE), sha256=sha256(ONE), size_bytes=len(ONE))

    assert fake.objects[KEY][0] == ONE


# --- the client ------------------------------------------------------------------------------------------------------


def test_put_when_sent_then_digest_and_condition_go_with_it_and_no_expect(fake: FakeS3) -> None:
    put(fake.store(), "k", ONE)

    headers = {name.lower(): value for name, value in fake.requests[0][2].items()}
    assert headers["if-none-match"] == "*"
    assert (
        headers["x-amz-checksum-sha256"] == "1n4IreboI8Bjr/sA/qla2r/6dc8aZg2PzqMiPWjo5E0="
    )  # SHA-256 of b"first bytes"
    assert "expect" not in headers  # half an answer to it makes botocore spin for ever


def test_connect_when_environment_says_otherwise_then_it_is_not_read(
    fake: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_PROFILE": "nobody",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_CA_BUNDLE": "/nowhere",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    }.items():
        monkeypatch.setenv(name, value)

    put(fake.store(), "k", ONE)

    assert fake.objects[KEY][0] == ONE
    assert connect(None, "us-east-1", "any", "any").meta.endpoint_url == "https://s3.amazonaws.com"
