"""CONTRACT.md, "`upload_folder`"."""

from __future__ import annotations

import mimetypes
import os
import threading
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError
from s3bulk import upload_folder

from tests.python.conftest import Listener, client_of, stored, write_all
from tests.python.unprivileged import folder_of_somebody, without_privileges
from tests.servers import Server

_TREE = {
    "b.txt": b"1",
    "a/z": b"2",
    "a-b/c": b"3",
    "a.b": b"4",
    "a/.hidden": b"5",
    ".top/f": b"6",
    "B": b"",
    "a/a/a/a": b"7",
    "z" * 200: b"8",
}


def _contract_order(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]


def test_every_file_goes_up_and_the_keys_come_back_in_sorted_order(
    client: Any, bucket: str, judge: Any, tmp_path: Path
) -> None:
    write_all(tmp_path, _TREE)
    keys = upload_folder(client, tmp_path, bucket, "p")
    assert keys == [f"p/{name}" for name in _contract_order(tmp_path)]
    assert stored(judge, bucket) == {f"p/{name}": body for name, body in _TREE.items()}


def test_order_is_by_component_not_by_text(client: Any, bucket: str, tmp_path: Path) -> None:
    write_all(tmp_path, {"a/b": b"", "a-b": b"", "a.b": b"", "a b": b"", "a/a": b""})
    assert upload_folder(client, tmp_path, bucket, "") == ["a/a", "a/b", "a b", "a-b", "a.b"]


def test_the_order_does_not_depend_on_what_finishes_first(own: Any, bucket: str, tmp_path: Path) -> None:
    names = [f"{number:03}" for number in range(200)]
    write_all(tmp_path, {name: os.urandom(300_000 if at % 50 == 0 else 10) for at, name in enumerate(names)})
    assert upload_folder(own, tmp_path, bucket, "p") == [f"p/{name}" for name in names]


@pytest.mark.parametrize(
    ("prefix", "key"),
    [("", "f"), ("/", "f"), ("p", "p/f"), ("/p/", "p/f"), ("//p/q//", "p/q/f"), ("p q/ü", "p q/ü/f"), (" ", " /f")],
)
def test_slashes_around_the_prefix_do_not_count(
    client: Any, bucket: str, judge: Any, folder: Path, prefix: str, key: str
) -> None:
    assert upload_folder(client, folder, bucket, prefix) == [key]
    assert stored(judge, bucket) == {key: b"body"}


@pytest.mark.parametrize("name", ["missing", "f", "broken"])
def test_what_is_no_directory_is_a_value_error(kind: str, listener: Listener, folder: Path, name: str) -> None:
    (folder / "broken").symlink_to("nowhere")
    client = client_of(kind, Server("nobody", listener.endpoint_url, "key", "secret"))
    with pytest.raises(ValueError, match="local_dir does not exist or is not a directory: ") as caught:
        upload_folder(client, folder / name, "b", "p")
    assert str(caught.value).startswith(f"local_dir does not exist or is not a directory: {folder / name}")
    assert not listener.was_called


def test_an_empty_folder_makes_no_request(kind: str, listener: Listener, tmp_path: Path) -> None:
    (tmp_path / "empty" / "emptier").mkdir(parents=True)
    client = client_of(kind, Server("nobody", listener.endpoint_url, "key", "secret"))
    assert upload_folder(client, tmp_path, "b", "p") == []
    assert not listener.was_called


def test_links_to_files_are_followed_and_links_to_folders_not(
    client: Any, bucket: str, judge: Any, tmp_path: Path
) -> None:
    write_all(tmp_path, {"outside/f": b"outside", "root/a": b"a"})
    root = tmp_path / "root"
    (root / "file-link").symlink_to("a")
    (root / "far-link").symlink_to(tmp_path / "outside" / "f")
    (root / "folder-link").symlink_to(tmp_path / "outside")
    (root / "broken-link").symlink_to("nowhere")
    (root / "loop").symlink_to(root)
    assert upload_folder(client, root, bucket, "") == ["a", "far-link", "file-link"]
    assert stored(judge, bucket) == {"a": b"a", "far-link": b"outside", "file-link": b"a"}


def test_the_folder_itself_may_be_a_link(client: Any, bucket: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert upload_folder(client, tmp_path / "link", bucket, "p") == ["p/f"]


def test_what_is_neither_file_nor_folder_is_passed_over(client: Any, bucket: str, folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    (folder / "null").symlink_to("/dev/null")
    assert upload_folder(client, folder, bucket, "p") == ["p/f"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_an_unreadable_directory_is_an_error(client: Any, bucket: str) -> None:
    def attempt() -> None:
        (folder / "closed").mkdir(mode=0)
        try:
            with pytest.raises(PermissionError) as caught:
                upload_folder(client, folder, bucket, "p")
            assert "closed" in str(caught.value)
        finally:
            (folder / "closed").chmod(0o700)

    with folder_of_somebody() as folder:
        without_privileges(attempt)


def test_a_name_that_is_not_utf8_is_an_error_that_names_it(client: Any, bucket: str, judge: Any, folder: Path) -> None:
    with open(os.path.join(os.fsencode(folder), b"b\xffd"), "wb"):
        pass
    with pytest.raises(ValueError, match=r"b.*d"):
        upload_folder(client, folder, bucket, "p")
    assert stored(judge, bucket) == {}


def test_content_types_are_guessed_by_name(client: Any, bucket: str, judge: Any, tmp_path: Path) -> None:
    types = {"a.txt": "text/plain", "b/c.html": "text/html", "d.json": "application/json", "e": None, ".hidden": None}
    write_all(tmp_path, dict.fromkeys(types, b"x"))
    upload_folder(client, tmp_path, bucket, "p")
    found = {name: judge.head_object(Bucket=bucket, Key=f"p/{name}")["ContentType"] for name in types}
    assert found == {name: guessed or "application/octet-stream" for name, guessed in types.items()}


def test_a_type_is_asked_once_for_each_kind_of_name_on_the_callers_thread(
    own: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(tmp_path, {f"{number}{suffix}": b"" for number in range(50) for suffix in (".a", ".b")})
    real, asked = mimetypes.guess_type, []

    def guess_type(path: str, strict: bool = True) -> tuple[str | None, str | None]:
        asked.append((os.path.splitext(path)[1], threading.get_ident()))
        return real(path, strict)

    monkeypatch.setattr(mimetypes, "guess_type", guess_type)
    assert len(upload_folder(own, tmp_path, bucket, "p")) == 100
    assert sorted(asked) == [(".a", threading.get_ident()), (".b", threading.get_ident())]


def test_a_missing_bucket_is_no_such_bucket(client: Any, folder: Path) -> None:
    with pytest.raises(ClientError) as caught:
        upload_folder(client, folder, "no-such-bucket", "p")
    assert caught.value.response["Error"]["Code"] == "NoSuchBucket"
    assert caught.value.operation_name == "PutObject"


def test_plain_calls_are_those_of_the_original(tmp_path: Path) -> None:
    write_all(tmp_path, {"b/c.txt": b"2", "a": b"1"})
    client, bodies = MagicMock(), []
    client.put_object.side_effect = lambda **arguments: bodies.append(arguments["Body"].read())
    assert upload_folder(client, tmp_path, "bucket", "/p/") == ["p/a", "p/b/c.txt"]
    names = ("Bucket", "Key", "ContentType")
    assert [(call[0], *map(call.kwargs.get, names)) for call in client.method_calls] == [
        ("put_object", "bucket", "p/a", "application/octet-stream"),
        ("put_object", "bucket", "p/b/c.txt", "text/plain"),
    ]
    assert bodies == [b"1", b"2"]
