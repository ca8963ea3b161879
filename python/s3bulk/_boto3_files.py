"""boto3's `upload_file` and `download_file` on our own client: natively where that gives what boto3 gives.

Whatever is special about a call (other arguments, a link in the place of the file, a bucket or key that boto3 refuses)
is boto3's business, and so is the error that it ends in.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from s3bulk._log import logger
from s3bulk._parameters import is_plain_bucket

if TYPE_CHECKING:
    from s3bulk._core import NativeClient


def can_upload(path: Any, bucket: Any, key: Any, extra: Any) -> bool:
    """Whether a file goes up natively as boto3 would send it."""
    return _is_plain(path, bucket, key) and _content_type(extra) is not None and os.path.isfile(path)


def can_download(path: Any, bucket: Any, key: Any, extra: Any) -> bool:
    """Whether an object comes down natively as boto3 would fetch it."""
    if not _is_plain(path, bucket, key) or extra:
        return False
    if os.path.lexists(path):
        # boto3 puts a file in the place of a link, and writes a device or FIFO straight.
        return os.path.isfile(path) and not os.path.islink(path)
    return os.path.isdir(os.path.dirname(path) or ".")  # boto3 makes no folders


def upload(native: NativeClient, path: Any, bucket: str, key: str, extra: Any) -> None:
    """Stores a file. boto3 guesses no content type: S3 has a default of its own."""
    path = os.fspath(path)
    try:
        native.upload_file(path, bucket, key, _content_type(extra) or "", logger)
    except Exception as error:
        from boto3.exceptions import S3UploadFailedError
        from botocore.exceptions import ClientError

        if not isinstance(error, ClientError):
            raise
        raise S3UploadFailedError(f"Failed to upload {path} to {bucket}/{key}: {error}") from error


def download(native: NativeClient, bucket: str, key: str, path: Any) -> None:
    """Fetches an object into a file."""
    try:
        native.download_file(bucket, key, os.fspath(path), logger)
    except Exception as error:
        from boto3.exceptions import RetriesExceededError
        from botocore.exceptions import ReadTimeoutError, ResponseStreamingError

        # s3transfer reads again after these two, when it is the object that is read, and counts how often.
        read_late = isinstance(error, ReadTimeoutError) and getattr(error, "_s3bulk_operation", None) == "GetObject"
        if not read_late and not isinstance(error, ResponseStreamingError):
            raise
        raise RetriesExceededError(error) from error  # type: ignore[arg-type] # what boto3 itself gives it


def _is_plain(path: Any, bucket: Any, key: Any) -> bool:
    return (
        isinstance(path, str | os.PathLike)
        and isinstance(os.fspath(path), str)
        and is_plain_bucket(bucket)
        and isinstance(key, str)
        and key != ""
    )


def _content_type(extra: Any) -> str | None:
    """The content type that `ExtraArgs` ask for, `""` for none; `None` where they ask for more or for what is none."""
    if not extra:
        return ""
    value = extra.get("ContentType") if isinstance(extra, dict) and len(extra) == 1 else None
    return value if isinstance(value, str) and value and value.isascii() and value.isprintable() else None
