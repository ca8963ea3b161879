"""CONTRACT.md, third kind of `s3_client`: the calls that an application's tests look for, and no other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import ANY, MagicMock, call, create_autospec

import pytest
from botocore.exceptions import ClientError
from s3bulk import (
    S3Client,
    S3ClientConfig,
    TransferOptions,
    download_file_to_path,
    download_prefix_to_folder,
    ensure_bucket_exists,
    make_s3_client,
    upload_file,
    upload_folder,
    with_options,
)

from tests.python.conftest import boto3_client, client_of, files_below, write_all
from tests.servers import Server


@pytest.fixture(params=["bare", "of boto3's", "of ours", "of ours with options", "of the protocol"])
def fake(request: pytest.FixtureRequest, moto: Server) -> Any:
    """A mock as tests make it: bare, or made to look like a client."""
    own = client_of("own", moto)
    makers: dict[str, Any] = {
        "bare": MagicMock,
        "of boto3's": lambda: MagicMock(spec=boto3_client(moto)),
        "of ours": lambda: MagicMock(spec=own),
        "of ours with options": lambda: MagicMock(spec=with_options(boto3_client(moto), TransferOptions())),
        "of the protocol": lambda: create_autospec(S3Client, instance=True),
    }
    return makers[request.param]()


def _listing(fake: Any, *pages: dict[str, Any]) -> None:
    fake.get_paginator.return_value.paginate.return_value = list(pages)


def test_a_bucket_that_is_there_is_one_call(fake: Any) -> None:
    ensure_bucket_exists(fake, "bucket", "eu-west-1")
    assert fake.mock_calls == [call.head_bucket(Bucket="bucket")]


@pytest.mark.parametrize("code", ["404", "NoSuchBucket", "NotFound"])
@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1", ""])
def test_a_bucket_that_is_not_there_is_created(fake: Any, code: str, region: str) -> None:
    fake.head_bucket.side_effect = ClientError({"Error": {"Code": code}}, "HeadBucket")
    ensure_bucket_exists(fake, "bucket", region)
    place: dict[str, Any] = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    create = call.create_bucket(Bucket="bucket", **(place if region == "eu-west-1" else {}))
    assert fake.mock_calls == [call.head_bucket(Bucket="bucket"), create]


def test_any_other_error_is_raised_as_it_is(fake: Any) -> None:
    error = ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadBucket")
    fake.head_bucket.side_effect = error
    with pytest.raises(ClientError) as caught:
        ensure_bucket_exists(fake, "bucket", "eu-west-1")
    assert caught.value is error
    fake.create_bucket.assert_not_called()


def test_a_file_is_one_put_of_an_open_file(fake: Any, folder: Path) -> None:
    seen: list[Any] = []
    fake.put_object.side_effect = lambda **arguments: seen.append((arguments["Body"].name, arguments["Body"].read()))
    assert upload_file(fake, folder / "f", "bucket", "k", "text/x-test") is None  # type: ignore[func-returns-value]
    upload_file(fake, str(folder / "f"), bucket="bucket", key="k.json", content_type=None)
    assert fake.mock_calls == [
        call.put_object(Bucket="bucket", Key="k", Body=ANY, ContentType="text/x-test"),
        call.put_object(Bucket="bucket", Key="k.json", Body=ANY, ContentType="application/octet-stream"),
    ]
    assert seen == [(str(folder / "f"), b"body")] * 2
    assert all(each.kwargs["Body"].closed for each in fake.put_object.call_args_list)


def test_a_folder_is_one_put_for_each_file_in_order(fake: Any, tmp_path: Path) -> None:
    write_all(tmp_path, {"b.txt": b"", "a/z": b"", "a.json": b"", ".hidden": b""})
    keys = upload_folder(fake, tmp_path, "bucket", "/p/")
    assert keys == ["p/.hidden", "p/a/z", "p/a.json", "p/b.txt"]
    types = ["application/octet-stream", "application/octet-stream", "application/json", "text/plain"]
    assert fake.mock_calls == [
        call.put_object(Bucket="bucket", Key=key, Body=ANY, ContentType=content_type)
        for key, content_type in zip(keys, types, strict=True)
    ]


def test_a_download_is_one_call_with_an_open_file(fake: Any, tmp_path: Path) -> None:
    fake.download_fileobj.side_effect = lambda **arguments: arguments["Fileobj"].write(b"new")
    download_file_to_path(fake, "bucket", "k", tmp_path / "deep" / "er" / "f")
    assert fake.mock_calls == [call.download_fileobj(Bucket="bucket", Key="k", Fileobj=ANY)]
    assert files_below(tmp_path) == {"deep/er/f": b"new"}


def test_positional_fakes_take_the_keywords(tmp_path: Path) -> None:
    def download_fileobj(Bucket: str, Key: str, Fileobj: Any) -> None:
        Fileobj.write(f"{Bucket}/{Key}".encode())

    download_file_to_path(SimpleNamespace(download_fileobj=download_fileobj), "bucket", "k", tmp_path / "f")
    assert files_below(tmp_path) == {"f": b"bucket/k"}


def test_a_fake_that_fails_half_way_leaves_the_old_file(fake: Any, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")

    def download_fileobj(**arguments: Any) -> None:
        arguments["Fileobj"].write(b"half")
        raise ClientError({"Error": {"Code": "404", "Message": "Not Found"}}, "HeadObject")

    fake.download_fileobj.side_effect = download_fileobj
    with pytest.raises(ClientError, match="404"):
        download_file_to_path(fake, "bucket", "k", tmp_path / "f")
    assert fake.download_fileobj.call_count == 1
    assert files_below(tmp_path) == {"f": b"old"}


def test_a_prefix_is_listed_and_fetched_in_the_order_of_its_listing(fake: Any, tmp_path: Path) -> None:
    fake.download_fileobj.side_effect = lambda **arguments: arguments["Fileobj"].write(arguments["Key"].encode())
    keys = ["p/z", "p/a/b", "p/", "p/dir/", "p/c"]
    _listing(fake, {"Contents": [{"Key": key} for key in keys[:3]]}, {}, {"Contents": None}, {"Contents": []})
    fake.get_paginator.return_value.paginate.return_value.append({"Contents": [{"Key": key} for key in keys[3:]]})
    assert download_prefix_to_folder(fake, "bucket", "p", tmp_path) == ["z", "a/b", "c"]
    assert fake.mock_calls == [
        call.get_paginator("list_objects_v2"),
        call.get_paginator().paginate(Bucket="bucket", Prefix="p/"),
        *(call.download_fileobj(Bucket="bucket", Key=key, Fileobj=ANY) for key in ("p/z", "p/a/b", "p/c")),
    ]
    assert files_below(tmp_path) == {"z": b"p/z", "a/b": b"p/a/b", "c": b"p/c"}


def test_an_empty_listing_makes_the_folder(fake: Any, tmp_path: Path) -> None:
    _listing(fake, {})
    assert download_prefix_to_folder(fake, "bucket", "", tmp_path / "new" / "folder") == []
    fake.get_paginator.return_value.paginate.assert_called_once_with(Bucket="bucket", Prefix="")
    assert (tmp_path / "new" / "folder").is_dir()


@pytest.mark.parametrize("key", ["p/../../x", "p//etc/passwd", "p/a/../b", "p/.."])
def test_a_key_that_leads_outside_is_refused(fake: Any, key: str, tmp_path: Path) -> None:
    _listing(fake, {"Contents": [{"Key": "p/good"}, {"Key": key}]})
    with pytest.raises(ValueError, match="suspicious S3 key"):
        download_prefix_to_folder(fake, "bucket", "p", tmp_path / "down")
    fake.download_fileobj.assert_not_called()
    assert files_below(tmp_path) == {}


def test_a_link_that_leads_outside_is_refused(fake: Any, tmp_path: Path) -> None:
    (tmp_path / "down").mkdir()
    (tmp_path / "down" / "out").symlink_to(tmp_path)
    _listing(fake, {"Contents": [{"Key": "p/out/x"}]})
    with pytest.raises(ValueError, match="Refusing to write outside local_dir; suspicious S3 key"):
        download_prefix_to_folder(fake, "bucket", "p", tmp_path / "down")
    assert not (tmp_path / "x").exists()


def test_nothing_is_called_for_what_is_refused_before(fake: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Local file not found: "):
        upload_file(fake, tmp_path / "none", "bucket", "k")
    with pytest.raises(FileNotFoundError, match="Local file not found: "):
        upload_file(fake, tmp_path, "bucket", "k")
    with pytest.raises(ValueError, match="local_dir does not exist or is not a directory: "):
        upload_folder(fake, tmp_path / "none", "bucket", "p")
    (tmp_path / "empty").mkdir()
    assert upload_folder(fake, tmp_path / "empty", "bucket", "p") == []
    assert fake.mock_calls == []


def test_a_link_to_a_folder_that_is_not_there_yet_is_followed(fake: Any, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("new")
    fake.download_fileobj.side_effect = lambda **arguments: arguments["Fileobj"].write(b"x")
    _listing(fake, {"Contents": [{"Key": "p/link/a"}, {"Key": "p/b/."}]})
    assert download_prefix_to_folder(fake, "b", "p", tmp_path) == ["link/a", "b/."]
    assert (tmp_path / "new" / "a").is_file()
    assert (tmp_path / "b").is_file()


def test_an_exception_that_is_raised_twice_has_the_report_of_the_last_call(fake: Any, tmp_path: Path) -> None:
    write_all(tmp_path, {"a": b"1", "b": b"2", "c": b"3"})
    error = ClientError({"Error": {"Code": "X"}}, "PutObject")
    for done in (1, 2):
        fake.put_object.side_effect = [None] * done + [error]
        with pytest.raises(ClientError) as caught:
            upload_folder(fake, tmp_path, "b", "p")
        assert len(caught.value.report.done) == done  # type: ignore[attr-defined]


def test_an_interruption_has_a_report(fake: Any, tmp_path: Path) -> None:
    write_all(tmp_path, {"a": b"1", "b": b"2"})
    fake.put_object.side_effect = [None, KeyboardInterrupt]
    with pytest.raises(KeyboardInterrupt) as caught:
        upload_folder(fake, tmp_path, "b", "p")
    assert caught.value.report.done == ["p/a"]  # type: ignore[attr-defined]


def test_boto3_is_patched_by_way_of_this_module_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = MagicMock()
    monkeypatch.setattr("s3bulk.boto3.client", made)
    upload_file(make_s3_client(S3ClientConfig("http://127.0.0.1:1", "us-east-1")), folder / "f", "b", "k")
    made.return_value.put_object.assert_called_once()
