"""CONTRACT.md, "`upload_file`"."""

from __future__ import annotations

import mimetypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from s3bulk import TransferError, TransferOptions, upload_file

from tests.python.conftest import stored
from tests.python.unprivileged import folder_of_somebody, without_privileges

MIB = 1 << 20


@pytest.mark.parametrize("body", [b"", b"body", os.urandom(3 * MIB)], ids=["empty", "small", "3 MiB"])
def test_a_file_becomes_an_object(client: Any, bucket: str, judge: Any, tmp_path: Path, body: bytes) -> None:
    (tmp_path / "f").write_bytes(body)
    upload_file(client, tmp_path / "f", bucket, "a/k")
    assert stored(judge, bucket) == {"a/k": body}


def test_an_object_is_replaced(client: Any, bucket: str, judge: Any, folder: Path) -> None:
    judge.put_object(Bucket=bucket, Key="k", Body=b"old")
    upload_file(client, folder / "f", bucket, "k")
    assert stored(judge, bucket) == {"k": b"body"}


_IN_PARTS = TransferOptions(part_size=5 * MIB, multipart_threshold=5 * MIB)


def test_a_large_file_arrives_whole_and_leaves_no_upload(own: Any, bucket: str, judge: Any, tmp_path: Path) -> None:
    body = os.urandom(12 * MIB + 1)
    (tmp_path / "f").write_bytes(body)
    upload_file(own.with_options(_IN_PARTS), tmp_path / "f", bucket, "k")
    assert judge.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    assert "Uploads" not in judge.list_multipart_uploads(Bucket=bucket)


@pytest.mark.needs("show that an object came in parts")
def test_a_large_file_goes_up_in_parts(own: Any, bucket: str, judge: Any, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(12 * MIB + 1))
    upload_file(own.with_options(_IN_PARTS), tmp_path / "f", bucket, "k")
    assert judge.head_object(Bucket=bucket, Key="k")["ETag"].endswith('-3"')


def test_a_link_to_a_file_is_followed(client: Any, bucket: str, judge: Any, folder: Path) -> None:
    (folder / "link").symlink_to("f")
    upload_file(client, folder / "link", bucket, "k")
    assert stored(judge, bucket) == {"k": b"body"}


@pytest.mark.parametrize("name", ["missing", "missing/f", "", "a-folder", "broken-link", "fifo", "f/below-a-file"])
def test_what_is_no_regular_file_is_not_found(client: Any, bucket: str, judge: Any, folder: Path, name: str) -> None:
    (folder / "a-folder").mkdir()
    (folder / "broken-link").symlink_to("nowhere")
    os.mkfifo(folder / "fifo")
    path = os.path.join(folder, name) if name else ""
    with pytest.raises(FileNotFoundError) as caught:
        upload_file(client, path, bucket, "k")
    assert str(caught.value).startswith(f"Local file not found: {path}")
    assert stored(judge, bucket) == {}


def test_a_path_with_a_nul_is_not_found(client: Any, bucket: str) -> None:
    with pytest.raises(FileNotFoundError, match="Local file not found: "):
        upload_file(client, "a\0b", bucket, "k")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_an_unreadable_file_is_a_permission_error(client: Any, bucket: str) -> None:
    def attempt() -> None:
        (folder / "f").write_bytes(b"body")
        (folder / "f").chmod(0)
        with pytest.raises(PermissionError) as caught:
            upload_file(client, folder / "f", bucket, "k")
        assert caught.value.filename == str(folder / "f")

    with folder_of_somebody() as folder:
        without_privileges(attempt)


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.txt", "text/plain"),
        ("a.JSON", "application/json"),
        ("a.tar.gz", "application/x-tar"),
        ("a.unknown-suffix", "application/octet-stream"),
        ("noextension", "application/octet-stream"),
        (".hidden", "application/octet-stream"),
    ],
)
def test_the_content_type_is_guessed_from_the_path(
    client: Any, bucket: str, judge: Any, tmp_path: Path, name: str, content_type: str
) -> None:
    (tmp_path / name).write_bytes(b"body")
    upload_file(client, tmp_path / name, bucket, "k")
    head = judge.head_object(Bucket=bucket, Key="k")
    assert head["ContentType"] == content_type
    assert not head.get("ContentEncoding")


def test_a_given_content_type_wins(client: Any, bucket: str, judge: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"body")
    upload_file(client, tmp_path / "a.txt", bucket, "k", "image/x-mine; a=b")
    assert judge.head_object(Bucket=bucket, Key="k")["ContentType"] == "image/x-mine; a=b"


def test_a_type_that_no_header_can_hold_is_refused(own: Any, bucket: str, judge: Any, folder: Path) -> None:
    (folder / "large").write_bytes(bytes(17 * MIB))
    for name in ("f", "large"):
        for content_type in ("text/plän", "a/b\r\nx-amz-acl: public-read"):
            with pytest.raises(ParamValidationError, match="can't be the value of a header"):
                upload_file(own, folder / name, bucket, "k", content_type)
    assert stored(judge, bucket) == {}


@pytest.fixture
def added_type() -> Iterator[str]:
    mimetypes.add_type("text/x-added", ".s3bulk-added")
    yield "text/x-added"
    mimetypes.init()


def test_types_that_the_program_added_count(
    client: Any, bucket: str, judge: Any, tmp_path: Path, added_type: str
) -> None:
    (tmp_path / "a.s3bulk-added").write_bytes(b"body")
    upload_file(client, tmp_path / "a.s3bulk-added", bucket, "k")
    assert judge.head_object(Bucket=bucket, Key="k")["ContentType"] == added_type


def test_the_type_is_asked_on_the_callers_thread(
    client: Any, bucket: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    def guess_type(path: str, strict: bool = True) -> tuple[str, None]:
        asked.append((path, threading.get_ident()))
        return "text/x-mine", None

    monkeypatch.setattr(mimetypes, "guess_type", guess_type)
    upload_file(client, folder / "f", bucket, "k")
    assert asked == [(str(folder / "f"), threading.get_ident())]


def test_a_missing_bucket_is_no_such_bucket(client: Any, server: Any, folder: Path) -> None:
    with pytest.raises(ClientError) as caught:
        upload_file(client, folder / "f", "no-such-bucket", "k")
    assert caught.value.response["Error"]["Code"] == "NoSuchBucket"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert caught.value.operation_name == "PutObject"


# A MagicMock is the third kind of client.


def test_the_plain_call_is_that_of_the_original(folder: Path) -> None:
    client = MagicMock()
    bodies: list[bytes] = []

    def put_object(**arguments: Any) -> None:
        body = arguments["Body"]
        assert not body.closed
        assert body.name == str(folder / "f")
        bodies.append(body.read())

    client.put_object.side_effect = put_object
    assert upload_file(client, folder / "f", "b", "k") is None  # type: ignore[func-returns-value]
    assert bodies == [b"body"]
    (call,) = client.method_calls
    assert call.kwargs.keys() == {"Bucket", "Key", "Body", "ContentType"}
    assert (call.kwargs["Bucket"], call.kwargs["Key"]) == ("b", "k")
    assert call.kwargs["ContentType"] == "application/octet-stream"
    assert call.kwargs["Body"].closed


def test_the_plain_call_raises_what_the_client_raises(folder: Path) -> None:
    client = MagicMock()
    client.put_object.side_effect = error = RuntimeError("mine")
    with pytest.raises(RuntimeError) as caught:
        upload_file(client, folder / "f", "b", "k")
    assert caught.value is error


def test_plain_reads_again_a_file_that_changes(folder: Path) -> None:
    client = MagicMock()
    bodies: list[bytes] = []

    def put_object(**arguments: Any) -> None:
        if not bodies:
            os.truncate(folder / "f", 2)
        bodies.append(arguments["Body"].read())

    client.put_object.side_effect = put_object
    upload_file(client, folder / "f", "b", "k")
    assert bodies == [b"bo", b"bo"]


def test_plain_gives_up_on_a_file_that_goes_on_changing(folder: Path) -> None:
    client = MagicMock()
    sizes = iter(range(10, 20))
    client.put_object.side_effect = lambda **arguments: os.truncate(folder / "f", next(sizes))
    with pytest.raises(TransferError, match="changed each of the 3 times"):
        upload_file(client, folder / "f", "b", "k")
    assert client.put_object.call_count == 3
