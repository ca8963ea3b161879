"""Which way a call goes: natively, or as plain calls on the client given."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

from s3bulk import plain
from s3bulk._adoption import adopt, place_of, tell_why
from s3bulk._boto3_client import is_boto3_client
from s3bulk._content_type import content_types, guess_content_type
from s3bulk._core import NativeClient
from s3bulk._log import DOWNLOADED_PREFIX, UPLOADED_FOLDER, logger
from s3bulk._modeled import names_region, use_classes_of
from s3bulk.limited import LimitedClient, unlimited
from s3bulk.report import Report

T = TypeVar("T")

# Every request of a transfer goes where these go.
_UP = ("PutObject", "CreateMultipartUpload")
_DOWN = ("GetObject", "ListObjectsV2")


class NativeWay:
    """The transfers of one call on a boto3 client, natively."""

    def __init__(self, client: Any, native: NativeClient, bucket: str, operations: tuple[str, ...]) -> None:
        """Asks the client where the bucket is.

        Raises:
            Refusal: A place or a signature that has no counterpart here.
        """
        self._client = client
        self._native = native
        self._bucket = bucket
        self._operations = operations
        self._place = place_of(client, bucket, operations)

    def upload_file(self, path: str, key: str, content_type: str | None) -> None:
        """Stores a file."""
        guessed = guess_content_type(path) if content_type is None else content_type
        self._run(lambda native: native.upload_file(path, self._bucket, key, guessed, logger))

    def download_file(self, key: str, path: str) -> None:
        """Fetches an object into a file."""
        self._run(lambda native: native.download_file(self._bucket, key, path, logger))

    def upload_folder(self, local_dir: str, key_prefix: str) -> Report:
        """Stores every file below a folder."""
        found = self._run(
            lambda native: native.upload_folder(local_dir, self._bucket, key_prefix, content_types(), logger)
        )
        report = Report.of(found)
        logger.debug(UPLOADED_FOLDER, len(report.done), local_dir, self._bucket, plain.listing_prefix(key_prefix))
        return report

    def download_prefix(self, key_prefix: str, local_dir: str) -> Report:
        """Fetches every object below a prefix into a folder."""
        report = Report.of(
            self._run(lambda native: native.download_prefix(self._bucket, key_prefix, local_dir, logger))
        )
        logger.debug(DOWNLOADED_PREFIX, len(report.done), self._bucket, plain.listing_prefix(key_prefix), local_dir)
        return report

    def _run(self, call: Callable[[NativeClient], T]) -> T:
        try:
            return self._aimed(call)
        except Exception as error:
            if not names_region(error) or not self._has_moved():
                use_classes_of(self._client, error)
                raise
        # The client knows the bucket's region now. Whatever was done before is done again, with the same result.
        try:
            return self._aimed(call)
        except Exception as error:
            use_classes_of(self._client, error)
            raise

    def _aimed(self, call: Callable[[NativeClient], T]) -> T:
        # Another thread's call may have taught the client meanwhile that the bucket is elsewhere.
        self._place = place_of(self._client, self._bucket, self._operations)
        self._native.aim(self._bucket, *self._place)
        return call(self._native)

    def _has_moved(self) -> bool:
        """Lets the client ask for the bucket: it follows to another region by its own rules, and remembers."""
        with contextlib.suppress(Exception):
            self._client.head_bucket(Bucket=self._bucket)
        try:
            return self._place != place_of(self._client, self._bucket, self._operations)
        except Exception:  # S3's own error says more than that nobody knows where to go
            return False


def ways(s3_client: Any, bucket: str, *, up: bool) -> tuple[NativeWay | None, Any]:
    """The native way for a client that is not ours; where there is none, what plain calls are made on.

    Raises:
        TypeError: It is an asynchronous client, or a resource.
    """
    client = unlimited(s3_client)
    adoption = adopt(client) if is_boto3_client(client) else None
    if adoption is None:
        return None, client
    try:
        options = s3_client.options if isinstance(s3_client, LimitedClient) else None
        return NativeWay(client, adoption.native(options), bucket, _UP if up else _DOWN), client
    except Exception as error:
        tell_why(client, error)
        return None, client
