"""The transfers as plain calls on a client with boto3's methods, one at a time, in order.

For clients that the native half can't stand in for: a `MagicMock` in a test, a wrapper, a stubbed boto3 client. The
calls are those of the original module; local files appear whole or not at all here too.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO

from s3bulk._content_type import guess_content_type
from s3bulk._core import KeyCheck, NewFile, Root, walk_folder
from s3bulk._failures import attach_report
from s3bulk._log import CREATED_BUCKET, DOWNLOADED_PREFIX, UPLOADED_FOLDER, logger
from s3bulk.report import Report

# Reads of a file that changes under them, the first included; CONTRACT "again from the start, at most twice".
_READS = 3


def ensure_bucket_exists(s3_client: Any, bucket: str, region: str | None) -> None:
    """Creates a bucket where HeadBucket does not find it."""
    try:
        s3_client.head_bucket(Bucket=bucket)
        return
    except Exception as error:
        code = _error_code(error)
        if code not in ("404", "NoSuchBucket", "NotFound"):
            logger.warning("Bucket '%s' head_bucket failed with %s", bucket, code or type(error).__name__)
            raise
        logger.debug("Bucket '%s' missing via head_bucket (%s); will attempt create", bucket, code)
    arguments: dict[str, Any] = {"Bucket": bucket}
    if region and region != "us-east-1":
        arguments["CreateBucketConfiguration"] = {"LocationConstraint": region}
    try:
        s3_client.create_bucket(**arguments)
    except Exception as error:
        # Somebody else was faster between the two calls.
        if _error_code(error) != "BucketAlreadyOwnedByYou":
            raise
        logger.debug("Bucket '%s' was created meanwhile", bucket)
    else:
        logger.info(CREATED_BUCKET, bucket, region or "<default>")


def upload_file(s3_client: Any, path: str, bucket: str, key: str, content_type: str | None = None) -> int:
    """Stores a file; returns its bytes."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"Local file not found: {path}")
    if content_type is None:
        content_type = guess_content_type(path)
    for _ in range(_READS):
        with open(path, "rb") as file:
            before = os.fstat(file.fileno())
            s3_client.put_object(Bucket=bucket, Key=key, Body=file, ContentType=content_type)
            # A client may close what it was given; then nobody can tell any more.
            after = before if file.closed else os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            logger.debug("Uploaded '%s' -> s3://%s/%s", path, bucket, key)
            return before.st_size
    from s3bulk.errors import SourceChangedError

    raise SourceChangedError(f"Local file changed each of the {_READS} times it was read: {path}")


def download_file(s3_client: Any, bucket: str, key: str, path: str, durable: bool = False) -> int:
    """Fetches an object into a file; returns its bytes."""
    return _fetch(s3_client, bucket, key, NewFile(path, durable), path)


def _fetch(s3_client: Any, bucket: str, key: str, new: NewFile, path: str) -> int:
    try:
        with _writer(new) as file:
            s3_client.download_fileobj(Bucket=bucket, Key=key, Fileobj=file)
        status = os.fstat(new.fileno())
        new.commit()
    except BaseException:
        new.discard()
        raise
    logger.debug("Downloaded s3://%s/%s -> '%s'", bucket, key, path)
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def upload_folder(s3_client: Any, local_dir: str, bucket: str, key_prefix: str) -> Report:
    """Stores every file below a folder."""
    prefix = listing_prefix(key_prefix)
    files = [(prefix + relative, path) for relative, path in walk_folder(local_dir)]
    done: list[str] = []
    size = 0
    for key, path in files:
        try:
            size += upload_file(s3_client, path, bucket, key)
        except BaseException as error:
            not_begun = [key for key, _ in files[len(done) + 1 :]]
            attach_report(error, Report(done, [(key, error)], not_begun, size))
            raise
        done.append(key)
    logger.debug(UPLOADED_FOLDER, len(done), local_dir, bucket, prefix)
    return Report(done=done, bytes=size)


def download_prefix(s3_client: Any, bucket: str, key_prefix: str, local_dir: str, durable: bool = False) -> Report:
    """Fetches every object below a prefix into a folder."""
    prefix = listing_prefix(key_prefix)
    os.makedirs(local_dir, exist_ok=True)
    done: list[str] = []
    size = 0
    root = Root(local_dir, key_prefix, durable)
    pages = _checked_pages(s3_client, bucket, prefix, local_dir)
    while (page := _next_page(pages, done, size)) is not None:
        for at, (key, relative) in enumerate(page):
            try:
                path = os.path.join(local_dir, relative)
                size += _fetch(s3_client, bucket, key, root.new_file(relative), path)
            except BaseException as error:
                not_begun = [relative for _, relative in page[at + 1 :]]
                attach_report(error, Report(done, [(relative, error)], not_begun, size))
                raise
            done.append(relative)
    logger.debug(DOWNLOADED_PREFIX, len(done), bucket, prefix, local_dir)
    return Report(done=done, bytes=size)


def _next_page(pages: Iterator[list[tuple[str, str]]], done: list[str], size: int) -> list[tuple[str, str]] | None:
    try:
        return next(pages, None)
    except BaseException as error:
        attach_report(error, Report(list(done), bytes=size))
        raise


def _checked_pages(s3_client: Any, bucket: str, prefix: str, root: str) -> Iterator[list[tuple[str, str]]]:
    """Keys and relative paths of a listing, a page at a time, each page checked before it is given out."""
    check = KeyCheck(prefix)
    resolved_root = os.path.realpath(root)
    for page in s3_client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        keys = [item["Key"] for item in page.get("Contents", []) or []]
        # A fake listing may forget the prefix; such a key is its own relative path, as it was in the original.
        remainders = check.check_page([key if key.startswith(prefix) else prefix + key for key in keys])
        items = [(key, relative) for key, relative in zip(keys, remainders, strict=True) if relative is not None]
        for key, relative in items:
            _check_links(resolved_root, key, relative)
        yield items


def _check_links(resolved_root: str, key: str, relative: str) -> None:
    target = os.path.realpath(os.path.join(resolved_root, relative))
    if os.path.commonpath((resolved_root, target)) != resolved_root:
        raise ValueError(f"Refusing to write outside local_dir; suspicious S3 key: {key}")


def listing_prefix(key_prefix: str) -> str:
    """What is listed: the prefix without the slashes around it, and one at its end."""
    stripped = key_prefix.strip("/")
    return f"{stripped}/" if stripped else ""


def _writer(new: NewFile) -> BinaryIO:
    return os.fdopen(os.dup(new.fileno()), "wb")


def _error_code(error: Exception) -> str | None:
    """S3's error code, where it is S3's error."""
    from botocore.exceptions import ClientError

    if not isinstance(error, ClientError):
        return None
    code = error.response.get("Error", {}).get("Code")
    return None if code is None else str(code)
