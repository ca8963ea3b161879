"""Processes that are stopped, forked, or not allowed to write: what they move is whole, or an error leaves nothing."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from s3bulk import download_prefix_to_folder, make_s3_client

from tests.python.conftest import boto3_client, config_of, files_below, new_bucket, put_all, stored, write_all
from tests.servers import Server

# Moves a folder up and down again and again; says when a round is whole, until it is told that it was enough.
_ROUNDS = """
import filecmp, os, select, shutil, sys
from s3bulk import S3ClientConfig, TransferOptions, download_prefix_to_folder, make_s3_client, upload_folder
source, target, bucket = {source!r}, {target!r}, {bucket!r}
client = make_s3_client(S3ClientConfig({endpoint!r}, "us-east-1", "auto", {access!r}, {secret!r}))
client = client.with_options(TransferOptions(read_timeout=1.0))
while not select.select([sys.stdin], [], [], 0)[0]:
    keys = upload_folder(client, source, bucket, "p")
    names = download_prefix_to_folder(client, bucket, "p", target)
    assert sorted(keys) == sorted("p/" + name for name in names)
    assert filecmp.cmpfiles(source, target, names, shallow=False) == (names, [], [])
    shutil.rmtree(target)
    print("whole", flush=True)
"""
# Longer than the read timeout above.
_STOPPED_SECONDS = 1.5


def _state(process: subprocess.Popen[str]) -> str:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="whether a process is stopped says only /proc")
def test_a_process_that_is_stopped_and_continued_moves_everything(seaweedfs: Server, tmp_path: Path) -> None:
    judge = boto3_client(seaweedfs)
    bucket = new_bucket(judge)
    files = {f"{number:03}": random.Random(number).randbytes(20_000) for number in range(200)}
    files["large"] = random.Random(0).randbytes(12 << 20)
    source = write_all(tmp_path / "source", files)
    program = _ROUNDS.format(
        source=str(source),
        target=str(tmp_path / "target"),
        bucket=bucket,
        endpoint=seaweedfs.endpoint_url,
        access=seaweedfs.access_key,
        secret=seaweedfs.secret_key,
    )
    chance = random.Random(7)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "whole\n"
            for _ in range(4):
                time.sleep(chance.random() / 5)  # somewhere in a round
                process.send_signal(signal.SIGSTOP)
                while _state(process) != "T":
                    time.sleep(0.01)
                time.sleep(_STOPPED_SECONDS)
                process.send_signal(signal.SIGCONT)
                assert process.stdout.readline() == "whole\n"
            process.stdin.write("enough\n")
            process.stdin.flush()
            assert set(process.stdout.read().splitlines()) <= {"whole"}
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert stored(judge, bucket) == {f"p/{name}": body for name, body in files.items()}
    assert judge.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def _download(client: Any, bucket: str, target: str) -> None:
    download_prefix_to_folder(client, bucket, "p", target)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_children_of_one_process_write_into_one_folder(seaweedfs: Server, tmp_path: Path) -> None:
    judge = boto3_client(seaweedfs)
    bucket = new_bucket(judge)
    objects = {f"p/{number:02}": bytes([number]) * (100_000 if number else 7 << 20) for number in range(40)}
    put_all(judge, bucket, objects)
    client = make_s3_client(config_of(seaweedfs))
    # What is drawn by chance before the fork would be drawn alike after it.
    download_prefix_to_folder(client, bucket, "p", tmp_path / "parent")
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=_download, args=(client, bucket, str(tmp_path / "shared"))) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(40)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert files_below(tmp_path / "shared") == {key[2:]: body for key, body in objects.items()}


# A write above the limit is cut short first, then refused (setrlimit(2)).
_LIMITED = """
import resource, sys
from s3bulk import S3ClientConfig, download_file_to_path, make_s3_client
client = make_s3_client(S3ClientConfig({endpoint!r}, "us-east-1", "auto", {access!r}, {secret!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    download_file_to_path(client, {bucket!r}, "k", {path!r})
except OSError as error:
    print(error.errno, error.filename)
"""


@pytest.mark.parametrize("size", [50_000, 3 << 20, 24 << 20])
def test_a_file_that_may_not_be_so_large_is_an_os_error_and_the_old_one_stays(
    seaweedfs: Server, tmp_path: Path, size: int
) -> None:
    judge = boto3_client(seaweedfs)
    bucket = new_bucket(judge)
    put_all(judge, bucket, {"k": bytes(size)})
    old = tmp_path / "file"
    old.write_bytes(b"old")
    program = _LIMITED.format(
        endpoint=seaweedfs.endpoint_url,
        access=seaweedfs.access_key,
        secret=seaweedfs.secret_key,
        bucket=bucket,
        path=str(old),
        limit=size // 2,
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, timeout=40, stdout=subprocess.PIPE, text=True)
    assert said.stdout == f"{errno.EFBIG} {old}\n"
    assert files_below(tmp_path) == {"file": b"old"}
