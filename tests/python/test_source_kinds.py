"""What is in a source folder besides files: passed over without being opened, however it is disguised."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from s3bulk import upload_folder

from tests.python.conftest import boto3_client, client_of, new_bucket, stored
from tests.servers import Server

_ROOT = Path(__file__).parents[2]

_UPLOAD = """
import sys
from s3bulk import S3ClientConfig, make_s3_client, upload_folder
endpoint, key, secret, bucket, source = sys.argv[1:]
print(upload_folder(make_s3_client(S3ClientConfig(endpoint, "us-east-1", "auto", key, secret)), source, bucket, "p"))
"""


@contextmanager
def _strange_folder(folder: Path) -> Iterator[list[str]]:
    """A folder with one of everything; gives the names of what is no file and no link to one."""
    (folder / "below").mkdir(parents=True)
    (folder / "file").write_bytes(b"file")
    (folder / "below" / "file").write_bytes(b"below")
    (folder / "link-to-file").symlink_to("below/file")
    os.mkfifo(folder / "a-fifo")
    for name, text in {
        "link-to-fifo": "a-fifo",
        "link-to-device": "/dev/zero",
        "link-to-folder": "below",
        "link-to-itself": "link-to-itself",
        "link-there": "link-and-back",
        "link-and-back": "link-there",
        "link-to-nothing": "nothing",
        "link-through-a-file": "file/x",
        "below/link-up": "..",
    }.items():
        (folder / name).symlink_to(text)
    strange = ["a-fifo", "a-socket", "link-to-fifo", "link-to-device", "link-to-folder", "link-to-itself", "link-there"]
    strange += ["link-and-back", "link-to-nothing", "link-through-a-file", "link-up"]
    if os.geteuid() == 0:
        os.mknod(folder / "a-device", 0o20666, os.makedev(1, 5))  # /dev/zero by another name: it would never end
        strange.append("a-device")
    with socket.socket(socket.AF_UNIX) as listening:
        before = Path.cwd()
        os.chdir(folder)  # the path of a socket has 108 bytes at most
        try:
            listening.bind("a-socket")
        finally:
            os.chdir(before)
        yield strange


@pytest.mark.skipif(shutil.which("strace") is None, reason="NOT TESTED: there is no strace to look on")
def test_nothing_but_files_is_opened(seaweedfs: Server, tmp_path: Path) -> None:
    judge = boto3_client(seaweedfs)
    bucket = new_bucket(judge)
    log = tmp_path / "log"
    with _strange_folder(tmp_path / "source") as strange:
        arguments = [seaweedfs.endpoint_url, seaweedfs.access_key, seaweedfs.secret_key, bucket]
        command = ["strace", "-f", "--seccomp-bpf", "-e", "trace=open,openat,openat2", "-o", str(log)]
        done = subprocess.run(
            [*command, sys.executable, "-c", _UPLOAD, *arguments, str(tmp_path / "source")],
            stdout=subprocess.PIPE,
            text=True,
            timeout=50,
        )
    assert (done.returncode, done.stdout) == (0, "['p/below/file', 'p/file', 'p/link-to-file']\n")
    assert stored(judge, bucket) == {"p/below/file": b"below", "p/file": b"file", "p/link-to-file": b"below"}
    opened = {Path(path).name for path in re.findall(r'open\w*\((?:[^,"]+, )?"([^"]*)"', log.read_text())}
    assert {"file", "link-to-file"} <= opened, "the log does not show what is opened"
    assert opened.isdisjoint(strange)


def test_the_same_files_are_taken_whatever_the_client(client: Any, bucket: str, judge: Any, tmp_path: Path) -> None:
    with _strange_folder(tmp_path / "source"):
        keys = upload_folder(client, tmp_path / "source", bucket, "p")
    assert keys == ["p/below/file", "p/file", "p/link-to-file"]
    assert sorted(stored(judge, bucket)) == keys


def test_a_tree_deeper_than_paths_may_be_long_is_one_clear_error(seaweedfs: Server, tmp_path: Path) -> None:
    judge = boto3_client(seaweedfs)
    bucket = new_bucket(judge)
    source = tmp_path / "source"
    source.mkdir()
    directory = os.open(source, os.O_RDONLY)
    for _ in range(25):  # PATH_MAX is 4,096 bytes
        os.mkdir("d" * 200, dir_fd=directory)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=directory))
    os.close(directory)
    with pytest.raises(OSError, match="File name too long") as caught:
        upload_folder(client_of("own", seaweedfs), source, bucket, "p")
    assert caught.value.errno == errno.ENAMETOOLONG
    assert stored(judge, bucket) == {}
