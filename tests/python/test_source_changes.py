"""Files that change while they are sent: the object is the file at one instant, or the old one stays."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from s3bulk import upload_folder
from s3bulk.errors import SourceChangedError

from tests.python.conftest import boto3_client, client_of, new_bucket, stored
from tests.python.relay import relay_to
from tests.servers import Server

_SIZE = 24 << 20  # three parts

Change = Callable[[Path, int], None]


def _rewrite(path: Path, number: int) -> None:
    """The same size, other bytes, in every part."""
    with path.open("r+b") as file:
        for at in range(0, _SIZE, 1 << 20):
            os.pwrite(file.fileno(), b"%08d" % number, at)


def _rewrite_secretly(path: Path, number: int) -> None:
    """With the time stamp put back."""
    before = path.stat().st_mtime_ns
    _rewrite(path, number)
    os.utime(path, ns=(before, before))


def _grow(path: Path, number: int) -> None:
    with path.open("ab") as file:
        file.write(b"%08d" % number)


def _shrink(path: Path, number: int) -> None:
    os.truncate(path, _SIZE - number)


def _touch(path: Path, number: int) -> None:
    os.utime(path, (number, number))


def _change_mode(path: Path, number: int) -> None:
    path.chmod(0o600 if number % 2 else 0o640)


def _replace(path: Path, number: int) -> None:
    new = path.parents[1] / f"new-{number}"  # two parts may be on their way
    new.write_bytes(b"%08d" % number)
    new.rename(path)


class Sending:
    """An upload of a file that changes with every piece of it that the server gets."""

    def __init__(self, server: Server, folder: Path, change: Change) -> None:
        self.judge = boto3_client(server)
        self.bucket = new_bucket(self.judge)
        self.body = os.urandom(_SIZE)
        self.path = folder / "source" / "file"
        self.path.parent.mkdir()
        self.path.write_bytes(self.body)
        self.judge.put_object(Bucket=self.bucket, Key="p/file", Body=b"old")
        self.changes = 0
        numbers = itertools.count(1)

        def when_sent(length: int) -> None:
            if length > 10_000:  # of a body
                change(self.path, next(numbers))
                self.changes += 1

        with relay_to(server.endpoint_url, when_sent) as endpoint_url:
            self.error: Exception | None = None
            try:
                upload_folder(client_of("own", server, endpoint_url=endpoint_url), self.path.parent, self.bucket, "p")
            except SourceChangedError as error:
                self.error = error
        assert self.changes > 10, "the fault did not happen"
        assert "Uploads" not in self.judge.list_multipart_uploads(Bucket=self.bucket)


@pytest.mark.parametrize("change", [_rewrite, _rewrite_secretly, _grow, _shrink])
def test_a_file_that_never_holds_still_is_a_clear_error_and_the_old_object_stays(
    seaweedfs: Server, tmp_path: Path, change: Change
) -> None:
    sending = Sending(seaweedfs, tmp_path, change)
    assert sending.error is not None
    assert "changed while it was read" in str(sending.error)
    assert str(sending.path) in str(sending.error)
    assert stored(sending.judge, sending.bucket) == {"p/file": b"old"}


@pytest.mark.parametrize("change", [_touch, _change_mode, _replace])
def test_another_time_stamp_mode_or_file_of_that_name_does_not_fail(
    seaweedfs: Server, tmp_path: Path, change: Change
) -> None:
    sending = Sending(seaweedfs, tmp_path, change)
    assert sending.error is None
    assert stored(sending.judge, sending.bucket) == {"p/file": sending.body}


def test_a_file_that_changed_once_is_sent_as_it_is_afterwards(seaweedfs: Server, tmp_path: Path) -> None:
    def once(path: Path, number: int) -> None:
        if number == 1:
            _rewrite(path, number)

    sending = Sending(seaweedfs, tmp_path, once)
    assert sending.error is None
    body = stored(sending.judge, sending.bucket)["p/file"]
    assert body == sending.path.read_bytes()
    assert body != sending.body
