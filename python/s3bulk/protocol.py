"""What the functions of this package ask of a client, for annotations."""

from __future__ import annotations

from typing import Any, Protocol


class S3Client(Protocol):
    """A client of `make_s3_client`, a boto3 client, or anything else with these methods.

    The functions take `Any`, as those of the original module did; an application may be stricter:

    >>> def publish(client: S3Client, folder: str) -> list[str]:
    ...     return upload_folder(client, folder, "results", "latest")
    """

    def head_bucket(self, *, Bucket: str) -> Any:
        """Raises an error with code `404` where there is no such bucket."""

    def create_bucket(self, *, Bucket: str, CreateBucketConfiguration: Any = ...) -> Any:
        """Makes a bucket."""

    def put_object(self, *, Bucket: str, Key: str, Body: Any, ContentType: str) -> Any:
        """Stores an open file."""

    def download_fileobj(self, *, Bucket: str, Key: str, Fileobj: Any) -> Any:
        """Writes an object into an open file."""

    def get_paginator(self, operation_name: Any, /) -> Any:
        """Gives what has `paginate(Bucket=..., Prefix=...)`, for `list_objects_v2`."""
