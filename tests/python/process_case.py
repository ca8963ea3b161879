"""A round of a process model: what it moves, and how to do so in children and in threads. What hangs is ended."""

from __future__ import annotations

import faulthandler
import os
import random
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s3bulk import S3ClientConfig, TransferOptions, download_prefix_to_folder, make_s3_client, upload_folder

from tests.python.conftest import files_below

# Far more than any of them takes.
PATIENCE = 40


class Case:
    """One round: a source of small files and a large one, which is in the bucket below `p` already."""

    def __init__(self, endpoint: str, bucket: str, source: str, folder: str) -> None:
        self.config = S3ClientConfig(endpoint, "us-east-1", "auto", "key", "secret")
        self.bucket = bucket
        self.source = source
        self.folder = folder
        self.files = files_below(Path(source))

    def client(self) -> Any:
        """The cached one; some files are large enough for parts."""
        return make_s3_client(self.config).with_options(TransferOptions(part_size=5 << 20, multipart_threshold=5 << 20))

    def load(self, client: Any) -> None:
        """Moves everything down, to a folder of its own, and looks at every byte."""
        target = tempfile.mkdtemp(dir=self.folder)
        download_prefix_to_folder(client, self.bucket, "p", target)
        assert files_below(Path(target)) == self.files
        shutil.rmtree(target)

    def store(self, client: Any) -> None:
        """Moves everything up, to one of few places: the server holds its objects in memory."""
        prefix = f"up/{random.randrange(4)}"
        assert len(upload_folder(client, self.source, self.bucket, prefix)) == len(self.files)

    def both(self, client: Any) -> None:
        """Up and down."""
        self.store(client)
        self.load(client)


def watch() -> None:
    """Ends this process when it hangs. Not by `dump_traceback_later`, whose thread a forked child would wait for."""
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.alarm(PATIENCE)


def forked(work: Callable[[], object]) -> int:
    """Does it in a forked child, which ends without a word. A `SystemExit` ends it as it ends a program."""
    child = os.fork()
    if child:
        return child
    watch()
    try:
        work()
        os._exit(0)
    except Exception:
        traceback.print_exc()
        os._exit(1)


def ended_well(*children: int) -> None:
    """Waits for children."""
    statuses = [os.waitpid(child, 0)[1] for child in children]
    assert statuses == [0] * len(children), statuses


@contextmanager
def meanwhile(work: Callable[[], object], threads: int = 1) -> Iterator[None]:
    """Does it again and again in threads, each at least once, until the block ends."""
    enough, begun = threading.Event(), threading.Barrier(threads + 1)

    def again_and_again() -> None:
        begun.wait()
        work()
        while not enough.is_set():
            work()

    with ThreadPoolExecutor(threads) as pool:
        calls = [pool.submit(again_and_again) for _ in range(threads)]
        begun.wait()
        try:
            yield
        finally:
            enough.set()
        for call in calls:
            call.result()
