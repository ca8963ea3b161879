"""A process that may have few descriptors: back-pressure, not failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.python.conftest import boto3_client, files_below, new_bucket, stored, write_all
from tests.servers import Server

# Leaves the process 24 descriptors, before its client is made or after: then the client expects more, and connections
# and files run into the limit.
_PROGRAM = """
import os, resource, sys
from s3bulk import S3ClientConfig, download_prefix_to_folder, make_s3_client, upload_folder
when, endpoint, key, secret, bucket, source, target = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

def take():
    while len(os.listdir("/proc/self/fd")) < 256 - 24:
        os.open("/dev/null", os.O_RDONLY)

if when == "before":
    take()
client = make_s3_client(S3ClientConfig(endpoint, "us-east-1", "auto", key, secret))
if when == "after":
    take()
up = upload_folder(client, source, bucket, "p")
down = download_prefix_to_folder(client, bucket, "p", target)
print(len(up), len(down))
"""


@pytest.mark.timeout(150)  # pauses for want of descriptors are part of it
@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_with_few_descriptors_moves_everything(seaweedfs: Server, tmp_path: Path, when: str) -> None:
    judge = boto3_client(seaweedfs)
    bucket = new_bucket(judge)
    files = {f"d{number % 7}/{number}": b"%d" % number * 100 for number in range(100)}
    files |= {f"large/{number}": bytes([number]) * (2 << 20) for number in range(3)}
    source = write_all(tmp_path / "source", files)
    arguments = [when, seaweedfs.endpoint_url, seaweedfs.access_key, seaweedfs.secret_key, bucket, str(source)]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments, str(tmp_path / "target")],
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, f"{len(files)} {len(files)}\n")
    assert stored(judge, bucket) == {f"p/{name}": body for name, body in files.items()}
    assert files_below(tmp_path / "target") == files
