"""A call that is ended from outside ends within a second, wherever it is, and leaves nothing.

Neither on the server nor on the disk nor in the process.
"""

from __future__ import annotations

import logging
import mimetypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from s3bulk import (
    TransferOptions,
    download_file_to_path,
    download_prefix_to_folder,
    make_s3_client,
    upload_file,
    upload_folder,
)
from s3bulk import logger as package_logger

from tests.python.conftest import boto3_client, config_of, files_below, new_bucket, put_all, write_all
from tests.python.process_state import Holdings, until
from tests.servers import FaultServer, fault_server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts threads and descriptors in /proc")

# The one time that is promised.
_LIMIT = 1.0
_OPTIONS = TransferOptions(part_size=5 << 20, multipart_threshold=6 << 20)
SMALL, MIDDLING, LARGE = 1_000, (2 << 20) + 7, (11 << 20) + 13


class Stopped(Exception):
    """What handlers raise here."""


class OutOfOrder(Exception):
    """All others were asked for before the file that shall get to the point."""


@dataclass(frozen=True)
class Point:
    """A point of a transfer: where the server stops, and the size of the file that gets there."""

    name: str
    rule: str
    size: int = SMALL

    @property
    def holds(self) -> bool:
        """Whether the server says that it stands there, beside that the request has come."""
        return any(word in self.rule for word in ("hang", "never-read", "hold-unread"))


_BETWEEN_ATTEMPTS = "status=503:SlowDown header=Retry-After:20"
_NOT_DONE = "close-unanswered moment=before-body ending=hold-unread"
# On the way up. Of a Create that is carried out and not answered within the second nobody can know the upload: "left
# alone" in docs/reliability.md.
_UP = [
    Point("body-of-a-put-not-read", "on=PutObject never-read", MIDDLING),
    Point("body-of-a-put", "on=PutObject slow-read=65536:20ms", MIDDLING),
    Point("answer-to-a-put", "on=PutObject hang-before-head"),
    Point("head-of-the-answer-to-a-put", "on=PutObject hang-in-head=10"),
    Point("pause-after-a-put", f"on=PutObject {_BETWEEN_ATTEMPTS}"),
    Point("create", "on=CreateMultipartUpload delay-head=200ms", LARGE),
    Point("create-not-done", f"on=CreateMultipartUpload {_NOT_DONE}", LARGE),
    Point("pause-after-create", f"on=CreateMultipartUpload {_BETWEEN_ATTEMPTS}", LARGE),
    Point("body-of-a-part-not-read", "on=UploadPart never-read", LARGE),
    Point("body-of-a-part", "on=UploadPart slow-read=65536:20ms", LARGE),
    Point("answer-to-a-part", "on=UploadPart hang-before-head", LARGE),
    Point("between-parts", "on=UploadPart part=2 hang-before-head", LARGE),
    Point("last-part", "on=UploadPart part=3 hang-in-head=10", LARGE),
    Point("pause-after-a-part", f"on=UploadPart part=2 {_BETWEEN_ATTEMPTS}", LARGE),
    Point("complete", "on=CompleteMultipartUpload hang-before-head", LARGE),
    Point("complete-not-done", f"on=CompleteMultipartUpload {_NOT_DONE}", LARGE),
    Point("answer-to-complete", "on=CompleteMultipartUpload hang-in-body=10", LARGE),
]
_GET = [
    Point("head-of-a-get", "on=GetObject hang-before-head"),
    Point("in-the-head-of-a-get", "on=GetObject hang-in-head=10"),
    Point("body-of-a-get", "on=GetObject hang-in-body=10"),
    Point("body-that-is-streamed", "on=GetObject hang-in-body=1048576", MIDDLING),
    Point("body-that-trickles", "on=GetObject trickle=1000:10ms", MIDDLING),
    Point("pause-after-a-get", f"on=GetObject {_BETWEEN_ATTEMPTS}"),
    Point("first-range", "on=GetObject range-start=0 hang-in-body=1048576", LARGE),
    Point("between-ranges", "on=GetObject range-start=5242880 hang-before-head", LARGE),
    Point("last-range", "on=GetObject range-start=10485760 hang-in-body=100", LARGE),
]
_HEAD = [
    Point("head", "on=HeadObject hang-before-head"),
    Point("pause-after-a-head", f"on=HeadObject {_BETWEEN_ATTEMPTS}"),
]
# Not of one key. There are two pages.
_LIST = [
    Point("list", "on=ListObjectsV2 hang-before-head"),
    Point("page", "on=ListObjectsV2 hang-in-body=50"),
    Point("pause-after-a-page", f"on=ListObjectsV2 {_BETWEEN_ATTEMPTS}"),
    Point("second-page", "on=ListObjectsV2 nth=2 hang-before-head"),
]

_POINTS = {
    "upload_file": _UP,
    "upload_folder": _UP,
    "download_file": _HEAD + _GET,
    "download_prefix": _GET + _LIST,
}
_SIGNALS = ("SIGINT", "SIGTERM")
# A record is written when another file is done, a type is asked for when another one begins.
_STOPS = {
    "upload_file": _SIGNALS,
    "upload_folder": (*_SIGNALS, "record", "type"),
    "download_file": _SIGNALS,
    "download_prefix": (*_SIGNALS, "record"),
}
# In `make test` half of the points, each once.
_NO_RECORD_YET = {"list", "page", "pause-after-a-page"}


def _table() -> Iterator[Any]:
    for at, (call, points) in enumerate(_POINTS.items()):
        for number, point in enumerate(points):
            for turn, stop in enumerate(_STOPS[call]):
                if stop == "record" and point.name in _NO_RECORD_YET:
                    continue
                is_short = (number + at) % 2 == 0 and turn == (number // 2) % len(_STOPS[call])
                marks = () if is_short else pytest.mark.large
                yield pytest.param(call, point, stop, marks=marks, id=f"{call}-{point.name}-{stop}")


@pytest.fixture
def scripted() -> Iterator[FaultServer]:
    """One of this test's own: what it counts is this test's, and it holds connections that nobody is at any more."""
    with fault_server("--page-size", "3") as server:
        yield server


@pytest.fixture(scope="module")
def _runtime(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The threads that stay are there, and those of a client that is gone are not."""
    source = write_all(tmp_path_factory.mktemp("warm"), {"a": b"1"})
    with fault_server() as server:
        client = make_s3_client(config_of(server.server))
        upload_folder(client, source, new_bucket(boto3_client(server.server)), "warm")
        del client
        make_s3_client.cache_clear()
    until(lambda: not _works_on_disk(), lambda: "threads for the disk stay")


def _works_on_disk() -> bool:
    names = []
    for path in Path("/proc/self/task").iterdir():
        try:
            names.append((path / "comm").read_text())
        except FileNotFoundError:  # it ended meanwhile
            continue
    return "s3bulk-disk\n" in names


class Ending:
    """Ends the call in one of the ways as soon as the server stands at the point."""

    def __init__(self, scripted: FaultServer, point: Point, at: str) -> None:
        self._scripted = scripted
        self._point = point
        self.began = 0.0
        scripted.add_rules(f"id=point {point.rule} {at}")

    def wait(self) -> None:
        """Until the server stands there."""
        self._scripted.wait_until(
            self._point.name,
            lambda stats: stats.get("fired.point", 0) > 0 and (not self._point.holds or stats["held"] > 0),
        )
        self.began = time.monotonic()

    def wait_until_clean(self) -> None:
        """Until nothing is left on the server. Where it does not read it can't see that its peer has closed."""
        unread = self._point.holds and "hang" not in self._point.rule
        self._scripted.wait_until(
            "nothing is left on the server",
            lambda stats: stats["uploads_open"] == 0 and (unread or stats["held"] == 0) and (unread or _is_idle(stats)),
        )

    def raise_there(self) -> None:
        """In the place of a handler's work."""
        self.wait()
        raise Stopped


def _is_idle(stats: Mapping[str, int]) -> bool:
    return stats["requests_in_flight"] == 0


class _Raising(logging.Handler):
    def __init__(self, ending: Ending) -> None:
        super().__init__()
        self._ending = ending

    def emit(self, record: logging.LogRecord) -> None:
        self._ending.raise_there()


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, Ending], None]]:
    """Prepares one way to end a call; takes it back when the test has ended."""
    with ExitStack() as taken_back:

        def prepare(stop: str, ending: Ending) -> None:
            if stop == "record":
                handler = _Raising(ending)
                taken_back.callback(package_logger.setLevel, package_logger.level)
                taken_back.callback(package_logger.removeHandler, handler)
                package_logger.addHandler(handler)
                package_logger.setLevel(logging.DEBUG)
            elif stop == "type":
                monkeypatch.setattr(mimetypes, "guess_type", _guess_or_raise(ending))
            else:
                number = signal.Signals[stop]
                taken_back.callback(signal.signal, number, signal.signal(number, _raise_stopped))

                def send() -> None:
                    ending.wait()
                    os.kill(os.getpid(), number)

                thread = threading.Thread(target=send)
                taken_back.callback(thread.join)
                thread.start()

        yield prepare


# Several, in case one is asked for first; few, so that lanes are left while they wait.
_ASKED_FOR = 3


def _guess_or_raise(ending: Ending) -> Callable[..., Any]:
    guess = mimetypes.guess_type
    asked: list[str] = []

    def guess_or_raise(path: str, strict: bool = True) -> Any:
        # While this one waits nobody answers for the file that shall get to the point.
        if ".stop" in path and any(other.endswith(".bin") for other in asked):
            ending.raise_there()
        asked.append(path)
        if sum(".stop" in other for other in asked) == _ASKED_FOR:
            asked.clear()
            raise OutOfOrder
        return guess(path, strict)

    return guess_or_raise


def _raise_stopped(number: int, frame: object) -> None:
    raise Stopped


def _run_in_order(call: str, client: Any, bucket: str, folder: Path) -> None:
    while True:
        try:
            return _run(call, client, bucket, folder)
        except OutOfOrder:
            continue


def _run(call: str, client: Any, bucket: str, folder: Path) -> None:
    match call:
        case "upload_file":
            upload_file(client, folder / "b.bin", bucket, "p/b.bin")
        case "upload_folder":
            upload_folder(client, folder, bucket, "p")
        case "download_file":
            download_file_to_path(client, bucket, "p/b.bin", folder / "b.bin")
        case "download_prefix":
            download_prefix_to_folder(client, bucket, "p", folder)


@pytest.mark.usefixtures("_runtime")
@pytest.mark.parametrize(("call", "point", "stop"), list(_table()))
def test_a_call_that_is_ended_at_any_point_ends_within_a_second_and_leaves_nothing(
    scripted: FaultServer,
    tmp_path: Path,
    arm: Callable[[str, Ending], None],
    call: str,
    point: Point,
    stop: str,
) -> None:
    judge = boto3_client(scripted.server)
    bucket = new_bucket(judge)
    up = call.startswith("upload")
    # On the way up both have one type: when the first is done, nobody asks the caller, who is held up, for the other's.
    files = {"a.bin" if up else "a": b"small", "b.bin": bytes(point.size)}
    if stop == "type":
        files |= {f"c.stop{number}": b"asked for its type" for number in range(_ASKED_FOR)}
    if not up:
        put_all(judge, bucket, {f"p/{name}": body for name, body in files.items()} | {"p/c": b"", "p/d": b""})
        files = {"b.bin": b"old"}
    folder = write_all(tmp_path / "folder", files)
    held = Holdings.now()
    ending = Ending(scripted, point, "" if point in _LIST else "key=p/b.bin")
    client = make_s3_client(config_of(scripted.server)).with_options(_OPTIONS)
    arm(stop, ending)
    with pytest.raises(Stopped) as raised:
        _run_in_order(call, client, bucket, folder)
    took = time.monotonic() - ending.began
    assert took < _LIMIT, f"{took:.3f} s"

    # What has come before the end is whole, and nothing else is there.
    left = files_below(folder)
    came_before = bytes(point.size) if point.name == "second-page" else files["b.bin"]
    assert left.pop("b.bin") in (files["b.bin"], came_before)
    if up:
        assert left == {name: body for name, body in files.items() if name != "b.bin"}
    else:
        assert left.items() <= {"a": b"small", "c": b"", "d": b""}.items()
    _check_report(call, getattr(raised.value, "report", None), "" if point.name == "second-page" else "b.bin")
    del raised  # its traceback knows the client
    ending.wait_until_clean()
    _check_gauges(client)
    del client
    make_s3_client.cache_clear()
    held.come_back()


def _check_gauges(client: Any) -> None:
    in_use = client._native.in_use
    until(lambda: in_use() == (0, 0), lambda: f"bytes and lanes in use: {in_use()}")


def _check_report(call: str, report: Any, not_done: str) -> None:
    if call in ("upload_file", "download_file"):
        assert report is None
        return
    names = [*report.done, *(name for name, _ in report.failed), *report.not_begun]
    assert len(set(names)) == len(names), "in one list each"
    assert not not_done or not any(name.endswith(not_done) for name in report.done)
