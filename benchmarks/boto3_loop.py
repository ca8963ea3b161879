"""The same two functions as a plain loop over boto3, one request after the other: what s3bulk is a drop-in for."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def upload_folder(s3_client: S3Client, local_dir: Path, bucket: str, key_prefix: str) -> list[str]:
    """One PutObject for each file of the sorted walk."""
    keys = []
    for path in sorted(local_dir.rglob("*")):
        if path.is_file():
            key = f"{key_prefix}/{path.relative_to(local_dir).as_posix()}"
            content_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
            with path.open("rb") as body:
                s3_client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)
            keys.append(key)
    return keys


def download_prefix_to_folder(s3_client: S3Client, bucket: str, key_prefix: str, local_dir: Path) -> list[str]:
    """One `download_fileobj` for each listed object."""
    relative_paths = []
    prefix = f"{key_prefix}/"
    for page in s3_client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for listed in page.get("Contents", []):
            relative_path = listed["Key"].removeprefix(prefix)
            path = local_dir / relative_path
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                s3_client.download_fileobj(Bucket=bucket, Key=listed["Key"], Fileobj=file)
            relative_paths.append(relative_path)
    return relative_paths
