"""What killed programs leave behind: unfinished uploads on the server, temporary files on the disk.

A transfer that fails or is interrupted cleans up itself. One that is killed (`SIGKILL`, out of memory, a power
cut) can't.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

from s3bulk import _core
from s3bulk._failures import add_note
from s3bulk._log import logger
from s3bulk._parameters import check_bucket, path_of
from s3bulk.client import is_own
from s3bulk.limited import unlimited


class IncompleteUpload(NamedTuple):
    """A multipart upload that has begun and has not ended.

    Attributes:
        key: Key that it would store.
        upload_id: S3's name for it.
        initiated: When it began, by the server's clock; aware, in UTC.
    """

    key: str
    upload_id: str
    initiated: datetime


def abort_incomplete_uploads(
    s3_client: Any, bucket: str, key_prefix: str, older_than: timedelta, *, dry_run: bool = True
) -> list[IncompleteUpload]:
    """Finds the multipart uploads that crashed programs have left under a prefix, and aborts them when told so.

    S3 keeps, and bills, the parts of an upload that nobody ends. Nothing on the server tells a forgotten upload from
    one that another program is sending right now: `older_than` has to be longer than any upload there takes. One that
    a native client of this process has under way is never touched, however old it is, nor is one of which the server
    doesn't say when it began.

    Args:
        s3_client: Client of `make_s3_client`, a boto3 client, or anything with its methods.
        bucket: Bucket name or ARN.
        key_prefix: As for `download_prefix_to_folder`; the upload of the key of just this name counts too. `""` is the
            whole bucket.
        older_than: Only uploads that began at least so long ago, by the server's clock.
        dry_run: Only say what would be aborted.

    Returns:
        The uploads that were aborted, or would be, in the order of the server's listing.

    Raises:
        TypeError: `older_than` is no `timedelta`.
        ValueError: `older_than` is negative.
        botocore.exceptions.ClientError: S3 answered with an error. One upload that can't be aborted keeps none of the
            others; a note of the error says how many were.
    """
    check_bucket(bucket)
    seconds = _seconds("older_than", older_than)
    through = s3_client._boto3_half.in_the_way(bucket) if is_own(s3_client) else unlimited(s3_client)
    if through is not None:
        return _abort_through(through, bucket, key_prefix, older_than, dry_run)
    with s3_client._boto3_half.error_classes():
        found = s3_client._native.abort_incomplete_uploads(bucket, key_prefix, seconds, dry_run, logger)
    return [IncompleteUpload(key, upload_id, _moment(initiated)) for key, upload_id, initiated in found]


def remove_stale_temporary_files(
    local_dir: str | Path, *, older_than: timedelta | None = None, dry_run: bool = True
) -> list[str]:
    """Finds the temporary files that killed downloads have left below a folder, and removes them when told so.

    Where the file system has files without a name (Linux: ext4, XFS, Btrfs, tmpfs and others) a kill leaves nothing,
    but in the instant in which one replaces another. Elsewhere it leaves files named
    `.s3bulk-<process>-<start>-<place>-<random>`. One whose process runs is never touched, and no link is followed but
    `local_dir` itself.

    Args:
        local_dir: An existing folder.
        older_than: Whether a process runs can only be known on the same machine (since its last start) and in the same
            container. Files of all others count only when nobody has written to them for so long; `None` leaves them.
        dry_run: Only say what would be removed.

    Returns:
        The paths of the files that were removed, or would be.

    Raises:
        ValueError: `local_dir` is no directory; `older_than` is negative.
        OSError: A folder can't be read, or a file not removed. What was removed by then is gone.
    """
    seconds = None if older_than is None else _seconds("older_than", older_than)
    return _core.remove_stale_files(path_of(local_dir), seconds, not dry_run)


def _seconds(name: str, value: object) -> timedelta:
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} must be a datetime.timedelta, not {type(value).__name__}")
    if value < timedelta(0):
        raise ValueError(f"{name} must not be negative, not {value}")
    return value


def _moment(seconds: float) -> datetime:
    # Rounded: S3 tells milliseconds, which a float of seconds shows as 0.122999.
    fraction, whole = math.modf(seconds)
    return datetime.fromtimestamp(whole, timezone.utc) + timedelta(milliseconds=round(fraction * 1000))


def _abort_through(
    s3_client: Any, bucket: str, key_prefix: str, older_than: timedelta, dry_run: bool
) -> list[IncompleteUpload]:
    """The same by plain calls."""
    name = key_prefix.strip("/")
    latest = datetime.now(timezone.utc) - older_than
    # One may end while it is listed, and another begin.
    before = _core.UploadsUnderWay()
    listed = list(_listed(s3_client, bucket, name))
    after = _core.UploadsUnderWay()
    found = [
        upload
        for upload in listed
        if (not name or upload.key == name or upload.key.startswith(f"{name}/"))
        and upload.initiated <= latest
        and not any(known.includes(bucket, upload.key, upload.upload_id) for known in (before, after))
    ]
    return found if dry_run else _abort_all(s3_client, bucket, found)


def _abort_all(s3_client: Any, bucket: str, uploads: list[IncompleteUpload]) -> list[IncompleteUpload]:
    """Gives those that had not ended by themselves meanwhile. One that can't be aborted keeps none of the others."""
    aborted: list[IncompleteUpload] = []
    first: Exception | None = None
    for upload in uploads:
        try:
            if _abort(s3_client, bucket, upload):
                aborted.append(upload)
        except Exception as error:
            first = first or error
    if first is not None:
        add_note(first, f"s3bulk: {len(aborted)} of {len(uploads)} uploads were aborted")
        raise first
    return aborted


def _abort(s3_client: Any, bucket: str, upload: IncompleteUpload) -> bool:
    """Aborts it, and says whether it had not ended by itself meanwhile."""
    try:
        s3_client.abort_multipart_upload(Bucket=bucket, Key=upload.key, UploadId=upload.upload_id)
    except Exception as error:
        if _error_code(error) != "NoSuchUpload":
            raise
        return False
    return True


def _listed(s3_client: Any, bucket: str, prefix: str) -> Iterator[IncompleteUpload]:
    markers: dict[str, str] = {}
    seen = set()
    while True:
        page = s3_client.list_multipart_uploads(Bucket=bucket, Prefix=prefix, **markers)
        for upload in page.get("Uploads", []) or []:
            if "Initiated" in upload:
                yield IncompleteUpload(upload["Key"], upload["UploadId"], upload["Initiated"])
        if not page.get("IsTruncated"):
            return
        key, upload_id = page.get("NextKeyMarker"), page.get("NextUploadIdMarker")
        if not key or (key, upload_id) in seen:
            from s3bulk.errors import BadResponseError

            raise BadResponseError("the server says that there are more uploads but not where")
        seen.add((key, upload_id))
        markers = {"KeyMarker": key} | ({"UploadIdMarker": upload_id} if upload_id else {})


def _error_code(error: Exception) -> str | None:
    response = getattr(error, "response", None)  # `None` in a ReadTimeoutError
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return None if code is None else str(code)
