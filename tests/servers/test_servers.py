"""The servers keep what the other tests take for granted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.servers import Server, minio_server, moto_server, rclone_server, seaweedfs_server, versitygw_server
from tests.servers.process import ServerDied, server_process
from tests.servers.program import find_program

_ROOT = Path(__file__).resolve().parents[2]
_STARTS_AND_IS_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.servers.process import server_process

program = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(600)"
folder = Path(sys.argv[1])
with server_process("sleeper", [sys.executable, "-c", program], folder / "log", os.environ) as process:
    process.wait_until(lambda: (folder / "pid").exists() and (folder / "pid").read_text() != "", 30)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_server_ends_with_the_process_that_started_it_even_when_that_is_killed(tmp_path: Path) -> None:
    starter = subprocess.run([sys.executable, "-c", _STARTS_AND_IS_KILLED, str(tmp_path)], cwd=_ROOT, timeout=40)
    assert starter.returncode == -signal.SIGKILL
    server = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while _is_running(server):
        assert time.monotonic() < deadline, "the server is still there"
        time.sleep(0.01)


def test_a_server_that_dies_is_reported_with_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no disk today')"]
    with (
        pytest.raises(ServerDied, match="no disk today"),
        server_process("broken", command, tmp_path / "log", os.environ) as process,
    ):
        process.wait_until(lambda: False, 30)


def test_moto_is_empty_and_answers() -> None:
    with moto_server() as server:
        client = boto3.client(
            "s3",
            endpoint_url=server.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
        )
        assert client.list_buckets()["Buckets"] == []
        client.close()


_OTHERS: dict[str, Callable[[Path], AbstractContextManager[Server]]] = {
    "seaweedfs": seaweedfs_server,
    "rclone": rclone_server,
    "versitygw": versitygw_server,
    "minio": minio_server,
}


@pytest.mark.parametrize("name", _OTHERS)
def test_the_others_check_signatures_and_make_no_bucket_unasked(name: str, tmp_path: Path) -> None:
    if name != "seaweedfs" and find_program(name) is None:
        pytest.skip(f"there is no `{name}` here: `make servers` may build it")
    with _OTHERS[name](tmp_path) as server:
        for secret_key, code in ((server.secret_key, "NoSuchBucket"), ("another", "SignatureDoesNotMatch")):
            client = boto3.client(
                "s3",
                endpoint_url=server.endpoint_url,
                region_name="us-east-1",
                aws_access_key_id=server.access_key,
                aws_secret_access_key=secret_key,
            )
            with pytest.raises(ClientError) as raised:
                client.put_object(Bucket="nobody-made-this", Key="key", Body=b"")
            assert raised.value.response["Error"]["Code"] == code
            client.close()


def test_a_server_that_is_not_there_is_named_at_the_end() -> None:
    program = """
import sys, pytest, tests.servers.program as program
program.find_program = lambda name: None
sys.exit(pytest.main(["-q", "tests/python/test_presigned.py", "--servers", "minio"]))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=_ROOT, stdout=subprocess.PIPE, text=True, timeout=50)
    assert (done.returncode, "2 skipped" in done.stdout) == (0, True), done.stdout
    assert "WARNING: minio was not run, there is no `minio` here: `make servers` builds it" in done.stdout


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    # Where nobody waits for orphans (a container without an init process) a dead one stays in the table as Z.
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")
