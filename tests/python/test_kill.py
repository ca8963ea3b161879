"""Processes that are killed in the middle of downloads: old files survive, and what is left can be told and removed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from s3bulk import remove_stale_temporary_files

from tests.python.conftest import boto3_client, files_below, new_bucket, put_all, write_all
from tests.servers import Server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and takes links away by seccomp")

_TEMPORARY = re.compile(r"\.s3bulk-\d+-\d+-[0-9a-f]{8}-[0-9a-f]{16}")
_SIZES = {"small/a": 3, "small/b": 4_000, "small/deep/er/c": 100_000, "d": 2 << 20, "ranged": (7 << 20) + 1}

# Downloads two versions of the same files over each other until it is killed. A byte on standard output says that the
# first one is about to begin.
_FOR_EVER = """
import itertools, sys
from s3bulk import S3ClientConfig, TransferOptions, download_prefix_to_folder, make_s3_client
from tests.python.no_unnamed_files import forbid_links
ways, endpoint, key, secret, bucket, target = sys.argv[1:7]
if ways == "named":
    forbid_links()
client = make_s3_client(S3ClientConfig(endpoint, "us-east-1", "auto", key, secret))
client = client.with_options(TransferOptions(part_size=5 << 20, multipart_threshold=6 << 20))
def replace_for_ever(first):
    for number in itertools.count(first):
        download_prefix_to_folder(client, bucket, ("old", "new")[number % 2], target)
"""

# Forks a child for each run and kills it after a random time; says how each child ended.
_KILLER = (
    _FOR_EVER
    + """
import json, os, random, signal, time
random.seed(int(sys.argv[7]))
for run, line in enumerate(sys.stdin):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, b"b")
            replace_for_ever(run)
        finally:
            os._exit(1)
    os.close(writer)
    assert os.read(reader, 1) == b"b"
    delay = random.uniform(0, float(line))
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(reader)
    print(json.dumps([child, os.WIFSIGNALED(status) and os.WTERMSIG(status)]), flush=True)
"""
)


def _version(name: str, version: str) -> bytes:
    """Bytes that tell name and version everywhere."""
    line = f"{version} {name}\n".encode()
    return (line * (_SIZES[name] // len(line) + 1))[: _SIZES[name]]


@pytest.fixture
def arguments(seaweedfs: Server, tmp_path: Path) -> list[str]:
    """Of a program that replaces files in `target`, where the old ones are."""
    judge = boto3_client(seaweedfs)
    bucket = new_bucket(judge)
    for version in ("old", "new"):
        put_all(judge, bucket, {f"{version}/{name}": _version(name, version) for name in _SIZES})
    write_all(tmp_path / "target", {name: _version(name, "old") for name in _SIZES})
    return [seaweedfs.endpoint_url, seaweedfs.access_key, seaweedfs.secret_key, bucket, str(tmp_path / "target")]


def _start(program: str, *arguments: str, **settings: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        **settings,
    )


def _kill_and_check(ways: str, runs: int, arguments: list[str]) -> None:
    target = Path(arguments[-1])
    mixed, left_behind = 0, 0
    with _start(_KILLER, ways, *arguments, str(runs)) as killer:
        try:
            assert killer.stdin is not None
            assert killer.stdout is not None
            for run in range(runs):
                # Longer than two downloads take, and now and then so short that it has hardly begun.
                print(0.4 if run % 4 else 0.05, file=killer.stdin, flush=True)
                child, signalled = json.loads(killer.stdout.readline())
                assert signalled == signal.SIGKILL, f"run {run}: the fault did not happen"
                found = files_below(target)
                versions = set()
                for name in _SIZES:
                    whole = [version for version in ("old", "new") if found[name] == _version(name, version)]
                    assert whole, f"run {run}: {name} is neither old nor new"
                    versions.update(whole)
                mixed += len(versions) > 1
                others = sorted(name for name in found if name not in _SIZES)
                for name in others:
                    assert _TEMPORARY.fullmatch(name.rpartition("/")[2]), f"run {run}: {name} is not recognisable"
                    assert f".s3bulk-{child}-" in name
                left_behind += len(others)
                removed = remove_stale_temporary_files(target, dry_run=False)
                assert sorted(removed) == [str(target / name) for name in others]
                assert sorted(files_below(target)) == sorted(_SIZES)
            killer.stdin.close()
            assert killer.wait(10) == 0
        finally:
            killer.kill()
    print(f"{runs} kills ({ways}): {mixed} left old files beside new ones, {left_behind} temporary files were left")
    assert mixed > 0, "no kill came in the middle of a download"
    if ways == "named":
        assert left_behind > 0, "no kill came while a temporary file was there"
    else:
        # Only the instant in which a new file takes the place of an old one has a name.
        assert left_behind <= runs // 4


@pytest.mark.parametrize("ways", ["unnamed", "named"])
def test_old_files_survive_a_kill_at_any_time(arguments: list[str], ways: str) -> None:
    _kill_and_check(ways, 20, arguments)


@pytest.mark.large
@pytest.mark.timeout(900)
@pytest.mark.parametrize("ways", ["unnamed", "named"])
def test_old_files_survive_hundreds_of_kills(arguments: list[str], ways: str) -> None:
    _kill_and_check(ways, 250, arguments)


def _temporary_files(target: Path) -> list[str]:
    return sorted(str(path) for path in target.rglob(".s3bulk-*"))


@pytest.fixture
def stopped(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A program that is stopped, not killed, while a temporary file of it is there."""
    program = _FOR_EVER + "\nreplace_for_ever(0)\n"
    with _start(program, "named", *arguments) as process:
        try:
            deadline = time.monotonic() + 30
            while True:
                assert time.monotonic() < deadline, "no temporary file is seen"
                assert process.poll() is None
                if not _temporary_files(Path(arguments[-1])):
                    continue
                process.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
                if _temporary_files(Path(arguments[-1])):
                    break
                process.send_signal(signal.SIGCONT)
            yield process
        finally:
            process.kill()


def test_a_temporary_file_of_a_living_process_is_never_removed(
    arguments: list[str], stopped: subprocess.Popen[str]
) -> None:
    target = Path(arguments[-1])
    there = _temporary_files(target)
    assert there
    for older_than in (None, timedelta(0)):
        assert remove_stale_temporary_files(target, older_than=older_than, dry_run=False) == []
    assert _temporary_files(target) == there
    stopped.kill()
    stopped.wait()
    assert remove_stale_temporary_files(target) == there, "a dry run says what would go"
    assert _temporary_files(target) == there
    assert remove_stale_temporary_files(str(target), dry_run=False) == there
    assert _temporary_files(target) == []


def test_a_container_does_not_take_a_process_outside_for_gone(
    arguments: list[str], stopped: subprocess.Popen[str]
) -> None:
    target = Path(arguments[-1])
    there = _temporary_files(target)
    look = (
        "import sys; from datetime import timedelta; from s3bulk import remove_stale_temporary_files as remove; "
        "print(len(remove(sys.argv[1])), len(remove(sys.argv[1], older_than=timedelta(days=1), dry_run=False)), "
        "len(remove(sys.argv[1], older_than=timedelta(0))))"
    )
    inside = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    seen = subprocess.run([*inside, sys.executable, "-c", look, str(target)], capture_output=True, text=True)
    if seen.returncode != 0 and "unshare" in seen.stderr:
        pytest.skip(f"NOT TESTED, this machine gives out no process namespaces: {seen.stderr.strip()}")
    # Of the same process id nothing is known there; only age may speak.
    assert seen.stdout == f"0 0 {len(there)}\n", seen.stderr
    assert _temporary_files(target) == there
