"""Moves folders and key prefixes to and from S3: in parallel, verified, behind boto3-shaped functions.

>>> from s3bulk import S3ClientConfig, make_s3_client, upload_folder
>>> config = S3ClientConfig(endpoint_url="http://localhost:9000", region="us-east-1")
>>> client = make_s3_client(config)
>>> keys = upload_folder(client, "results", "my-bucket", "runs/2024-05-01")  # doctest: +SKIP

The functions take the package's own client, which works in parallel; a boto3 client; or anything else that has boto3's
methods. boto3 itself is imported only when something needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3bulk._core import __version__
from s3bulk._log import logger
from s3bulk.cache import make_s3_client
from s3bulk.client import Client
from s3bulk.config import AddressingStyle, S3ClientConfig
from s3bulk.functions import (
    download_file_to_path,
    download_prefix_to_folder,
    ensure_bucket_exists,
    upload_file,
    upload_folder,
)
from s3bulk.leftovers import IncompleteUpload, abort_incomplete_uploads, remove_stale_temporary_files
from s3bulk.limited import with_options
from s3bulk.options import TransferOptions
from s3bulk.report import Report

if TYPE_CHECKING:
    from s3bulk.errors import TransferError
    from s3bulk.protocol import S3Client

__all__ = [
    "AddressingStyle",
    "Client",
    "IncompleteUpload",
    "Report",
    "S3Client",
    "S3ClientConfig",
    "TransferError",
    "TransferOptions",
    "__version__",
    "abort_incomplete_uploads",
    "download_file_to_path",
    "download_prefix_to_folder",
    "ensure_bucket_exists",
    "logger",
    "make_s3_client",
    "remove_stale_temporary_files",
    "upload_file",
    "upload_folder",
    "with_options",
]


def __getattr__(name: str) -> Any:
    # TransferError is a BotoCoreError: looked up late, so that `import s3bulk` does not import botocore.
    if name == "TransferError":
        from s3bulk.errors import TransferError

        return TransferError
    # For annotations: most programs never ask for it.
    if name == "S3Client":
        from s3bulk.protocol import S3Client

        return S3Client
    # As in the module that this one replaces: tests patch `boto3.client` by way of it.
    if name == "boto3":
        import boto3

        return boto3
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
