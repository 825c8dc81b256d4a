"""Objects in S3 buckets: `connect`, `ensure_bucket`, `S3Store` and its `Limits`."""

from storage.s3.calls import Limits
from storage.s3.connection import connect, ensure_bucket
from storage.s3.store import S3Store

__all__ = ["Limits", "S3Store", "connect", "ensure_bucket"]
