"""The functions of the original module: the same names, signatures and results.

Each takes the package's own client or a boto3 client and works natively, or anything with boto3's methods and makes
plain calls on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3bulk import plain
from s3bulk._boto3_client import is_boto3_client
from s3bulk._content_type import guess_content_type
from s3bulk._log import CREATED_BUCKET, logger
from s3bulk._parameters import check_bucket, check_key, path_of
from s3bulk.client import is_own
from s3bulk.limited import is_durable, unlimited

if TYPE_CHECKING:
    from s3bulk._way import NativeWay


def ensure_bucket_exists(s3_client: Any, bucket: str, region: str) -> None:
    """Creates a bucket unless it is there.

    Args:
        s3_client: Client of `make_s3_client`, a boto3 client, or anything with its methods.
        bucket: Bucket name.
        region: Where to create it; `us-east-1` and `""` mean no `LocationConstraint`.

    Raises:
        botocore.exceptions.ClientError: HeadBucket failed with anything but "not found", or the bucket can't be made.
    """
    check_bucket(bucket)
    through = _through(s3_client, bucket)
    if through is not None:
        plain.ensure_bucket_exists(through, bucket, region)
        return
    with s3_client._boto3_half.error_classes():
        created = s3_client._native.ensure_bucket(bucket, region or "", logger)
    if created:
        logger.info(CREATED_BUCKET, bucket, region or "<default>")


def upload_file(
    s3_client: Any,
    local_path: str | Path,
    bucket: str,
    key: str,
    content_type: str | None = None,
) -> None:
    """Stores a file as one object.

    Args:
        s3_client: Client of `make_s3_client`, a boto3 client, or anything with its methods.
        local_path: A regular file, or a link to one.
        bucket: Bucket name or ARN.
        key: Key of the object.
        content_type: Its `Content-Type`; by default `mimetypes.guess_type` of the path, else
            `application/octet-stream`.

    Raises:
        FileNotFoundError: `local_path` is no regular file.
        botocore.exceptions.ParamValidationError: A bucket or key that boto3 refuses.
        botocore.exceptions.ClientError: S3 answered with an error.
    """
    check_bucket(bucket)
    check_key(key)
    path = path_of(local_path)
    native, through = _ways(s3_client, bucket, up=True)
    if native is not None:
        native.upload_file(path, key, content_type)
    elif through is not None:
        plain.upload_file(through, path, bucket, key, content_type)
    else:
        content_type = guess_content_type(path) if content_type is None else content_type
        with s3_client._boto3_half.error_classes():
            s3_client._native.upload_file(path, bucket, key, content_type, logger)


def download_file_to_path(
    s3_client: Any,
    bucket: str,
    key: str,
    local_path: str | Path,
) -> None:
    """Fetches an object into a file, which appears whole or not at all. Missing parent folders are made.

    Args:
        s3_client: Client of `make_s3_client`, a boto3 client, or anything with its methods.
        bucket: Bucket name or ARN.
        key: Key of the object.
        local_path: The file; one that is there is replaced and keeps its mode.

    Raises:
        IsADirectoryError: `local_path` is a folder.
        botocore.exceptions.ParamValidationError: A bucket or key that boto3 refuses.
        botocore.exceptions.ClientError: S3 answered with an error; code `404` where there is no such object.
    """
    check_bucket(bucket)
    check_key(key)
    path = path_of(local_path)
    native, through = _ways(s3_client, bucket, up=False)
    if native is not None:
        native.download_file(key, path)
    elif through is not None:
        plain.download_file(through, bucket, key, path, durable=is_durable(s3_client))
    else:
        with s3_client._boto3_half.error_classes():
            s3_client._native.download_file(bucket, key, path, logger)


def upload_folder(
    s3_client: Any,
    local_dir: str | Path,
    bucket: str,
    key_prefix: str,
) -> list[str]:
    """Stores every file below a folder: hidden ones too, links to files followed, links to folders not.

    Args:
        s3_client: Client of `make_s3_client`, a boto3 client, or anything with its methods.
        local_dir: An existing folder.
        bucket: Bucket name or ARN.
        key_prefix: What the keys begin with; slashes around it do not count.

    Returns:
        The keys, in the order of `sorted(Path(local_dir).rglob("*"))`.

    Raises:
        ValueError: `local_dir` is no directory.
        botocore.exceptions.ClientError: S3 answered with an error. This and others carry `.report`.
    """
    if is_own(s3_client):
        return s3_client.upload_folder(local_dir, bucket, key_prefix).done
    check_bucket(bucket)
    path = path_of(local_dir)
    native, through = _ways(s3_client, bucket, up=True)
    if native is not None:
        return native.upload_folder(path, key_prefix).done
    return plain.upload_folder(through, path, bucket, key_prefix).done


def download_prefix_to_folder(
    s3_client: Any,
    bucket: str,
    key_prefix: str,
    local_dir: str | Path,
) -> list[str]:
    """Fetches every object below a prefix into a folder, which is made even when nothing is found.

    Args:
        s3_client: Client of `make_s3_client`, a boto3 client, or anything with its methods.
        bucket: Bucket name or ARN.
        key_prefix: Prefix; slashes around it do not count, and `foo` does not match `foobar/x`.
        local_dir: Folder to write into. Nothing is ever written outside it.

    Returns:
        Relative paths in the order of the listing, each the raw remainder of its key.

    Raises:
        ValueError: A key that would lead outside `local_dir`, or two that need the same place.
        botocore.exceptions.ClientError: S3 answered with an error. This and others carry `.report`.
    """
    if is_own(s3_client):
        return s3_client.download_prefix(bucket, key_prefix, local_dir).done
    check_bucket(bucket)
    path = path_of(local_dir)
    native, through = _ways(s3_client, bucket, up=False)
    if native is not None:
        return native.download_prefix(key_prefix, path).done
    return plain.download_prefix(through, bucket, key_prefix, path, is_durable(s3_client)).done


def _through(s3_client: Any, bucket: str) -> Any:
    """What plain calls are made on; `None` where our own client works natively."""
    if is_own(s3_client):
        return s3_client._boto3_half.in_the_way(bucket)
    client = unlimited(s3_client)
    is_boto3_client(client)  # a TypeError for what can't be called
    return client


def _ways(s3_client: Any, bucket: str, *, up: bool) -> tuple[NativeWay | None, Any]:
    """The native way of a boto3 client; or what plain calls are made on; or neither, where our own works natively."""
    if is_own(s3_client):
        return s3_client._boto3_half.ways(bucket, s3_client._options, up=up)
    from s3bulk._way import ways  # botocore comes in with it

    return ways(s3_client, bucket, up=up)
