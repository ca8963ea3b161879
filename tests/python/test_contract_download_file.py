"""CONTRACT.md, "`download_file_to_path`" and "Replacing an existing path"."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError
from s3bulk import TransferOptions, download_file_to_path, download_prefix_to_folder

from tests.python.conftest import files_below
from tests.python.unprivileged import folder_of_somebody, without_privileges

MIB = 1 << 20


@pytest.fixture
def key(judge: Any, bucket: str) -> str:
    judge.put_object(Bucket=bucket, Key="a/k", Body=b"body")
    return "a/k"


@pytest.mark.parametrize("body", [b"", b"body", os.urandom(3 * MIB)], ids=["empty", "small", "3 MiB"])
def test_an_object_becomes_a_file(client: Any, bucket: str, judge: Any, tmp_path: Path, body: bytes) -> None:
    judge.put_object(Bucket=bucket, Key="k", Body=body)
    assert download_file_to_path(client, bucket, "k", tmp_path / "f") is None  # type: ignore[func-returns-value]
    assert files_below(tmp_path) == {"f": body}


def test_a_large_object_comes_down_in_ranges(own: Any, bucket: str, judge: Any, tmp_path: Path) -> None:
    body = os.urandom(12 * MIB + 1)
    judge.put_object(Bucket=bucket, Key="k", Body=body)
    options = TransferOptions(part_size=5 * MIB, multipart_threshold=5 * MIB)
    download_file_to_path(own.with_options(options), bucket, "k", tmp_path / "f")
    assert files_below(tmp_path) == {"f": body}


def test_missing_parents_are_made(client: Any, bucket: str, key: str, tmp_path: Path) -> None:
    download_file_to_path(client, bucket, key, tmp_path / "x" / "y" / "f")
    assert files_below(tmp_path) == {"x/y/f": b"body"}


def test_parents_may_be_links(client: Any, bucket: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    download_file_to_path(client, bucket, key, tmp_path / "link" / "new" / "f")
    assert (tmp_path / "real" / "new" / "f").read_bytes() == b"body"


@pytest.mark.parametrize("missing", ["key", "bucket"])
def test_a_missing_object_is_404_of_head_object(client: Any, bucket: str, tmp_path: Path, missing: str) -> None:
    (tmp_path / "f").write_bytes(b"old")
    with pytest.raises(ClientError) as caught:
        download_file_to_path(client, bucket if missing == "key" else "no-such-bucket", "k", tmp_path / "f")
    assert caught.value.response["Error"]["Code"] == "404"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert caught.value.operation_name == "HeadObject"
    assert files_below(tmp_path) == {"f": b"old"}


@pytest.fixture(params=["download_file_to_path", "download_prefix_to_folder"])
def download(request: pytest.FixtureRequest, client: Any, bucket: str, judge: Any) -> Any:
    """Fetches the object `p/f` ("body") into `folder / "f"`, by both functions."""
    judge.put_object(Bucket=bucket, Key="p/f", Body=b"body")

    def run(folder: Path) -> None:
        if request.param == "download_file_to_path":
            download_file_to_path(client, bucket, "p/f", folder / "f")
        else:
            assert download_prefix_to_folder(client, bucket, "p", folder) == ["f"]

    return run


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o444])
def test_a_replaced_file_keeps_its_permission_bits(download: Any, tmp_path: Path, mode: int) -> None:
    (tmp_path / "f").write_bytes(b"old and longer")
    (tmp_path / "f").chmod(mode)
    download(tmp_path)
    assert files_below(tmp_path) == {"f": b"body"}
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == mode


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_a_new_file_gets_the_bits_that_the_umask_leaves(download: Any, tmp_path: Path, umask: int) -> None:
    download(tmp_path)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o666 & ~umask


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_replaced_file_keeps_its_owner(download: Any, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    os.chown(tmp_path / "f", 12345, 54321)
    download(tmp_path)
    status = (tmp_path / "f").stat()
    assert (status.st_uid, status.st_gid) == (12345, 54321)


def test_a_link_stays_a_link(download: Any, tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "f").symlink_to("real")
    download(tmp_path)
    assert (tmp_path / "f").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"body"


def test_a_link_to_nothing_yet_stays_a_link(download: Any, tmp_path: Path) -> None:
    (tmp_path / "f").symlink_to("new")
    download(tmp_path)
    assert (tmp_path / "f").is_symlink()
    assert (tmp_path / "new").read_bytes() == b"body"


def test_a_directory_is_in_the_way(download: Any, tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    with pytest.raises(IsADirectoryError):
        download(tmp_path)
    assert list((tmp_path / "f").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_device_stays_a_device(client: Any, bucket: str, key: str) -> None:
    download_file_to_path(client, bucket, key, "/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_fifo_is_written_straight(client: Any, bucket: str, key: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "fifo").read_bytes()), daemon=True)
    reader.start()
    download_file_to_path(client, bucket, key, tmp_path / "fifo")
    reader.join(10)
    assert read == [b"body"]
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_folder_that_takes_no_file_is_an_os_error_and_the_old_bytes_stay(download: Any) -> None:
    def attempt() -> None:
        (folder / "f").write_bytes(b"old")
        folder.chmod(0o500)
        try:
            with pytest.raises(PermissionError):
                download(folder)
            assert files_below(folder) == {"f": b"old"}
        finally:
            folder.chmod(0o700)

    with folder_of_somebody() as folder:
        without_privileges(attempt)


def test_a_parent_that_is_a_file_is_an_os_error(client: Any, bucket: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(OSError):  # noqa: PT011
        download_file_to_path(client, bucket, key, tmp_path / "file" / "f")
    assert files_below(tmp_path) == {"file": b"old"}


def test_hard_links_to_the_old_file_keep_the_old_bytes(download: Any, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "f").write_bytes(b"old")
    os.link(folder / "f", tmp_path / "other")
    download(folder)
    assert ((folder / "f").read_bytes(), (tmp_path / "other").read_bytes()) == (b"body", b"old")


# A MagicMock is the third kind of client.


def test_the_plain_call_is_that_of_the_original(tmp_path: Path) -> None:
    client = MagicMock()
    client.download_fileobj.side_effect = lambda Bucket, Key, Fileobj: Fileobj.write(b"plain")
    download_file_to_path(client, "b", "k", tmp_path / "new" / "f")
    (call,) = client.method_calls
    assert call.kwargs.keys() == {"Bucket", "Key", "Fileobj"}
    assert (call.kwargs["Bucket"], call.kwargs["Key"]) == ("b", "k")
    assert files_below(tmp_path) == {"new/f": b"plain"}


def test_a_plain_call_that_fails_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    error = RuntimeError("cut")

    def download_fileobj(**arguments: Any) -> None:
        arguments["Fileobj"].write(b"half")
        arguments["Fileobj"].flush()
        assert files_below(tmp_path)["f"] == b"old"
        raise error

    client = MagicMock()
    client.download_fileobj.side_effect = download_fileobj
    with pytest.raises(RuntimeError) as caught:
        download_file_to_path(client, "b", "k", tmp_path / "f")
    assert caught.value is error
    assert files_below(tmp_path) == {"f": b"old"}


def test_a_plain_client_may_close_the_file(tmp_path: Path) -> None:
    def download_fileobj(**arguments: Any) -> None:
        with arguments["Fileobj"] as file:
            file.write(b"plain")

    client = MagicMock()
    client.download_fileobj.side_effect = download_fileobj
    download_file_to_path(client, "b", "k", tmp_path / "f")
    assert files_below(tmp_path) == {"f": b"plain"}
