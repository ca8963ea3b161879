"""Many minutes of everything at once: what leaks a little, or goes wrong rarely, shows."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from s3bulk import Report, TransferOptions, download_prefix_to_folder, make_s3_client, upload_folder

from tests.python.conftest import boto3_client, config_of, files_below, new_bucket, write_all
from tests.servers import Server

# `make soak` runs for so long; an environment variable makes it shorter or longer.
_SECONDS = float(os.environ.get("S3BULK_SOAK_SECONDS", "300"))
_ROUNDS_TO_WARM_UP = 5
# What allocators keep after the first rounds is no leak; what grows beyond it round after round is.
_GROWTH_KIB = 48 << 10

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(_SECONDS + 300),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def _resident_kib() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _options(chance: random.Random) -> TransferOptions:
    return TransferOptions(
        max_concurrency=chance.choice([1, 7, 64, 512]),
        memory_limit=chance.choice([4, 32, 128]) << 20,
        multipart_threshold=chance.choice([1, 1 << 20, 16 << 20]),
        part_size=5 << 20,
        payload_signing=chance.choice(["auto", "never"]),
    )


def _tree(folder: Path, chance: random.Random) -> Path:
    names = (f"{chance.randrange(9)}/{chance.randrange(9)}/{number}" for number in range(chance.randrange(1, 400)))
    files = {name: chance.randbytes(chance.choice([0, 1, 5_000, 200_000])) for name in names}
    files["large"] = chance.randbytes(chance.choice([1, 12 << 20]))
    return write_all(folder, files)


def _interrupted_download(client: Any, bucket: str, target: Path, after: float) -> None:
    """Ends a download by Ctrl-C, unless it is quicker."""
    timer = threading.Timer(after, signal.raise_signal, (signal.SIGINT,))
    try:
        try:
            timer.start()
            download_prefix_to_folder(client, bucket, "p", target)
        finally:
            timer.cancel()
            timer.join()
    except KeyboardInterrupt as interruption:
        report = getattr(interruption, "report", None)
        assert report is None or isinstance(report, Report)


def _in_child(client: Any, bucket: str, source: str, target: str) -> None:
    download_prefix_to_folder(client, bucket, "p", target)
    assert files_below(Path(target)) == files_below(Path(source))


def test_nothing_is_lost_and_nothing_is_left_behind(seaweedfs: Server, tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    judge = boto3_client(seaweedfs)
    fork = multiprocessing.get_context("fork")
    began, rounds, resident, descriptors, threads = time.monotonic(), 0, 0, 0, 0
    while time.monotonic() - began < _SECONDS or rounds <= _ROUNDS_TO_WARM_UP:
        bucket = new_bucket(judge)
        client = make_s3_client(config_of(seaweedfs)).with_options(_options(chance))
        source = _tree(tmp_path / "source", chance)
        keys = upload_folder(client, source, bucket, "p")
        assert sorted(keys) == sorted(f"p/{name}" for name in files_below(source))
        child = fork.Process(target=_in_child, args=(client, bucket, str(source), str(tmp_path / "child")))
        child.start()
        _interrupted_download(client, bucket, tmp_path / "interrupted", chance.random() / 5)
        for name, body in files_below(tmp_path / "interrupted").items():
            assert body == (source / name).read_bytes(), name
        download_prefix_to_folder(client, bucket, "p", tmp_path / "target")
        assert files_below(tmp_path / "target") == files_below(source)
        child.join(60)
        assert child.exitcode == 0
        assert judge.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
        for folder in tmp_path.iterdir():
            shutil.rmtree(folder)
        for key in keys:
            judge.delete_object(Bucket=bucket, Key=key)
        judge.delete_bucket(Bucket=bucket)
        rounds += 1
        if rounds == _ROUNDS_TO_WARM_UP:
            resident, descriptors, threads = _resident_kib(), _descriptors(), _threads()
    # Idle connections are closed after 4 s; disk threads end sooner.
    deadline = time.monotonic() + 20
    while (_descriptors() > descriptors or _threads() > threads) and time.monotonic() < deadline:
        time.sleep(0.1)
    print(f"{rounds} rounds, {resident} KiB after {_ROUNDS_TO_WARM_UP}, {_resident_kib()} KiB at the end")
    assert _descriptors() <= descriptors
    assert _threads() <= threads
    assert _resident_kib() <= resident + _GROWTH_KIB
