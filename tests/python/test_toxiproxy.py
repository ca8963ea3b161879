"""Connections that Toxiproxy spoils on the way to SeaweedFS: everything arrives, or one error says why."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import HTTPClientError
from s3bulk import Report, TransferOptions, download_prefix_to_folder, upload_folder

from tests.python.conftest import boto3_client, client_of, files_below, stored, write_all
from tests.servers import Server
from tests.servers.program import find_program
from tests.servers.toxiproxy import PROGRAM, Toxiproxy, toxiproxy_to

pytestmark = [
    pytest.mark.skipif(
        find_program(PROGRAM) is None, reason=f"NOT TESTED: `make servers` builds {PROGRAM}, where there is Go"
    ),
    pytest.mark.timeout(180),
]

MIB = 1 << 20
_PART = 5 * MIB
_FILES = {f"{number % 5}/{number:02}": os.urandom(20_000) for number in range(60)} | {"large": os.urandom(12 * MIB)}

Move = Callable[..., None]


@pytest.fixture(scope="module")
def toxiproxy(seaweedfs: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toxiproxy]:
    with toxiproxy_to(seaweedfs, tmp_path_factory.mktemp("toxiproxy")) as running:
        yield running


@pytest.fixture
def judge(seaweedfs: Server) -> Any:
    return boto3_client(seaweedfs)


@pytest.fixture
def move(toxiproxy: Toxiproxy, judge: Any, bucket: str, tmp_path: Path) -> Move:
    """Moves all files up and down through the proxy, and looks at what arrived."""
    source = write_all(tmp_path / "source", _FILES)

    def up_and_down(**limits: Any) -> None:
        defaults = {"part_size": _PART, "multipart_threshold": 6 * MIB, "max_attempts": 10, "read_timeout": 2.0}
        client = client_of("own", toxiproxy.server).with_options(TransferOptions(**{**defaults, **limits}))
        upload_folder(client, source, bucket, "p")
        assert stored(judge, bucket) == {f"p/{name}": body for name, body in _FILES.items()}
        assert judge.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
        download_prefix_to_folder(client, bucket, "p", tmp_path / "target")
        assert files_below(tmp_path / "target") == _FILES

    return up_and_down


@contextmanager
def _connection_to(server: Server) -> Iterator[socket.socket]:
    """One that shows what happens to those of the client."""
    to = urlsplit(server.endpoint_url)
    with socket.create_connection((to.hostname or "", to.port or 80), timeout=60) as connection:
        yield connection


def test_answers_and_requests_that_come_late_are_waited_for(toxiproxy: Toxiproxy, move: Move) -> None:
    with toxiproxy.toxic("latency", latency=150, jitter=50):
        began = time.monotonic()
        move()
        # At the least a request for the folder and one for the list, each late on both ways.
        assert time.monotonic() - began > 4 * 0.1


def test_a_narrow_way_takes_its_time(toxiproxy: Toxiproxy, move: Move) -> None:
    rate = 4_000  # kilobytes a second for each connection
    with toxiproxy.toxic("bandwidth", rate=rate):
        began = time.monotonic()
        move()
        assert time.monotonic() - began > 2 * _PART / (rate * 1024)


def test_bytes_that_come_in_slices_are_put_together(toxiproxy: Toxiproxy, move: Move) -> None:
    slices, pause = 10_000, 100  # bytes, microseconds
    with toxiproxy.toxic("slicer", average_size=slices, size_variation=slices // 2, delay=pause):
        began = time.monotonic()
        move(read_timeout=60.0)  # what the proxy still holds looks like silence
        assert time.monotonic() - began > 2 * (_PART / (1.5 * slices)) * pause / 1e6


def test_connections_that_close_late_keep_nobody(toxiproxy: Toxiproxy, move: Move) -> None:
    late = 3.0
    with toxiproxy.toxic("slow_close", delay=int(late * 1000)), _connection_to(toxiproxy.server) as shown:
        move()
        began = time.monotonic()
        shown.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while shown.recv(4096):
            continue
        assert time.monotonic() - began > late * 0.9


def test_connections_that_carry_no_more_are_replaced(toxiproxy: Toxiproxy, move: Move) -> None:
    # A part, and not a second one: over one connection after the other each large body is cut.
    with toxiproxy.toxic("limit_data", bytes=_PART + MIB):
        move(max_concurrency=1)


@pytest.mark.parametrize("kind", ["timeout", "reset_peer"])
def test_connections_that_end_for_a_while_are_made_again(toxiproxy: Toxiproxy, move: Move, kind: str) -> None:
    """`timeout` swallows what is sent and closes, `reset_peer` resets."""
    with ThreadPoolExecutor(1) as thread:
        with toxiproxy.toxic(kind, timeout=300), _connection_to(toxiproxy.server) as shown:
            moving = thread.submit(move)
            shown.sendall(b"GET / HTTP/1.1\r\n")
            assert _how_it_ends(shown) == {"timeout": "closed", "reset_peer": "reset"}[kind]
            assert not moving.done()
        moving.result()


def _how_it_ends(connection: socket.socket) -> str:
    try:
        return "answered" if connection.recv(1) else "closed"
    except ConnectionResetError:
        return "reset"


def test_a_way_that_stays_silent_is_an_error_that_leaves_nothing(
    toxiproxy: Toxiproxy, judge: Any, bucket: str, tmp_path: Path
) -> None:
    source = write_all(tmp_path / "source", _FILES)
    client = client_of("own", toxiproxy.server)
    client = client.with_options(TransferOptions(max_attempts=2, read_timeout=0.5))
    with toxiproxy.toxic("timeout", timeout=0):
        began = time.monotonic()
        with pytest.raises(HTTPClientError) as caught:
            upload_folder(client, source, bucket, "p")
        assert time.monotonic() - began < 30
        report: Report = caught.value.report  # type: ignore[attr-defined]
        failed = [name for name, _ in report.failed]
        assert sorted([*report.done, *failed, *report.not_begun]) == sorted(f"p/{name}" for name in _FILES)
        with pytest.raises(HTTPClientError):
            download_prefix_to_folder(client, bucket, "p", tmp_path / "target")
    assert report.done == []
    assert stored(judge, bucket) == {}
    assert files_below(tmp_path / "target") == {}
