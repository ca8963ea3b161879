"""How many threads serve the network."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.python.conftest import boto3_client, new_bucket
from tests.servers import Server

# Counts the threads of the runtime by name, after a first transfer. A thread has its maker's name until it has run.
_PROGRAM = """
import os, sys
from s3bulk import S3ClientConfig, download_prefix_to_folder, make_s3_client
endpoint, key, secret, bucket, target = sys.argv[1:]
client = make_s3_client(S3ClientConfig(endpoint, "us-east-1", "auto", key, secret))
download_prefix_to_folder(client, bucket, "p", target)

def names():
    return [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]

maker = open("/proc/self/comm").read().strip()
while names().count(maker) > 1:
    os.sched_yield()
print(names().count("s3bulk"))
"""


def _run(server: Server, target: str, threads: str | None) -> subprocess.CompletedProcess[str]:
    bucket = new_bucket(boto3_client(server))
    environment = {name: value for name, value in os.environ.items() if name != "S3BULK_THREADS"}
    if threads is not None:
        environment["S3BULK_THREADS"] = threads
    arguments = [server.endpoint_url, server.access_key, server.secret_key, bucket, target]
    command = [sys.executable, "-c", _PROGRAM, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50)


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_the_environment_says_how_many_threads_serve_the_network(moto: Server, tmp_path: os.PathLike[str]) -> None:
    assert _run(moto, str(tmp_path), "3").stdout == "3\n"


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_there_are_as_many_threads_as_processors_and_at_most_four(moto: Server, tmp_path: os.PathLike[str]) -> None:
    assert _run(moto, str(tmp_path), None).stdout == f"{min(len(os.sched_getaffinity(0)), 4)}\n"


@pytest.mark.parametrize("threads", ["0", "many", "", "65", "-1"])
def test_a_number_of_threads_that_is_none_is_refused(moto: Server, tmp_path: os.PathLike[str], threads: str) -> None:
    done = _run(moto, str(tmp_path), threads)
    assert done.returncode == 1
    assert "ValueError: S3BULK_THREADS must be a number from 1 to 64" in done.stderr


@pytest.mark.parametrize("threads", ["0", "many", "", "65", "-1"])
def test_a_number_of_disk_threads_that_is_none_is_refused(threads: str) -> None:
    program = "from s3bulk import *; make_s3_client(S3ClientConfig('http://127.0.0.1:1', '', 'auto', 'a', 'b'))"
    environment = {**os.environ, "S3BULK_DISK_THREADS": threads}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=50)
    assert done.returncode == 1
    assert "ValueError: S3BULK_DISK_THREADS must be a number from 1 to 64" in done.stderr
