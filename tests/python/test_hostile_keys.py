"""Keys and links that would lead outside, keys that need the same place: refused before a page is written.

On moto's server, which stores such keys as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from s3bulk import download_prefix_to_folder

from tests.python.conftest import boto3_client, client_of, files_below, put_all
from tests.servers import Server

_HOSTILE = ["../x", "a/../../x", "a/../b", "..", "a/..", "/etc/x", "//x", ".", "./.", "a/b/../../../x"]


@pytest.fixture
def judge(moto: Server) -> Any:
    return boto3_client(moto)


@pytest.fixture
def client(kind: str, moto: Server) -> Any:
    return client_of(kind, moto)


def _all_below(tmp_path: Path) -> list[str]:
    return sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("prefix", ["p", ""])
@pytest.mark.parametrize("remainder", _HOSTILE)
def test_a_key_that_leads_outside_is_refused_before_anything_is_written(
    client: Any, bucket: str, judge: Any, tmp_path: Path, remainder: str, prefix: str
) -> None:
    key = f"{prefix}/{remainder}" if prefix else remainder
    put_all(judge, bucket, {f"{prefix}/!first" if prefix else "!first": b"1", key: b"2", f"{key}~": b"3"})
    with pytest.raises(ValueError, match=r"^Refusing to write outside local_dir; suspicious S3 key: ") as caught:
        download_prefix_to_folder(client, bucket, prefix, tmp_path / "a" / "b")
    assert remainder in str(caught.value)
    assert _all_below(tmp_path) == ["a", "a/b"]


def test_a_key_with_a_nul_is_refused(tmp_path: Path) -> None:
    client = MagicMock()
    client.get_paginator.return_value.paginate.return_value = [{"Contents": [{"Key": "p/ok"}, {"Key": "p/a\0b"}]}]
    with pytest.raises(ValueError, match=r"^Refusing to write outside local_dir; suspicious S3 key: "):
        download_prefix_to_folder(client, "b", "p", tmp_path)
    assert files_below(tmp_path) == {}
    client.download_fileobj.assert_not_called()


@pytest.mark.parametrize(
    ("first", "second"),
    [("a", "a/b"), ("x//y", "x/y"), ("./a", "a"), ("a/./b", "a/b"), ("a", "a//b"), ("a/b/c", "a/b")],
)
def test_keys_that_need_the_same_place_are_refused_and_named(
    client: Any, bucket: str, judge: Any, tmp_path: Path, first: str, second: str
) -> None:
    put_all(judge, bucket, {"p/!first": b"0", f"p/{first}": b"1", f"p/{second}": b"2"})
    with pytest.raises(ValueError, match="p/") as caught:
        download_prefix_to_folder(client, bucket, "p", tmp_path)
    assert f"p/{first}" in str(caught.value)
    assert f"p/{second}" in str(caught.value)
    assert files_below(tmp_path) == {}


def test_double_slashes_and_dots_fold_on_disk_and_come_back_raw(
    client: Any, bucket: str, judge: Any, tmp_path: Path
) -> None:
    put_all(judge, bucket, {"p/a//b": b"1", "p/./c": b"2", "p/d/./e": b"3", "p/...": b"4", "p/..f": b"5"})
    names = download_prefix_to_folder(client, bucket, "p", tmp_path)
    assert sorted(names) == sorted(["a//b", "./c", "d/./e", "...", "..f"])
    assert files_below(tmp_path) == {"a/b": b"1", "c": b"2", "d/e": b"3", "...": b"4", "..f": b"5"}


def test_a_backslash_is_an_ordinary_character(client: Any, bucket: str, judge: Any, tmp_path: Path) -> None:
    put_all(judge, bucket, {"p/..\\x": b"1", "p/a\\b": b"2"})
    assert sorted(download_prefix_to_folder(client, bucket, "p", tmp_path)) == ["..\\x", "a\\b"]
    assert files_below(tmp_path) == {"..\\x": b"1", "a\\b": b"2"}


@pytest.mark.parametrize("key", ["p/link/f", "p/link"])
@pytest.mark.parametrize("absolute", [False, True])
def test_a_link_that_leads_outside_is_refused_before_anything_is_written(
    client: Any, bucket: str, judge: Any, tmp_path: Path, key: str, absolute: bool
) -> None:
    put_all(judge, bucket, {"p/!first": b"1", key: b"2"})
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    target = outside if key == "p/link/f" else outside / "new"
    (root / "link").symlink_to(target if absolute else Path("..") / target.relative_to(tmp_path))
    with pytest.raises(ValueError, match=f"^Refusing to write outside local_dir; suspicious S3 key: {key}"):
        download_prefix_to_folder(client, bucket, "p", root)
    assert _all_below(tmp_path) == ["outside", "root", "root/link"]


@pytest.mark.parametrize("absolute", [False, True])
def test_a_link_to_the_folder_itself_is_followed(
    client: Any, bucket: str, judge: Any, tmp_path: Path, absolute: bool
) -> None:
    put_all(judge, bucket, {"p/self/a": b"1"})
    root = tmp_path / "root"
    root.mkdir()
    (root / "self").symlink_to(root if absolute else ".")
    assert download_prefix_to_folder(client, bucket, "p", root) == ["self/a"]
    assert (root / "a").read_bytes() == b"1"
    assert (root / "self").is_symlink()


def test_a_bad_page_comes_after_a_good_one(tmp_path: Path) -> None:
    client = MagicMock()
    client.get_paginator.return_value.paginate.return_value = [
        {"Contents": [{"Key": "p/a"}]},
        {"Contents": [{"Key": "p/b"}, {"Key": "p/a/c"}]},
    ]
    client.download_fileobj.side_effect = lambda Bucket, Key, Fileobj: Fileobj.write(b"1")
    with pytest.raises(ValueError, match="p/a") as caught:
        download_prefix_to_folder(client, "b", "p", tmp_path)
    assert "p/a/c" in str(caught.value)
    assert files_below(tmp_path) == {"a": b"1"}
    report: Any = caught.value.report  # type: ignore[attr-defined]
    assert report.done == ["a"]
