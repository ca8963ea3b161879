"""Memory and descriptors have a bound (R9), whatever the number of keys, the size of a file, and what is slow."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bucket import BUCKET
from benchmarks.server import Endpoint, running_endpoint
from tests.python.bounded import DESCRIPTORS
from tests.python.conftest import boto3_client, put_all, write_all
from tests.servers import FaultServer, Server
from tests.servers.server import ACCESS_KEY, SECRET_KEY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are in KiB there, and strace is")

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
_MILLION = 1_000_000
_COUNT = 32
# Python with this package, and buffers of 28 MiB: docs/performance.md.
_BASE_KIB = 64 * KIB
# A name of some 20 bytes in the list that is returned, and in the engine until all are done: 210 measured.
_KIB_FOR_A_NAME = 0.3
# Of connections, and what the allocator keeps.
_BESIDE_BUFFERS_KIB = 24 * KIB


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """One that keeps names and sizes, and gives zeros."""
    with running_endpoint(0, discard=True) as running:
        _fill(running, ["warm/1"])
        yield running


def _fill(endpoint: Endpoint, keys: list[str]) -> None:
    """Makes empty objects, a thousand requests at once."""
    host, port = endpoint.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection, connection.makefile("rb") as answers:
        for first in range(0, len(keys), 1000):
            some = keys[first : first + 1000]
            heads = (f"PUT /{BUCKET}/{key} HTTP/1.1\r\nContent-Length: 0\r\n\r\n" for key in some)
            connection.sendall("".join(heads).encode())
            for _ in some:
                assert b" 200 " in answers.readline()
                while answers.readline() != b"\r\n":
                    continue


def _call(endpoint_url: str, bucket: str, call: str, folder: Path, **changes: int) -> dict[str, Any]:
    arguments = {
        "endpoint": endpoint_url,
        "key": ACCESS_KEY,
        "secret": SECRET_KEY,
        "bucket": bucket,
        "call": call,
        "folder": str(folder),
        "memory_limit": 28 * MIB,  # the default
        "disk_delay_us": 0,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.python.bounded", json.dumps(arguments | changes)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    found: dict[str, Any] = json.loads(done.stdout)
    print(f"{call} with {DESCRIPTORS} descriptors: {found}")
    assert found["in_use"] == [0, 0]
    assert found["is_in_order"]
    return found


@pytest.mark.large
@pytest.mark.timeout(1200)
def test_a_million_listed_keys_take_little_more_than_their_names(endpoint: Endpoint, tmp_path: Path) -> None:
    _fill(endpoint, [f"p/{number % 1000:03}/{number:07}" for number in range(_MILLION)])
    found = _call(endpoint.url, BUCKET, "download_prefix_to_folder", tmp_path / "down")
    assert (found["count"], found["files"]) == (_MILLION, _MILLION)
    assert found["peak_kib"] < _BASE_KIB + _MILLION * _KIB_FOR_A_NAME
    shutil.rmtree(tmp_path / "down")


@pytest.mark.large
@pytest.mark.timeout(1200)
def test_a_million_listed_keys_that_are_no_files_take_nothing(endpoint: Endpoint, tmp_path: Path) -> None:
    _fill(endpoint, [f"p/{number:07}/" for number in range(_MILLION)])
    found = _call(endpoint.url, BUCKET, "download_prefix_to_folder", tmp_path / "down")
    assert (found["count"], found["files"]) == (0, 0)
    assert found["peak_kib"] < _BASE_KIB


@pytest.mark.large
@pytest.mark.timeout(600)
def test_a_hundred_thousand_small_files_take_little_more_than_their_names(endpoint: Endpoint, tmp_path: Path) -> None:
    count = 100_000
    write_all(tmp_path / "up", {f"{number % 100:02}/{number:05}": bytes(4096) for number in range(count)})
    for call, folder in (("upload_folder", "up"), ("download_prefix_to_folder", "down")):
        found = _call(endpoint.url, BUCKET, call, tmp_path / folder)
        assert (found["count"], found["files"]) == (count, count)
        assert found["peak_kib"] < _BASE_KIB + count * _KIB_FOR_A_NAME


@pytest.mark.large
@pytest.mark.timeout(1200)
def test_a_sparse_file_of_twenty_gibibytes_takes_no_more_memory(endpoint: Endpoint, tmp_path: Path) -> None:
    (tmp_path / "up").mkdir()
    with (tmp_path / "up" / "large").open("wb") as file:
        file.truncate(20 * GIB)
    found = _call(endpoint.url, BUCKET, "upload_folder", tmp_path / "up")
    assert endpoint.listed("p") == {"large": 20 * GIB}
    assert found["peak_kib"] < _BASE_KIB
    found = _call(endpoint.url, BUCKET, "download_prefix_to_folder", tmp_path / "down")
    assert found["peak_kib"] < _BASE_KIB
    down = tmp_path / "down" / "large"
    assert down.stat().st_size == 20 * GIB
    # The object has the checksum of zeros; that bytes and checksum are compared is tested elsewhere.
    with down.open("rb") as file:
        assert all(block.count(0) == len(block) for block in iter(lambda: file.read(MIB), b""))
    down.unlink()


_SLOW = {
    "upload_folder": "id=slow shared on=PutObject,UploadPart slow-read=65536:1ms",
    "download_prefix_to_folder": "id=slow shared on=GetObject trickle=65536:1ms",
}


@pytest.mark.parametrize("call", _SLOW)
@pytest.mark.parametrize("memory_limit", [4 * MIB, 16 * MIB])
def test_a_slow_network_piles_nothing_up(scripted: FaultServer, tmp_path: Path, call: str, memory_limit: int) -> None:
    bucket = f"slow-{memory_limit // MIB}-{call[:2]}"
    _prepare(scripted.server, bucket, tmp_path)
    scripted.add_rules(_SLOW[call])
    try:
        found = _call(scripted.server.endpoint_url, bucket, call, tmp_path / "files", memory_limit=memory_limit)
    finally:
        scripted.forget_rules()
    assert scripted.stats()["fired.slow"] >= _COUNT
    assert found["count"] == _COUNT
    assert found["grown_kib"] < memory_limit // KIB + _BESIDE_BUFFERS_KIB


@pytest.mark.skipif(shutil.which("strace") is None, reason="NOT TESTED: there is no strace to make a disk slow")
def test_a_slow_disk_piles_nothing_up(scripted: FaultServer, tmp_path: Path) -> None:
    _prepare(scripted.server, "slow-disk", tmp_path)
    shutil.rmtree(tmp_path / "files")
    found = _call(
        scripted.server.endpoint_url,
        "slow-disk",
        "download_prefix_to_folder",
        tmp_path / "files",
        memory_limit=4 * MIB,
        disk_delay_us=5_000,
    )
    assert found["held_up"] >= _COUNT // 2, "threads that begin later are not held up"
    assert (found["count"], found["files"]) == (_COUNT, _COUNT)
    assert found["grown_kib"] < 4 * KIB + _BESIDE_BUFFERS_KIB


def _prepare(server: Server, bucket: str, folder: Path) -> None:
    """Files of 1 MiB, and one of 32 MiB, in a folder and in a bucket."""
    files = {f"{number:02}": os.urandom(MIB) for number in range(_COUNT - 1)} | {"large": os.urandom(32 * MIB)}
    write_all(folder / "files", files)
    judge = boto3_client(server)
    judge.create_bucket(Bucket=bucket)
    put_all(judge, bucket, {"warm/1": b"warm"} | {f"p/{name}": body for name, body in files.items()})
