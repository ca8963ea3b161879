"""A callback of boto3's own methods that raises ends the call with its exception, and leaves nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from s3bulk import make_s3_client

from tests.python.conftest import boto3_client, config_of, files_below, new_bucket, put_all, write_all
from tests.python.process_state import Holdings
from tests.servers import FaultServer

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="counts threads and descriptors in /proc"),
    # boto3 leaves its file and its connection to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

_LARGE = (11 << 20) + 13


class Stopped(Exception):
    """What callbacks raise here."""


def _raise_stopped(moved: int) -> None:
    raise Stopped


def _move(client: Any, up: bool, bucket: str, folder: Path) -> None:
    if up:
        client.upload_file(str(folder / "f"), bucket, "k", Callback=_raise_stopped)
    else:
        client.download_file(bucket, "k", str(folder / "f"), Callback=_raise_stopped)


@pytest.mark.parametrize("size", [1_000, _LARGE])
@pytest.mark.parametrize("up", [True, False])
def test_a_callback_that_raises_ends_the_call_and_leaves_nothing(
    scripted: FaultServer, tmp_path: Path, up: bool, size: int
) -> None:
    judge = boto3_client(scripted.server)
    bucket = new_bucket(judge)
    folder = write_all(tmp_path / "folder", {"f": bytes(size) if up else b"old"})
    if not up:
        put_all(judge, bucket, {"k": bytes(size)})
    held = Holdings.now()
    client = make_s3_client(config_of(scripted.server))
    with pytest.raises(Stopped):
        _move(client, up, bucket, folder)
    assert files_below(folder) == {"f": bytes(size) if up else b"old"}
    assert judge.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    scripted.wait_until("nothing is left on the server", lambda stats: stats["uploads_open"] == 0)
    assert client._native.in_use() == (0, 0)
    client.close()
    del client
    make_s3_client.cache_clear()
    held.come_back()
