"""Where the system gives no more threads (EAGAIN) a transfer is slower, and nothing is lost."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.python.conftest import boto3_client, files_below, new_bucket, stored, write_all
from tests.servers import Server

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="strace is Linux's"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="NOT TESTED: there is no strace to refuse threads"),
]

_FILES = {f"{number:03}": b"%d" % number * 500 for number in range(300)} | {"large": bytes(range(256)) * (48 << 10)}


def _run(server: Server, bucket: str, folder: Path, is_first: bool) -> dict[str, Any]:
    arguments = {
        "endpoint": server.endpoint_url,
        "key": server.access_key,
        "secret": server.secret_key,
        "bucket": bucket,
        "source": str(write_all(folder / "source", _FILES)),
        "target": str(folder / "target"),
        "is_first": is_first,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.python.no_threads", json.dumps(arguments)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["refused"] > 0, "no thread was refused"
    return found


def test_without_threads_for_the_disk_everything_is_moved(seaweedfs: Server, tmp_path: Path) -> None:
    judge = boto3_client(seaweedfs)
    bucket = new_bucket(judge)
    found = _run(seaweedfs, bucket, tmp_path, is_first=False)
    assert found["raised"] is None
    assert (found["up"], found["down"]) == ([f"p/{name}" for name in sorted(_FILES)], sorted(_FILES))
    assert files_below(tmp_path / "target") == _FILES
    assert {key: body for key, body in stored(judge, bucket).items() if key.startswith("p/")} == {
        f"p/{name}": body for name, body in _FILES.items()
    }


def test_without_threads_for_the_network_a_call_is_an_os_error_and_the_next_one_works(
    seaweedfs: Server, tmp_path: Path
) -> None:
    found = _run(seaweedfs, new_bucket(boto3_client(seaweedfs)), tmp_path, is_first=True)
    assert found["raised"] == ["BlockingIOError", errno.EAGAIN]
    assert len(found["up"]) == len(_FILES)
