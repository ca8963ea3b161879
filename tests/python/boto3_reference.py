"""What the package replaces: one object at a time over a boto3 client, written down from the contract."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any


def upload_folder(s3_client: Any, local_dir: Path, bucket: str, key_prefix: str) -> list[str]:
    if not local_dir.is_dir():
        raise ValueError(f"local_dir does not exist or is not a directory: {local_dir}")
    prefix = key_prefix.strip("/")
    keys = []
    for path in sorted(local_dir.rglob("*")):
        if not path.is_file():
            continue
        name = path.relative_to(local_dir).as_posix()
        key = f"{prefix}/{name}" if prefix else name
        content_type = mimetypes.guess_type(str(path))[0] or "application/octet-stream"
        with path.open("rb") as body:
            s3_client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)
        keys.append(key)
    return keys


def download_prefix_to_folder(s3_client: Any, bucket: str, key_prefix: str, local_dir: Path) -> list[str]:
    local_dir.mkdir(parents=True, exist_ok=True)
    prefix = key_prefix.strip("/")
    listed = f"{prefix}/" if prefix else ""
    names = []
    for page in s3_client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=listed):
        for item in page.get("Contents", []):
            key = item["Key"]
            if key.endswith("/"):
                continue
            name = key.removeprefix(listed)
            if name.startswith("/") or ".." in name.split("/") or name == ".":
                raise ValueError(f"Refusing to write outside local_dir; suspicious S3 key: {key}")
            path = local_dir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                s3_client.download_fileobj(Bucket=bucket, Key=key, Fileobj=file)
            names.append(name)
    return names
