"""Many minutes of everything at once: what leaks a little, or goes wrong rarely, shows."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import resource
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from s3bulk import (
    Report,
    TransferError,
    TransferOptions,
    download_prefix_to_folder,
    make_s3_client,
    remove_stale_temporary_files,
    upload_folder,
)

from tests.python.conftest import boto3_client, config_of, files_below, new_bucket, stored, write_all
from tests.python.process_state import Holdings
from tests.python.soak_faults import FAULTS, chosen_rules
from tests.servers import FaultServer, Server, fault_server

# `make soak` runs for so long; an environment variable makes it shorter or longer.
_SECONDS = float(os.environ.get("S3BULK_SOAK_SECONDS", "300"))
# The scripted server keeps a log of every request: after so many another one begins.
_ROUNDS_OF_A_SERVER = 20
_INTERRUPTIONS = ("calls interrupted by SIGINT", "calls interrupted by SIGTERM", "downloads refused by the disk")
# What allocators keep after the first rounds is no leak; what grows beyond it round after round is.
_GROWTH_KIB = 48 << 10
_MIB = 1 << 20

# How a child says that there was an error of S3's, or one of the disk's.
_FAILED_HONESTLY, _FAILED_BY_THE_DISK = 3, 4
# Some of the files are longer.
_LONGEST_FILE = 4_000

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(_SECONDS + 300),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

Files = dict[str, bytes]


class Terminated(BaseException):
    """What the handler of SIGTERM raises, as that of SIGINT raises KeyboardInterrupt."""


@contextmanager
def _raising_on_sigterm() -> Iterator[None]:
    def raise_terminated(number: int, frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _resident_kib() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def _options(chance: random.Random) -> TransferOptions:
    return TransferOptions(
        max_concurrency=chance.choice([None, 1, 7, 64, 512]),
        memory_limit=chance.choice([4, 32, 128]) * _MIB,
        multipart_threshold=chance.choice([1, _MIB, 16 * _MIB]),
        part_size=5 * _MIB,
        payload_signing=chance.choice(["auto", "never"]),
        read_timeout=2.0,
    )


def _names(chance: random.Random) -> list[str]:
    few = chance.randrange(1, 300)
    return [f"{chance.randrange(9)}/{chance.randrange(9)}/{number}" for number in range(few)] + ["large"]


def _files(names: list[str], chance: random.Random) -> Files:
    files = {name: chance.randbytes(chance.choice([0, 1, 5_000, 200_000])) for name in names}
    return files | {"large": chance.randbytes(chance.choice([1, 12 * _MIB]))}


class _Round:
    """Old files and new ones that replace them, in a bucket and in folders; and what is asserted of every call."""

    def __init__(self, server: Server, bucket: str, folder: Path, chance: random.Random, counts: Counter[str]) -> None:
        self._judge = boto3_client(server)
        self._folder = folder
        self._chance = chance
        self.counts = counts
        names = _names(chance)
        self.old, self.new = _files(names, chance), _files(names, chance)
        self.source = write_all(folder / "source", self.new)
        self.bucket = bucket
        self.client = make_s3_client(config_of(server)).with_options(_options(chance))
        self.stored: Files = {}
        self._done: list[str] = []

    def store(self, files: Files) -> None:
        """Puts files on the server while nothing goes wrong."""
        upload_folder(self.client, write_all(self._folder / "first", files), self.bucket, "p")
        self.stored = files

    def end(self) -> None:
        """Removes what is in the bucket and in the folder."""
        for name in self.stored:
            self._judge.delete_object(Bucket=self.bucket, Key=f"p/{name}")
        for folder in self._folder.iterdir():
            shutil.rmtree(folder)

    def target(self, name: str) -> Path:
        """A folder in which old files are."""
        return write_all(self._folder / name, self.old)

    def upload(self) -> None:
        """A whole upload, or an error with an honest report."""
        done = self._call(lambda: upload_folder(self.client, self.source, self.bucket, "p"))
        self._done = [name.removeprefix("p/") for name in done]

    def download(self, target: Path) -> None:
        """A whole download, or an error with an honest report."""
        done = self._call(lambda: download_prefix_to_folder(self.client, self.bucket, "p", target))
        self._check(files_below(target), done, self.stored)

    def _check(self, found: Files, done: list[str], expected: Files) -> None:
        """Every name is there and no other: those that are done with what is expected, the others with any version."""
        assert sorted(found) == sorted(self.new), "nothing but the files"
        for name, body in found.items():
            versions = (expected[name],) if name in done else (self.old[name], self.new[name], self.stored[name])
            assert body in versions, name

    def _call(self, call: Callable[[], list[str]]) -> list[str]:
        """Gives the names that were moved."""
        try:
            names = call()
        except (ClientError, BotoCoreError, TransferError) as error:
            self.counts["calls that failed"] += 1
            report = getattr(error, "report", None)
            if not isinstance(report, Report):
                raise
            return self._checked(report)
        self.counts["calls that succeeded"] += 1
        self.counts["files moved"] += len(names)
        assert sorted(name.removeprefix("p/") for name in names) == sorted(self.new)
        return names

    def _checked(self, report: Report) -> list[str]:
        names = [*report.done, *(name for name, _ in report.failed), *report.not_begun]
        assert len(names) == len(set(names)), "no name in two lists"
        assert {name.removeprefix("p/") for name in names} <= set(self.new)
        return report.done

    def check_server(self) -> None:
        """What was reported done is the new file, everything else is old or new, and no upload is open."""
        found = {key.removeprefix("p/"): body for key, body in stored(self._judge, self.bucket).items()}
        self._check(found, self._done, self.new)
        assert self._judge.list_multipart_uploads(Bucket=self.bucket).get("Uploads", []) == []
        self.stored = found

    def interrupt(self, call: Callable[[], Any]) -> None:
        """Ends a call by Ctrl-C or by SIGTERM, unless it is quicker."""
        number = self._chance.choice([signal.SIGINT, signal.SIGTERM])
        timer = threading.Timer(self._chance.random() / 4, signal.raise_signal, (number,))
        try:
            try:
                timer.start()
                self._call(call)
            finally:
                timer.cancel()
                timer.join()
        except (KeyboardInterrupt, Terminated) as interruption:
            self.counts[f"calls interrupted by {number.name}"] += 1
            report = getattr(interruption, "report", None)
            if report is not None:  # else it came before the call had begun or after it had ended
                self._checked(report)

    def kill(self, target: Path) -> None:
        """Kills a process that downloads: old files or new ones, and what is left can be told and removed."""
        child = os.fork()
        if child == 0:
            try:
                while True:
                    self._call(lambda: download_prefix_to_folder(self.client, self.bucket, "p", target))
            finally:
                os._exit(1)
        time.sleep(self._chance.random() / 4)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status)
        self.counts["processes killed"] += 1
        self.counts["temporary files of killed processes removed"] += len(
            remove_stale_temporary_files(target, dry_run=False)
        )
        self.check_files(target)

    def refuse(self, target: Path) -> None:
        """Downloads where no file may be long: old files stay where new ones can't be written."""
        child = os.fork()
        if child == 0:
            ended = 1
            try:
                resource.setrlimit(resource.RLIMIT_FSIZE, (_LONGEST_FILE, _LONGEST_FILE))
                ended = self._end_of(lambda: download_prefix_to_folder(self.client, self.bucket, "p", target))
            finally:
                os._exit(ended)
        _, status = os.waitpid(child, 0)
        ended = os.waitstatus_to_exitcode(status)
        assert ended in (0, _FAILED_HONESTLY, _FAILED_BY_THE_DISK)
        self.counts["downloads refused by the disk"] += ended == _FAILED_BY_THE_DISK
        self.check_files(target)

    def _end_of(self, call: Callable[[], list[str]]) -> int:
        try:
            call()
        except (ClientError, BotoCoreError, TransferError):
            return _FAILED_HONESTLY
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            return _FAILED_BY_THE_DISK
        return 0

    def check_files(self, target: Path) -> None:
        """Every name is there, with old or new bytes, and no other."""
        self._check(files_below(target), [], {})

    @contextmanager
    def child(self, target: Path) -> Iterator[None]:
        """A forked process that downloads meanwhile."""
        process = multiprocessing.get_context("fork").Process(target=self._in_child, args=(target,))
        process.start()
        yield
        process.join(120)
        assert process.exitcode in (0, _FAILED_HONESTLY)
        self.counts["forked processes"] += 1

    def _in_child(self, target: Path) -> None:
        failed_before = self.counts["calls that failed"]
        self.download(target)
        if self.counts["calls that failed"] > failed_before:
            os._exit(_FAILED_HONESTLY)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """A file of the source is replaced, and replaced back, again and again."""
        name, over = self._chance.choice([*self.new]), threading.Event()

        def change() -> None:
            aside = self._folder / "aside"
            aside.mkdir()
            while not over.wait(0.001):
                for body in (self.old[name], self.new[name]):
                    (aside / "file").write_bytes(body)
                    (aside / "file").replace(self.source / name)
                self.counts["files replaced while they may be read"] += 2

        thread = threading.Thread(target=change)
        thread.start()
        yield
        over.set()
        thread.join()
        self._done = [done for done in self._done if done != name]  # old or new


def _play(this: _Round, end_of_faults: Callable[[], None]) -> None:
    interrupted = this.target("interrupted")
    with this.child(this.target("child")):
        this.download(this.target("before"))
        this.interrupt(lambda: download_prefix_to_folder(this.client, this.bucket, "p", interrupted))
    this.check_files(interrupted)
    this.kill(this.target("killed"))
    this.refuse(this.target("refused"))
    this.interrupt(lambda: upload_folder(this.client, this.source, this.bucket, "p"))
    with this.changing():
        this.upload()
    end_of_faults()
    this.check_server()
    this.download(this.target("after"))


def _refuse_hostile_keys(client: Any, judge: Any, bucket: str, folder: Path) -> None:
    for key in ("hostile/../outside", "hostile/a/../../outside"):
        judge.put_object(Bucket=bucket, Key=key, Body=b"outside")
        with pytest.raises(ValueError, match="suspicious S3 key"):
            download_prefix_to_folder(client, bucket, "hostile", folder / "in" / "side")
        judge.delete_object(Bucket=bucket, Key=key)
    assert files_below(folder) == {}
    shutil.rmtree(folder / "in")


def _with_faults(this: _Round, scripted: FaultServer, some_rules: list[str]) -> None:
    this.store(this.old)
    scripted.add_rules(*some_rules)
    try:
        _play(this, scripted.forget_rules)
    finally:
        scripted.forget_rules()
    this.end()


def _without_faults(this: _Round) -> None:
    this.store(this.old)
    _play(this, lambda: None)
    assert this.counts["calls that failed"] == 0
    this.end()


def test_no_promise_is_broken_by_anything(seaweedfs: Server, tmp_path: Path) -> None:
    seed = int(os.environ.get("S3BULK_SOAK_SEED", random.randrange(1 << 32)))
    print(f"S3BULK_SOAK_SEED={seed}", flush=True)
    chance = random.Random(seed)
    counts: Counter[str] = Counter()
    there = new_bucket(boto3_client(seaweedfs))
    began, resident, held = time.monotonic(), 0, Holdings(0, 0)
    while (is_warm_up := not resident) or time.monotonic() - began < _SECONDS:
        with fault_server("--page-size", "100") as scripted, _raising_on_sigterm():
            judge = boto3_client(scripted.server)
            bucket = new_bucket(judge)
            client = make_s3_client(config_of(scripted.server))
            for _ in range(_ROUNDS_OF_A_SERVER):
                _refuse_hostile_keys(client, judge, bucket, tmp_path)
                some_rules = chosen_rules(chance, counts["rounds"])
                _with_faults(_Round(scripted.server, bucket, tmp_path, chance, counts), scripted, some_rules)
                alone: Counter[str] = Counter()
                _without_faults(_Round(seaweedfs, there, tmp_path, chance, alone))
                counts += alone
                counts["rounds"] += 1
            for name, count in scripted.stats().items():
                kind, _, fault = name.partition(".")
                if kind == "fired":
                    counts[f"fault: {fault}"] += count
        if is_warm_up:
            resident, held = _resident_kib(), Holdings.now()
    for what, count in sorted(counts.items()):
        print(f"{count:9,} {what}")
    print(f"{resident} KiB after the first {_ROUNDS_OF_A_SERVER} rounds, {_resident_kib()} KiB at the end", flush=True)
    assert {*(f"fault: {name}" for name in FAULTS), *_INTERRUPTIONS} <= set(counts), "every fault happened"
    # Idle connections are closed after 4 s; disk threads end sooner.
    held.come_back()
    assert _resident_kib() <= resident + _GROWTH_KIB
