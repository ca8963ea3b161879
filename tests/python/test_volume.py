"""Many files, and one large one: same bytes, in order, in little memory. On SeaweedFS."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from s3bulk import download_prefix_to_folder, make_s3_client, upload_folder

from tests.python.conftest import boto3_client, config_of, new_bucket
from tests.servers import Server

MIB = 1 << 20

# Issue 3, acceptance.
_MANY = 10_000
_LARGE = 3 << 30
_PEAK_MEBIBYTES = 120
_ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(240)
def test_ten_thousand_small_files_come_through_in_order(seaweedfs: Server, tmp_path: Path) -> None:
    names = sorted(f"{at % 100:02}/{at:05}" for at in range(_MANY))
    for folder in range(100):
        (tmp_path / "up" / f"{folder:02}").mkdir(parents=True)
    content = os.urandom(4096 + _MANY)
    for at, name in enumerate(names):
        (tmp_path / "up" / name).write_bytes(content[at : at + 4096])
    client = make_s3_client(config_of(seaweedfs))
    bucket = new_bucket(boto3_client(seaweedfs))
    assert upload_folder(client, tmp_path / "up", bucket, "p") == [f"p/{name}" for name in names]
    assert download_prefix_to_folder(client, bucket, "p", tmp_path / "down") == names
    for at, name in enumerate(names):
        assert (tmp_path / "down" / name).read_bytes() == content[at : at + 4096], name
    assert sum(path.is_file() for path in (tmp_path / "down").rglob("*")) == _MANY


# In a process of its own, so that its peak of memory is that of the transfer. Prints the peak in KiB.
_PROGRAM = """
import sys
from s3bulk import S3ClientConfig, download_file_to_path, make_s3_client, upload_file
from tests.python.bounded import peak_kib
endpoint, access_key, secret_key, bucket, up, down = sys.argv[1:]
client = make_s3_client(S3ClientConfig(endpoint, "us-east-1", "auto", access_key, secret_key))
upload_file(client, up, bucket, "large")
download_file_to_path(client, bucket, "large", down)
print(peak_kib())
"""


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(MIB):
            digest.update(block)
    return digest.hexdigest()


@pytest.mark.large
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak in /proc")
@pytest.mark.timeout(600)
def test_a_file_of_three_gibibytes_comes_through_in_little_memory(seaweedfs: Server, tmp_path: Path) -> None:
    up, down = tmp_path / "up", tmp_path / "down"
    with up.open("wb") as file:
        file.truncate(_LARGE)
        for at in range(0, _LARGE, 100 * MIB):  # a hole everywhere else
            file.seek(at)
            file.write(os.urandom(4096))
    judge = boto3_client(seaweedfs)
    bucket = new_bucket(judge)
    arguments = [seaweedfs.endpoint_url, seaweedfs.access_key, seaweedfs.secret_key, bucket, str(up), str(down)]
    command = [sys.executable, "-c", _PROGRAM, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=_ROOT)
    assert judge.head_object(Bucket=bucket, Key="large")["ETag"].rstrip('"').endswith(f"-{_LARGE // (8 * MIB)}")
    assert down.stat().st_size == _LARGE
    assert _sha256(down) == _sha256(up)
    assert int(done.stdout) / 1024 < _PEAK_MEBIBYTES
