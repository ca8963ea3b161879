"""A call that is ended while the disk takes its time: it ends within a second, and files are the old or the new ones.

What a disk has begun can't be taken back: a new file gets its name before the call ends, and no name is given later.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.python.conftest import boto3_client, files_below, new_bucket, put_all, stored, write_all
from tests.servers import FaultServer

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="strace is Linux's"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="NOT TESTED: there is no strace to hold the disk up"),
]

_ROOT = Path(__file__).parents[2]


def _ended(scripted: FaultServer, bucket: str, folder: Path, **more: Any) -> dict[str, Any]:
    server = scripted.server
    where = {"endpoint": server.endpoint_url, "key": server.access_key, "secret": server.secret_key}
    arguments = json.dumps({**where, "bucket": bucket, "folder": str(folder), **more})
    command = [sys.executable, "-m", "tests.python.slow_disk", arguments]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, timeout=50, check=True)
    ended: dict[str, Any] = json.loads(done.stdout)
    assert ended["held_up"] > 0, f"the disk took no time: {ended}"
    assert ended["ended"] == "stopped"
    assert ended["took"] < 1.0, ended
    return ended


@pytest.fixture
def bucket(scripted: FaultServer) -> str:
    judge = boto3_client(scripted.server)
    bucket = new_bucket(judge)
    put_all(judge, bucket, {"warm/x": b"x", "p/a": b"new", "p/b": b"new", "p/c": b"new"})
    return bucket


@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM"])
def test_a_walk_that_is_ended_waits_for_no_disk(scripted: FaultServer, bucket: str, tmp_path: Path, stop: str) -> None:
    target = write_all(tmp_path / "target", {"a": b"a", "folder/b": b"b"})
    # Much longer than the second.
    _ended(scripted, bucket, tmp_path, call="upload_folder", system_calls="getdents64", seconds=5, stop=stop)
    assert files_below(target) == {"a": b"a", "folder/b": b"b"}
    assert sorted(stored(boto3_client(scripted.server), bucket)) == ["p/a", "p/b", "p/c", "warm/x"]


@pytest.mark.parametrize(("system_calls", "stop"), [("linkat", "SIGINT"), ("rename,renameat,renameat2", "SIGTERM")])
def test_a_file_that_is_getting_its_name_at_the_end_has_the_whole_new_bytes_or_none(
    scripted: FaultServer, bucket: str, tmp_path: Path, system_calls: str, stop: str
) -> None:
    old = {} if system_calls == "linkat" else {"a": b"old", "b": b"old", "c": b"old"}
    target = write_all(tmp_path / "target", old)
    target.mkdir(exist_ok=True)
    _ended(scripted, bucket, tmp_path, call="download_prefix", system_calls=system_calls, seconds=0.2, stop=stop)
    found = files_below(target)
    assert set(found) <= {"a", "b", "c"}, "a temporary file is left"
    assert set(found) >= set(old)
    assert set(found.values()) <= {b"old", b"new"}
