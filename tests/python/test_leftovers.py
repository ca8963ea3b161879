"""Uploads that nobody ends: found by age, aborted when told so, never one that is under way here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from s3bulk import (
    IncompleteUpload,
    TransferOptions,
    abort_incomplete_uploads,
    remove_stale_temporary_files,
    upload_file,
    with_options,
)

from tests.python.conftest import KINDS, boto3_client, client_of, new_bucket, stored
from tests.servers import Server

NOW = timedelta(0)
LONG = timedelta(hours=1)


class OrphanWrapper:
    """Not a boto3 client, but it has the two methods that this takes."""

    def __init__(self, client: Any) -> None:
        self.list_multipart_uploads = client.list_multipart_uploads
        self.abort_multipart_upload = client.abort_multipart_upload


@pytest.fixture(params=KINDS)
def client(request: pytest.FixtureRequest, server: Server) -> Any:
    kind = request.param
    return OrphanWrapper(boto3_client(server)) if kind == "wrapper" else client_of(kind, server)


def _begin(judge: Any, bucket: str, *keys: str) -> dict[str, str]:
    """Uploads with a part each, that nobody ends."""
    begun = {}
    for key in keys:
        upload_id = judge.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        judge.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=1, Body=b"part")
        begun[key] = upload_id
    return begun


def _open_uploads(judge: Any, bucket: str) -> set[str]:
    return {upload["Key"] for upload in judge.list_multipart_uploads(Bucket=bucket).get("Uploads", [])}


@pytest.mark.needs("list uploads below a prefix")
def test_orphans_are_found_and_only_aborted_when_told_so(
    client: Any, judge: Any, bucket: str, server: Server, moto: Server
) -> None:
    begun = _begin(judge, bucket, "p/a b+c", "p/deep/é", "p", "pq/x", "other")
    mine = {key: begun[key] for key in ("p/a b+c", "p/deep/é", "p")}
    tells_time = server is not moto  # which says 2010 of every upload
    if tells_time:
        assert abort_incomplete_uploads(client, bucket, "p", LONG, dry_run=False) == []
    found = abort_incomplete_uploads(client, bucket, "/p/", NOW)
    assert {upload.key: upload.upload_id for upload in found} == mine
    for upload in found:
        assert isinstance(upload, IncompleteUpload)
        assert upload.initiated.tzinfo is not None
        assert not tells_time or abs(datetime.now(timezone.utc) - upload.initiated) < timedelta(minutes=5)
    assert _open_uploads(judge, bucket) == set(begun), "a dry run"
    assert {upload.key for upload in abort_incomplete_uploads(client, bucket, "p", NOW, dry_run=False)} == set(mine)
    assert _open_uploads(judge, bucket) == {"pq/x", "other"}
    assert {upload.key for upload in abort_incomplete_uploads(client, bucket, "", NOW, dry_run=False)} == {
        "pq/x",
        "other",
    }
    assert _open_uploads(judge, bucket) == set()
    assert abort_incomplete_uploads(client, bucket, "", NOW, dry_run=False) == []


@pytest.mark.parametrize("kind", ["own", "boto3"])
def test_an_upload_under_way_in_this_process_is_never_aborted(kind: str, seaweedfs: Server, tmp_path: Path) -> None:
    judge = boto3_client(seaweedfs)
    bucket = new_bucket(judge)
    cleaner = client_of(kind, seaweedfs)
    body = bytes(range(256)) * (200 << 10)  # 50 MiB
    (tmp_path / "file").write_bytes(body)
    sender = with_options(client_of("own", seaweedfs), TransferOptions(part_size=5 << 20, max_concurrency=1))
    seen: list[str] = []
    aborted: list[IncompleteUpload] = []
    ended = threading.Event()

    def clean_up() -> None:
        while not ended.is_set():
            seen.extend(_open_uploads(judge, bucket))
            aborted.extend(abort_incomplete_uploads(cleaner, bucket, "", NOW, dry_run=False))

    thread = threading.Thread(target=clean_up)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not seen and time.monotonic() < deadline:
            upload_file(sender, tmp_path / "file", bucket, "key")
    finally:
        ended.set()
        thread.join()
    assert seen, "nobody looked while the upload was under way"
    assert aborted == []
    assert stored(judge, bucket) == {"key": body}
    assert _open_uploads(judge, bucket) == set()


class _Slow:
    """A client whose listing comes when the upload that it shows has ended."""

    def __init__(self, client: Any, ended: Callable[[], None]) -> None:
        self._client = client
        self._ended = ended
        self.shown: list[str] = []

    def list_multipart_uploads(self, **arguments: Any) -> Any:
        page = self._client.list_multipart_uploads(**arguments)
        self.shown += [upload["Key"] for upload in page.get("Uploads", [])]
        self._ended()
        return page

    def abort_multipart_upload(self, **arguments: Any) -> None:
        raise AssertionError(f"aborted: {arguments}")


def test_an_upload_that_ends_while_it_is_listed_is_no_orphan(seaweedfs: Server, tmp_path: Path) -> None:
    judge = boto3_client(seaweedfs)
    bucket = new_bucket(judge)
    (tmp_path / "file").write_bytes(bytes(50 << 20))
    sender = with_options(client_of("own", seaweedfs), TransferOptions(part_size=5 << 20, max_concurrency=1))
    slow = _Slow(judge, lambda: thread.join())
    while not slow.shown:
        thread = threading.Thread(target=upload_file, args=(sender, tmp_path / "file", bucket, "key"))
        thread.start()
        while thread.is_alive() and not _open_uploads(judge, bucket):
            pass
        assert abort_incomplete_uploads(slow, bucket, "", NOW, dry_run=False) == []
        thread.join()


def test_of_a_client_that_is_none_of_ours_the_flag_decides_whether_there_is_more() -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=timezone.utc)
    upload = {"Key": "p/a", "UploadId": "1", "Initiated": long_ago}
    client = MagicMock()
    client.list_multipart_uploads.side_effect = [
        {"Uploads": [upload], "IsTruncated": True, "NextKeyMarker": "p/a", "NextUploadIdMarker": "1"},
        {"IsTruncated": True, "NextKeyMarker": "p/b"},
        # One that doesn't tell its age is left alone.
        {"Uploads": [{"Key": "p/c", "UploadId": "3"}], "IsTruncated": False, "NextKeyMarker": "p/c"},
    ]
    found = abort_incomplete_uploads(client, "b", "p", LONG, dry_run=False)
    assert found == [IncompleteUpload("p/a", "1", long_ago)]
    calls = [call.kwargs for call in client.list_multipart_uploads.call_args_list]
    assert calls == [
        {"Bucket": "b", "Prefix": "p"},
        {"Bucket": "b", "Prefix": "p", "KeyMarker": "p/a", "UploadIdMarker": "1"},
        {"Bucket": "b", "Prefix": "p", "KeyMarker": "p/b"},
    ]
    client.abort_multipart_upload.assert_called_once_with(Bucket="b", Key="p/a", UploadId="1")


def test_an_abort_that_fails_keeps_none_of_the_others() -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=timezone.utc)
    uploads = [{"Key": key, "UploadId": "1", "Initiated": long_ago} for key in ("a", "b", "c")]
    denied = ClientError({"Error": {"Code": "AccessDenied"}}, "AbortMultipartUpload")
    client = MagicMock()
    client.list_multipart_uploads.return_value = {"Uploads": uploads, "IsTruncated": False}
    client.abort_multipart_upload.side_effect = [{}, denied, ClientError({"Error": {"Code": "X"}}, "Y"), {}]
    with pytest.raises(ClientError) as raised:
        abort_incomplete_uploads(client, "b", "", LONG, dry_run=False)
    assert raised.value is denied
    assert raised.value.__notes__ == ["s3bulk: 1 of 3 uploads were aborted"]
    assert [call.kwargs["Key"] for call in client.abort_multipart_upload.call_args_list] == ["a", "b", "c"]


@pytest.mark.parametrize("marker", [None, "", "p/a"])
def test_a_listing_that_does_not_say_where_it_goes_on_is_an_error(marker: str | None) -> None:
    from s3bulk.errors import BadResponseError

    client = MagicMock()
    client.list_multipart_uploads.return_value = {"IsTruncated": True, "NextKeyMarker": marker}
    with pytest.raises(BadResponseError, match="more uploads"):
        abort_incomplete_uploads(client, "b", "p", LONG, dry_run=False)
    client.abort_multipart_upload.assert_not_called()


@pytest.mark.parametrize("wrong", [None, 3600, "1h"])
def test_the_age_must_be_a_timedelta(wrong: Any, tmp_path: Path) -> None:
    client = MagicMock()
    with pytest.raises(TypeError, match=r"^older_than must be a datetime\.timedelta"):
        abort_incomplete_uploads(client, "b", "p", wrong)
    if wrong is not None:
        with pytest.raises(TypeError, match=r"^older_than must be a datetime\.timedelta"):
            remove_stale_temporary_files(tmp_path, older_than=wrong)
    assert client.mock_calls == []


def test_an_age_below_zero_is_refused(tmp_path: Path) -> None:
    client = MagicMock()
    with pytest.raises(ValueError, match=r"^older_than must not be negative"):
        abort_incomplete_uploads(client, "b", "p", timedelta(seconds=-1))
    with pytest.raises(ValueError, match=r"^older_than must not be negative"):
        remove_stale_temporary_files(tmp_path, older_than=timedelta(seconds=-1))
    assert client.mock_calls == []


def test_the_age_has_no_default() -> None:
    with pytest.raises(TypeError, match="older_than"):
        abort_incomplete_uploads(MagicMock(), "b", "p")  # type: ignore[call-arg]


def test_a_folder_that_is_not_there_is_a_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="local_dir does not exist or is not a directory"):
        remove_stale_temporary_files(tmp_path / "missing")


def test_a_timeout_has_no_code_of_s3s() -> None:
    timeout = ReadTimeoutError(endpoint_url="http://h")
    client = MagicMock()
    client.list_multipart_uploads.return_value = {
        "Uploads": [{"Key": "k", "UploadId": "u", "Initiated": datetime(2020, 1, 1, tzinfo=timezone.utc)}],
        "IsTruncated": False,
    }
    client.abort_multipart_upload.side_effect = timeout
    with pytest.raises(ReadTimeoutError):
        abort_incomplete_uploads(client, "bucket", "", timedelta(days=1), dry_run=False)
