"""CONTRACT.md, "Arguments": checked before a file is opened or a request is made, as boto3 checks them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import s3bulk
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    InvalidRegionError,
    InvalidS3AddressingStyleError,
    ParamValidationError,
)
from s3bulk import S3ClientConfig, download_file_to_path, make_s3_client, upload_file, upload_folder

from tests.python.conftest import CALLS, Listener, boto3_client, client_of, files_below, new_bucket, stored, write_all
from tests.servers import Server

_BAD_BUCKETS = ["", "a/b", "with space", "ü", "x" * 256, "arn:aws:s3:::bucket", "a?b", "a\nb"]


def _of(kind: str, listener: Listener) -> Any:
    return client_of(kind, Server("nobody", listener.endpoint_url, "key", "secret"))


def _boto3_report(call: Any) -> str:
    with pytest.raises(ParamValidationError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("bucket", _BAD_BUCKETS)
@pytest.mark.parametrize("name", CALLS)
def test_a_bad_bucket_is_refused_as_boto3_does(
    name: str, bucket: str, kind: str, listener: Listener, folder: Path
) -> None:
    client = _of(kind, listener)
    before = files_below(folder)
    with pytest.raises(ParamValidationError) as caught:
        CALLS[name](client, bucket, folder)
    boto3 = _of("boto3", listener)
    assert str(caught.value) == _boto3_report(lambda: boto3.head_bucket(Bucket=bucket))
    assert not listener.was_called
    assert files_below(folder) == before


@pytest.mark.parametrize(
    "bucket",
    [
        "arn:aws:s3:us-east-1:123456789012:accesspoint/mine",
        "arn:aws:s3-outposts:us-east-1:123456789012:outpost/op-1/accesspoint/mine",
        "A_b.c-1",
        "x" * 255,
    ],
)
def test_a_bucket_that_boto3_lets_pass_gets_past_the_check(bucket: str) -> None:
    from s3bulk._parameters import check_bucket

    check_bucket(bucket)


@pytest.mark.parametrize("bucket", [None, 5, b"bytes"])
@pytest.mark.parametrize("name", CALLS)
def test_a_bucket_that_is_no_string_is_a_type_error(
    name: str, bucket: Any, kind: str, listener: Listener, folder: Path
) -> None:
    with pytest.raises(TypeError):
        CALLS[name](_of(kind, listener), bucket, folder)
    assert not listener.was_called


@pytest.mark.parametrize("key", ["", None, 5, b"bytes"])
def test_a_bad_key_is_refused_as_boto3_does(key: Any, kind: str, listener: Listener, folder: Path) -> None:
    client, boto3 = _of(kind, listener), _of("boto3", listener)
    expected = _boto3_report(lambda: boto3.head_object(Bucket="b", Key=key))
    with pytest.raises(ParamValidationError) as up:
        upload_file(client, folder / "f", "b", key)
    with pytest.raises(ParamValidationError) as down:
        download_file_to_path(client, "b", key, folder / "new" / "file")
    assert (str(up.value), str(down.value)) == (expected, expected)
    assert not listener.was_called
    assert not (folder / "new").exists()


def test_the_key_is_checked_before_the_file(kind: str, listener: Listener, tmp_path: Path) -> None:
    with pytest.raises(ParamValidationError):
        upload_file(_of(kind, listener), tmp_path / "missing", "b", "")


def test_a_key_of_more_than_1024_bytes_is_left_to_the_server(kind: str, seaweedfs: Server, folder: Path) -> None:
    judge = boto3_client(seaweedfs)
    bucket = new_bucket(judge)
    with pytest.raises(ClientError) as expected:
        judge.put_object(Bucket=bucket, Key="k" * 1025, Body=b"")
    with pytest.raises(ClientError) as caught:
        upload_file(client_of(kind, seaweedfs), folder / "f", bucket, "k" * 1025)
    assert caught.value.response["Error"]["Code"] == expected.value.response["Error"]["Code"]


@pytest.mark.parametrize("name", ["upload_file", "download_file_to_path", "upload_folder", "download_prefix_to_folder"])
@pytest.mark.parametrize("path", [b"bytes", 5, None])
def test_a_path_that_is_no_path_is_a_type_error(name: str, path: Any, kind: str, listener: Listener) -> None:
    arguments: dict[str, tuple[Any, ...]] = {
        "upload_file": (path, "b", "k"),
        "download_file_to_path": ("b", "k", path),
        "upload_folder": (path, "b", "p"),
        "download_prefix_to_folder": ("b", "p", path),
    }
    with pytest.raises(TypeError):
        getattr(s3bulk, name)(_of(kind, listener), *arguments[name])
    assert not listener.was_called


class _OtherPath:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return str(self._path)


@pytest.mark.parametrize("made", [str, Path, _OtherPath], ids=["str", "Path", "PathLike"])
def test_a_path_is_str_or_path_like(made: Any, client: Any, bucket: str, judge: Any, folder: Path) -> None:
    upload_file(client, made(folder / "f"), bucket, "k")
    upload_folder(client, made(folder), bucket, "p")
    assert stored(judge, bucket) == {"k": b"body", "p/f": b"body"}
    download_file_to_path(client, bucket, "k", made(folder / "file"))
    s3bulk.download_prefix_to_folder(client, bucket, "p", made(folder / "down"))
    assert files_below(folder) == {"f": b"body", "file": b"body", "down/f": b"body"}


def test_a_tilde_is_an_ordinary_character(
    client: Any, bucket: str, judge: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write_all(tmp_path, {"~/f": b"here"})
    upload_file(client, "~/f", bucket, "k")
    download_file_to_path(client, bucket, "k", "~/g")
    assert stored(judge, bucket) == {"k": b"here"}
    assert files_below(tmp_path) == {"~/f": b"here", "~/g": b"here"}


def test_arguments_can_be_given_by_name(client: Any, bucket: str, judge: Any, folder: Path) -> None:
    s3bulk.ensure_bucket_exists(s3_client=client, bucket=bucket, region="us-east-1")
    upload_file(s3_client=client, local_path=folder / "f", bucket=bucket, key="k", content_type="text/x-mine")
    assert judge.head_object(Bucket=bucket, Key="k")["ContentType"] == "text/x-mine"
    download_file_to_path(s3_client=client, bucket=bucket, key="k", local_path=folder / "g")
    assert upload_folder(s3_client=client, local_dir=folder, bucket=bucket, key_prefix="p") == ["p/f", "p/g"]
    down = s3bulk.download_prefix_to_folder(s3_client=client, bucket=bucket, key_prefix="p", local_dir=folder / "down")
    assert sorted(down) == ["f", "g"]


@pytest.mark.parametrize("endpoint", ["localhost:9000", "localhost", "", "//host", "http://", "ftp://host"])
def test_an_endpoint_without_scheme_or_host_is_a_value_error(endpoint: str) -> None:
    with pytest.raises(ValueError, match="Invalid endpoint"):
        make_s3_client(S3ClientConfig(endpoint, "us-east-1"))


def test_no_endpoint_means_that_of_aws() -> None:
    none: Any = None
    client = make_s3_client(S3ClientConfig(none, "eu-central-1", access_key="key", secret_key="secret"))
    assert client.meta.endpoint_url == "https://s3.eu-central-1.amazonaws.com"


@pytest.mark.parametrize("region", ["with space", "-x", "x-", "123", "a/b", "a.b", "x" * 64])
def test_a_bad_region_is_refused_as_boto3_does(region: str, moto: Server) -> None:
    with pytest.raises(InvalidRegionError) as expected:
        boto3_client(moto, region)
    with pytest.raises(InvalidRegionError) as caught:
        client_of("own", moto, region)
    assert str(caught.value) == str(expected.value)


def test_a_bad_addressing_style_is_refused_as_boto3_does() -> None:
    style: Any = "sideways"
    with pytest.raises(InvalidS3AddressingStyleError, match="sideways is invalid"):
        make_s3_client(S3ClientConfig("http://h", "us-east-1", style))


def test_a_relative_path_is_relative_to_the_working_directory(
    client: Any, bucket: str, judge: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    upload_file(client, "f", bucket, "k")
    assert upload_folder(client, ".", bucket, "") == ["f"]
    download_file_to_path(client, bucket, "k", "g")
    s3bulk.download_prefix_to_folder(client, bucket, "", os.curdir)
    assert files_below(folder) == {"f": b"body", "g": b"body", "k": b"body"}


def test_an_empty_path_is_the_current_folder(
    client: Any, bucket: str, judge: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write_all(tmp_path / "up", {"a": b"1", "b/c": b"2"}))
    assert upload_folder(client, "", bucket, "p") == ["p/a", "p/b/c"]
    (tmp_path / "down").mkdir()
    monkeypatch.chdir(tmp_path / "down")
    assert s3bulk.download_prefix_to_folder(client, bucket, "p", "") == ["a", "b/c"]
    assert files_below(tmp_path / "down") == {"a": b"1", "b/c": b"2"}
    with pytest.raises(FileNotFoundError):
        upload_file(client, "", bucket, "k")


@pytest.mark.parametrize("kind", ["own", "boto3"])
@pytest.mark.parametrize("name", CALLS)
def test_a_line_break_at_the_end_of_a_key_is_named(name: str, kind: str, listener: Listener, folder: Path) -> None:
    client = client_of(kind, Server("nobody", listener.endpoint_url, "key", "secret"), access_key="key\n")
    ours = "the access key holds a character that no header can hold"
    # Buckets of a boto3 client are made by the client itself.
    with pytest.raises((CredentialRetrievalError, HTTPClientError), match=f"{ours}|Invalid header value"):
        CALLS[name](client, "bucket", folder)
    assert not listener.was_called


def test_a_line_break_at_the_end_of_a_region_is_no_region(listener: Listener, folder: Path) -> None:
    with pytest.raises(InvalidRegionError):
        make_s3_client(S3ClientConfig(listener.endpoint_url, "us-east-1\n"))
    client = boto3_client(Server("nobody", listener.endpoint_url, "key", "secret"), "us-east-1\n")
    with pytest.raises(InvalidRegionError, match="us-east-1"):
        upload_file(client, folder / "f", "bucket", "k")
    assert not listener.was_called
