"""Calling an S3 server: with a deadline, and with its errors translated."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from storage.errors import DigestMismatch, StorageError, StoreFull, StoreUnavailable

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

T = TypeVar("T")

BYTES_PER_SECOND = 1 << 20
"""The slowest transfer that is waited for; adds to the deadline of calls that carry bytes."""

_FULL_CODES = frozenset({"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "StorageFull"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a call may take, and what travels in one request.

    Parameters
    ----------
    deadline_s
        After so many seconds a call is given up, whatever the server drips;
        bytes that travel with it get one more second for each MiB.
    put_bytes
        Larger objects are put in parts. 5 GiB is S3's largest single put; no
        DICOM file is larger (element lengths are 32 bits).
    copy_bytes
        Larger objects are copied in parts, so that no single answer takes
        longer than the read timeout.
    """

    deadline_s: float = 120.0
    put_bytes: int = 5 << 30
    copy_bytes: int = 1 << 30


DEFAULT_LIMITS = Limits()


class Refused(StoreUnavailable):
    """The server understood and said no (4xx); inside this package the reason is looked at, outside it is an error.

    Parameters
    ----------
    message
        What was refused.
    status, reason
        HTTP status and S3 error code; the code of a HEAD is only its status.
    repeated
        The request was sent more than once: an earlier one may have been carried out.
    """

    hint: ClassVar[str] = "Check the account's rights and the clocks of both machines."

    def __init__(self, message: str, *, status: int, reason: str, repeated: bool) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.repeated = repeated

    @property
    def is_missing(self) -> bool:
        """The object (not the bucket) is not there."""
        return self.status == 404 and self.reason in {"NoSuchKey", "NoSuchVersion", "404", "NotFound"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One bucket and the client that reaches it.

    Parameters
    ----------
    client
        From `storage.s3.connect`.
    name
        The bucket's name.
    limits
        How long a call may take, and what travels in one request.
    """

    client: "S3Client"
    name: str
    limits: Limits = DEFAULT_LIMITS

    def call(self, doing: str, request: Callable[[], T], *, size_bytes: int = 0) -> T:
        """Make one request and return its answer.

        `size_bytes` lengthens the deadline for bytes that travel with the
        request. A request given up at the deadline may still be carried out later.

        Raises
        ------
        Refused
            The server answered 4xx.
        DigestMismatch
            What came does not have the checksum the server has recorded for it.
        StoreFull
            The server says so. (SeaweedFS says 500 instead: that is `StoreUnavailable`.)
        StoreUnavailable
            Everything else: 5xx, no connection, deadline, and any error inside the client.
        """
        try:
            return _within(self.limits.deadline_s + size_bytes / BYTES_PER_SECOND, request)
        except StorageError:
            raise
        except Exception as error:  # botocore and urllib3 raise what they like, AttributeError too
            raise _translate(f"{doing} (bucket {self.name})", error) from error


def _translate(doing: str, error: Exception) -> StorageError:
    from botocore.exceptions import ClientError, FlexibleChecksumError

    message = f"{doing} failed: {type(error).__name__}: {error}"
    if isinstance(error, FlexibleChecksumError):
        return DigestMismatch(message)
    if not isinstance(error, ClientError):
        return StoreUnavailable(message)
    answer = error.response.get("ResponseMetadata", {})
    status = answer.get("HTTPStatusCode", 0)
    reason = error.response.get("Error", {}).get("Code", "")
    if status == 507 or reason in _FULL_CODES:
        return StoreFull(message)
    if reason == "BadDigest":
        return DigestMismatch(message)
    if 400 <= status < 500:
        return Refused(message, status=status, reason=reason, repeated=answer.get("RetryAttempts", 0) > 0)
    return StoreUnavailable(message)


def _within(seconds: float, request: Callable[[], T]) -> T:
    """Run `request` in a thread of its own and wait `seconds` for it.

    botocore has timeouts for each read from the socket, none for the whole
    call: a server that sends one byte every 20 s would hold it for ever. A
    thread that is given up ends with its connection, or with the process.
    """
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(request())
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits
            errors.append(error)

    thread = threading.Thread(target=run, name="s3-request", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    return answers[0]
