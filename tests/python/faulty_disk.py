"""A program whose disk fails: strace, attached to the threads that do the disk's work, puts errors in place of results.

Run as `python -m tests.python.faulty_disk <arguments as JSON>`; prints one line of JSON for each fault.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s3bulk import S3ClientConfig, TransferOptions, download_prefix_to_folder, make_s3_client

from tests.python.no_unnamed_files import forbid_links

# What each step is called by the systems and libraries there are.
STEPS = {
    "open": "openat",
    # Not write(2): with it the threads wake the ones of the network, too.
    "write": "pwrite64,writev,pwritev",
    "reserve": "fallocate",
    "attributes": "fchmod,fchown",
    "fsync": "fsync",
    "duplicate": "fcntl",
    "close": "close",
    "link": "linkat",
    "rename": "rename,renameat,renameat2",
}

_ERRORS = ("ENOSPC", "EIO", "EDQUOT")


def disk_threads() -> list[int]:
    """The engine's threads for disk work, by the name it gives them."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        try:
            if (task / "comm").read_text() == "s3bulk-disk\n":
                found.append(int(task.name))
        except FileNotFoundError:  # it ended meanwhile
            continue
    return found


@contextmanager
def traced(
    warm_up: Callable[[], Any],
    *options: str,
    whole_process: bool = False,
    live: Path | None = None,
) -> Iterator[list[str]]:
    """Attaches strace; gives its log, which is filled when this ends, and written to `live` meanwhile.

    It sees the threads for disk work that have their name by then, or those of the whole process, new ones included.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = live or Path(folder) / "log"
        log: list[str] = []
        for _ in range(5):
            warm_up()
            threads = [os.getpid()] if whole_process else disk_threads()
            attach = [argument for thread in threads for argument in ("-p", str(thread))]
            follow = ["-f"] if whole_process else []
            command = ["strace", "--quiet=path-resolution", *follow, *attach, "-o", str(path), *options]
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
                assert strace.stderr is not None
                told = [strace.stderr.readline() for _ in attach[::2]]
                # A thread ends when it has had nothing to do for two seconds; one that has just begun has no name yet.
                is_attached = bool(told) and all("attached" in line for line in told)
                is_attached = is_attached and (whole_process or set(disk_threads()) <= set(threads))
                try:
                    if is_attached:
                        yield log
                finally:
                    strace.terminate()
                    strace.stderr.read()
                    strace.wait()
            if is_attached:
                log.extend(path.read_text().splitlines())
                return
        raise RuntimeError(f"strace could not be attached to all threads: {told}")


def files_of(folder: Path) -> dict[str, str]:
    """Every name below a folder, with `old`, `new`, or what else is in it."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            body = path.read_bytes()
            version = body[:3].decode("latin-1")
            found[path.relative_to(folder).as_posix()] = version if body == version.encode() * (len(body) // 3) else "?"
    return found


def main(
    endpoint: str,
    key: str,
    secret: str,
    bucket: str,
    folder: str,
    named: bool,
    durable: bool,
    steps: list[str],
    every: bool,
    errors: tuple[str, ...] = _ERRORS,
) -> None:
    """Replaces the old files by new ones, with every call of each step failing in its turn.

    With `every` each call fails with every error, without it with one of them, another one each time.
    """
    if named:
        forbid_links()
    client = make_s3_client(S3ClientConfig(endpoint, "us-east-1", "auto", key, secret))
    client = client.with_options(TransferOptions(durable=durable))
    warm, target = Path(folder) / "warm", Path(folder) / "target"
    in_turn = itertools.cycle(errors)
    for step, fixed in itertools.product(steps, errors if every else (None,)):
        # Until there are no more calls of this step to fail; a second look, since threads come and go.
        missed = 0
        for number in itertools.count(1):
            if missed == 2:
                break
            missed += not one_fault(client, bucket, warm, target, step, fixed or next(in_turn), number)


def one_fault(client: Any, bucket: str, warm: Path, target: Path, step: str, error: str, number: int) -> bool:
    """Lets one call of a step fail, and says whether there was one."""
    download_prefix_to_folder(client, bucket, "old", target)
    for name in files_of(target):
        (target / name).chmod(0o600)  # so that there are permission bits to hand on
    # Calls are counted by thread, and which thread closes what is chance. Few closes tell anything: one of them must be
    # among those that fail.
    when = f"{number}+" if step == "close" else str(number)
    calls = ["-e", f"trace={STEPS[step]}", "-e", f"inject={STEPS[step]}:error={error}:when={when}"]
    raised: OSError | None = None
    with traced(lambda: download_prefix_to_folder(client, bucket, "warm", warm), *calls) as log:
        try:
            download_prefix_to_folder(client, bucket, "new", target)
        except OSError as caught:
            raised = caught
    if not any("(INJECTED)" in line for line in log):
        assert raised is None
        return False
    fault = {
        "fault": f"{step} {number} {error}",
        "step": step,
        "raised": None if raised is None else repr(raised),
        "right": raised is None or raised.errno == getattr(errno, error),
        "files": files_of(target),
    }
    print(json.dumps(fault), flush=True)
    return True


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
