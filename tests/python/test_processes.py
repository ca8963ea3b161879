"""Signals, fork and threads: what happens around a call."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from s3bulk import download_prefix_to_folder, make_s3_client, upload_file, upload_folder

from tests.python.conftest import Listener, boto3_client, config_of, files_below, new_bucket, put_all, stored, write_all
from tests.servers import FaultServer, Server

# Runs until interrupted; says when it has begun and what it raised after how long.
_CALL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits it ignored
from s3bulk import S3ClientConfig, make_s3_client, {function}
client = make_s3_client(S3ClientConfig({endpoint!r}, "us-east-1", "auto", "key", "secret"))
print("begun", flush=True)
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def _interrupted(function: str, call: str, listener: Listener) -> float:
    program = _CALL.format(function=function, endpoint=listener.endpoint_url, call=call)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            deadline = time.monotonic() + 20
            while not listener.was_called:  # the request is on its way
                assert time.monotonic() < deadline
                time.sleep(0.01)
            before = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
            took = time.monotonic() - before
            assert process.wait(10) == 0
        finally:
            process.kill()
    return took


@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("upload_file", "upload_file(client, {folder!r} + '/f', 'b', 'k')"),
        ("upload_folder", "upload_folder(client, {folder!r}, 'b', 'p')"),
        ("download_file_to_path", "download_file_to_path(client, 'b', 'k', {folder!r} + '/new')"),
        ("download_prefix_to_folder", "download_prefix_to_folder(client, 'b', 'p', {folder!r})"),
        ("ensure_bucket_exists", "ensure_bucket_exists(client, 'b', 'us-east-1')"),
    ],
)
def test_ctrl_c_ends_a_call_within_a_second(function: str, call: str, listener: Listener, folder: Path) -> None:
    assert _interrupted(function, call.format(folder=str(folder)), listener) < 1.0
    assert files_below(folder) == {"f": b"body"}


def test_other_threads_run_while_a_call_waits(own: Any, bucket: str, tmp_path: Path) -> None:
    write_all(tmp_path, {f"{number}": b"x" * 1000 for number in range(500)})
    counted, stop = [0], threading.Event()

    def count() -> None:
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        before = counted[0]
        upload_folder(own, tmp_path, bucket, "p")
        assert counted[0] > before + 10
    finally:
        stop.set()
        thread.join()


def test_many_threads_share_a_client(own: Any, bucket: str, judge: Any, tmp_path: Path) -> None:
    for number in range(8):
        write_all(tmp_path / str(number), {f"{at}": f"{number}/{at}".encode() for at in range(20)})
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(upload_folder, own, tmp_path / str(at), bucket, f"p{at}") for at in range(8)]
        assert [len(call.result()) for call in calls] == [20] * 8
        downs = [
            pool.submit(download_prefix_to_folder, own, bucket, f"p{at}", tmp_path / f"down{at}") for at in range(8)
        ]
        assert [len(call.result()) for call in downs] == [20] * 8
    for number in range(8):
        assert files_below(tmp_path / f"down{number}") == files_below(tmp_path / str(number))


def _in_child(client: Any, bucket: str, folder: str, number: int) -> None:
    upload_file(client, Path(folder) / "f", bucket, f"child-{number}")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_client_works_in_a_forked_child(own: Any, bucket: str, judge: Any, folder: Path) -> None:
    upload_file(own, folder / "f", bucket, "parent")
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=_in_child, args=(own, bucket, str(folder), at)) for at in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(30)
    assert [child.exitcode for child in children] == [0, 0, 0]
    upload_file(own, folder / "f", bucket, "parent-again")
    assert sorted(stored(judge, bucket)) == ["child-0", "child-1", "child-2", "parent", "parent-again"]


def test_a_client_can_be_sent_to_a_spawned_process(seaweedfs: Server, folder: Path) -> None:
    judge = boto3_client(seaweedfs)
    bucket = new_bucket(judge)
    child = multiprocessing.get_context("spawn").Process(
        target=_in_child, args=(make_s3_client(config_of(seaweedfs)), bucket, str(folder), 0)
    )
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert stored(judge, bucket) == {"child-0": b"body"}


def test_a_process_ends_after_a_transfer(moto: Server, folder: Path) -> None:
    judge = boto3_client(moto)
    bucket = new_bucket(judge)
    put_all(judge, bucket, {"p/a": b"1"})
    program = f"""
from s3bulk import S3ClientConfig, download_prefix_to_folder, make_s3_client
client = make_s3_client(S3ClientConfig({moto.endpoint_url!r}, "us-east-1", "auto", "key", "secret"))
download_prefix_to_folder(client, {bucket!r}, "p", {str(folder)!r})
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)
    assert files_below(folder) == {"f": b"body", "a": b"1"}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_boto3_half_that_is_being_made_at_a_fork_can_be_made_in_the_child(moto: Server) -> None:
    client = make_s3_client(config_of(moto))
    held, forked = threading.Event(), threading.Event()

    def hold() -> None:
        with client._boto3_half._lock:
            held.set()
            forked.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(10)
        # A lambda: the attribute has to be looked up in the child.
        child = multiprocessing.get_context("fork").Process(target=lambda: client.list_buckets())
        child.start()
        child.join(30)
        exit_code = child.exitcode
        child.kill()
        assert exit_code == 0
    finally:
        forked.set()
        thread.join()


# Forks where Python is called in the middle of a transfer: for a log record, for a signal; the child goes on.
_FORKS = """
import logging, os, signal, sys, threading
from s3bulk import S3ClientConfig, logger, make_s3_client, upload_folder
where, endpoint, access_key, secret_key, bucket, source = sys.argv[1:]
client = make_s3_client(S3ClientConfig(endpoint, "us-east-1", "auto", access_key, secret_key))
parent, child = os.getpid(), None

def fork(*_):
    global child
    if child is None:
        child = os.fork()

if where == "log":
    logger.addFilter(lambda record: fork() or True)
    logger.setLevel(logging.DEBUG)
else:
    signal.signal(signal.SIGUSR1, fork)
    threading.Timer(0.3, os.kill, (parent, signal.SIGUSR1)).start()
try:
    keys = upload_folder(client, source, bucket, "p")
except RuntimeError as error:
    assert os.getpid() != parent and "forked" in str(error), error
    os._exit(42)
assert os.getpid() == parent
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
print(len(keys))
"""


@pytest.mark.parametrize("where", ["log", "signal"])
def test_a_child_that_is_forked_in_the_middle_of_a_transfer_is_told_so(
    scripted: FaultServer, tmp_path: Path, where: str
) -> None:
    source = write_all(tmp_path, {str(number): b"x" for number in range(50)})
    server = scripted.server
    bucket = new_bucket(boto3_client(server))
    scripted.add_rules("id=late on=PutObject first=1 delay-head=1s")
    command = [sys.executable, "-c", _FORKS, where, server.endpoint_url, server.access_key, server.secret_key]
    try:
        done = subprocess.run([*command, bucket, str(source)], stdout=subprocess.PIPE, text=True, timeout=50)
    finally:
        scripted.forget_rules()
    assert (done.returncode, done.stdout) == (0, "50\n")
