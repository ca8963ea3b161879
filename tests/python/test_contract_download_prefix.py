"""CONTRACT.md, "`download_prefix_to_folder`": what is listed, what comes back. Hostile keys: test_hostile_keys.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError
from s3bulk import TransferOptions, download_prefix_to_folder, upload_folder

from tests.python.conftest import Listener, boto3_client, client_of, files_below, new_bucket, put_all
from tests.servers import Server


def _listed(judge: Any, bucket: str, prefix: str) -> list[str]:
    pages = judge.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [item["Key"][len(prefix) :] for page in pages for item in page.get("Contents", [])]


def test_every_object_comes_down_in_listing_order(client: Any, bucket: str, judge: Any, tmp_path: Path) -> None:
    objects = {"p/b": b"1", "p/a/z": b"2", "p/a b": b"3", "p/a.b": b"", "p/.hidden": b"4", "p/ü/日本": b"5"}
    put_all(judge, bucket, objects)
    names = download_prefix_to_folder(client, bucket, "p", tmp_path)
    assert names == _listed(judge, bucket, "p/")
    assert files_below(tmp_path) == {key[2:]: body for key, body in objects.items()}


def test_a_prefix_is_a_folder_not_a_beginning(client: Any, bucket: str, judge: Any, tmp_path: Path) -> None:
    put_all(judge, bucket, {"foo/x": b"1", "foobar/x": b"2", "foo2": b"3", "x/foo/x": b"4"})
    assert download_prefix_to_folder(client, bucket, "foo", tmp_path) == ["x"]
    assert files_below(tmp_path) == {"x": b"1"}


@pytest.mark.parametrize("prefix", ["a/b", "/a/b", "a/b/", "//a/b//"])
def test_slashes_around_the_prefix_do_not_count(
    client: Any, bucket: str, judge: Any, tmp_path: Path, prefix: str
) -> None:
    put_all(judge, bucket, {"a/b/f": b"1", "f": b"2"})
    assert download_prefix_to_folder(client, bucket, prefix, tmp_path) == ["f"]
    assert files_below(tmp_path) == {"f": b"1"}


@pytest.mark.parametrize("prefix", ["", "/", "//"])
def test_an_empty_prefix_is_everything(client: Any, bucket: str, judge: Any, tmp_path: Path, prefix: str) -> None:
    put_all(judge, bucket, {"a/f": b"1", "b": b"2"})
    assert sorted(download_prefix_to_folder(client, bucket, prefix, tmp_path)) == ["a/f", "b"]
    assert files_below(tmp_path) == {"a/f": b"1", "b": b"2"}


def test_keys_that_end_in_a_slash_are_passed_over(kind: str, moto: Server, tmp_path: Path) -> None:
    judge = boto3_client(moto)
    bucket = new_bucket(judge)
    put_all(judge, bucket, {"p/": b"", "p/empty/": b"", "p/full/": b"123", "p/f": b"1", "p//": b"x"})
    assert download_prefix_to_folder(client_of(kind, moto), bucket, "p", tmp_path) == ["f"]
    assert [path.name for path in tmp_path.rglob("*")] == ["f"]


def test_the_folder_is_made_even_when_nothing_is_found(client: Any, bucket: str, tmp_path: Path) -> None:
    target = tmp_path / "new" / "newer"
    assert download_prefix_to_folder(client, bucket, "nothing", target) == []
    assert target.is_dir()


def test_the_folder_may_be_a_link(client: Any, bucket: str, judge: Any, tmp_path: Path) -> None:
    put_all(judge, bucket, {"p/a/f": b"1"})
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert download_prefix_to_folder(client, bucket, "p", tmp_path / "link") == ["a/f"]
    assert files_below(tmp_path / "real") == {"a/f": b"1"}


def test_other_files_in_the_folder_stay(client: Any, bucket: str, judge: Any, folder: Path) -> None:
    put_all(judge, bucket, {"p/g": b"1"})
    download_prefix_to_folder(client, bucket, "p", folder)
    assert files_below(folder) == {"f": b"body", "g": b"1"}


@pytest.mark.parametrize("absolute", [False, True])
def test_a_folder_link_that_ends_inside_is_followed(
    client: Any, bucket: str, judge: Any, tmp_path: Path, absolute: bool
) -> None:
    put_all(judge, bucket, {"p/link/f": b"1", "p/link/new/g": b"2"})
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" if absolute else "real")
    assert sorted(download_prefix_to_folder(client, bucket, "p", tmp_path)) == ["link/f", "link/new/g"]
    assert (tmp_path / "link").is_symlink()
    assert files_below(tmp_path / "real") == {"f": b"1", "new/g": b"2"}


def test_more_than_a_page_comes_down(own: Any, judge: Any, bucket: str, tmp_path: Path) -> None:
    put_all(judge, bucket, {f"p/{number:04}": b"%d" % number for number in range(1_050)})
    names = download_prefix_to_folder(own, bucket, "p", tmp_path)
    assert names == [f"{number:04}" for number in range(1_050)]
    assert files_below(tmp_path) == {name: b"%d" % int(name) for name in names}


def test_large_and_small_objects_share_the_way(own: Any, bucket: str, judge: Any, tmp_path: Path) -> None:
    objects = {"p/large": os.urandom((12 << 20) + 1), **{f"p/{number}": b"small" for number in range(50)}}
    put_all(judge, bucket, objects)
    options = TransferOptions(part_size=5 << 20, multipart_threshold=5 << 20)
    names = download_prefix_to_folder(own.with_options(options), bucket, "p", tmp_path)
    assert names == _listed(judge, bucket, "p/")
    assert files_below(tmp_path) == {key[2:]: body for key, body in objects.items()}


def test_a_missing_bucket_is_no_such_bucket(client: Any, server: Server, tmp_path: Path) -> None:
    with pytest.raises(ClientError) as caught:
        download_prefix_to_folder(client, "no-such-bucket", "p", tmp_path / "new")
    assert caught.value.response["Error"]["Code"] == "NoSuchBucket"
    assert caught.value.operation_name == "ListObjectsV2"


def test_a_file_in_the_place_of_the_folder_is_an_os_error(kind: str, listener: Listener, folder: Path) -> None:
    client = client_of(kind, Server("nobody", listener.endpoint_url, "key", "secret"))
    with pytest.raises(OSError):  # noqa: PT011
        download_prefix_to_folder(client, "b", "p", folder / "f")
    assert not listener.was_called


# A MagicMock is the third kind of client.


def _listing(*pages: dict[str, Any]) -> MagicMock:
    client = MagicMock()
    client.get_paginator.return_value.paginate.return_value = iter(pages)
    client.download_fileobj.side_effect = lambda Bucket, Key, Fileobj: Fileobj.write(Key.encode())
    return client


def test_plain_calls_are_those_of_the_original(tmp_path: Path) -> None:
    client = _listing(
        {"Contents": [{"Key": "p/b"}, {"Key": "p/a/c"}]},
        {},
        {"Contents": None},
        {"Contents": [{"Key": "p/"}, {"Key": "p/z"}]},
    )
    assert download_prefix_to_folder(client, "bucket", "/p/", tmp_path) == ["b", "a/c", "z"]
    client.get_paginator.assert_called_once_with("list_objects_v2")
    client.get_paginator.return_value.paginate.assert_called_once_with(Bucket="bucket", Prefix="p/")
    keys = [call.kwargs["Key"] for call in client.download_fileobj.call_args_list]
    assert keys == ["p/b", "p/a/c", "p/z"]
    assert files_below(tmp_path) == {"b": b"p/b", "a/c": b"p/a/c", "z": b"p/z"}


def test_plain_empty_prefix_lists_everything(tmp_path: Path) -> None:
    client = _listing({"Contents": [{"Key": "a"}]})
    assert download_prefix_to_folder(client, "bucket", "", tmp_path) == ["a"]
    client.get_paginator.return_value.paginate.assert_called_once_with(Bucket="bucket", Prefix="")


def test_plain_object_gone_since_the_listing_is_an_error(tmp_path: Path) -> None:
    client = _listing({"Contents": [{"Key": "p/a"}, {"Key": "p/b"}]})
    client.download_fileobj.side_effect = ClientError({"Error": {"Code": "404", "Message": "Not Found"}}, "HeadObject")
    with pytest.raises(ClientError, match="404"):
        download_prefix_to_folder(client, "bucket", "p", tmp_path)
    assert files_below(tmp_path) == {}


def test_keys_that_meet_through_a_link_do_not_replace_each_other(
    client: Any, bucket: str, judge: Any, tmp_path: Path
) -> None:
    put_all(judge, bucket, {"p/latest/x": b"latest", "p/v1/x": b"v1"})
    (tmp_path / "v1").mkdir()
    (tmp_path / "latest").symlink_to("v1")
    with pytest.raises(ValueError, match=r'"p/(latest|v1)/x" and "p/(latest|v1)/x"') as caught:
        download_prefix_to_folder(client, bucket, "p", tmp_path)
    report = caught.value.report  # type: ignore[attr-defined]
    assert len(report.done) == len(report.failed) == 1
    assert (tmp_path / "v1" / "x").read_bytes() == report.done[0].partition("/")[0].encode()
    (tmp_path / "latest").unlink()
    assert download_prefix_to_folder(client, bucket, "p", tmp_path) == ["latest/x", "v1/x"]
    assert files_below(tmp_path) == {"latest/x": b"latest", "v1/x": b"v1"}


def test_a_folder_with_links_to_files_is_fetched_into_itself(client: Any, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "lib.so.1").write_bytes(os.urandom(200_000))
    (tmp_path / "lib.so").symlink_to("lib.so.1")
    before = files_below(tmp_path)
    assert upload_folder(client, tmp_path, bucket, "p") == ["p/lib.so", "p/lib.so.1"]
    assert download_prefix_to_folder(client, bucket, "p", tmp_path) == ["lib.so", "lib.so.1"]
    assert files_below(tmp_path) == before
    assert (tmp_path / "lib.so").is_symlink()


def test_a_folder_behind_a_link_and_dots_is_the_kernels(client: Any, bucket: str, judge: Any, tmp_path: Path) -> None:
    put_all(judge, bucket, {"p/a": b"a", "p/b/c": b"c"})
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/deep")
    assert download_prefix_to_folder(client, bucket, "p", f"{tmp_path}/link/../files") == ["a", "b/c"]
    assert files_below(tmp_path / "real" / "files") == {"a": b"a", "b/c": b"c"}
