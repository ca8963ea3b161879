"""A call that is ended while the disk takes its time: strace holds one of its system calls up.

Run as `python -m tests.python.slow_disk <arguments as JSON>`; prints how it ended as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from s3bulk import S3ClientConfig, download_prefix_to_folder, make_s3_client, upload_folder

from tests.python.faulty_disk import traced
from tests.python.process_state import until


class _Stopped(Exception):
    pass


def _raise_stopped(number: int, frame: object) -> None:
    raise _Stopped


def main(
    endpoint: str,
    key: str,
    secret: str,
    bucket: str,
    folder: str,
    call: str,
    system_calls: str,
    seconds: float,
    stop: str,
) -> None:
    """Warms up, then sends itself a signal as soon as one of the system calls has begun."""
    client = make_s3_client(S3ClientConfig(endpoint, "us-east-1", "auto", key, secret))
    number = signal.Signals[stop]
    signal.signal(number, _raise_stopped)
    began = 0.0
    with tempfile.TemporaryDirectory() as logs:
        log = Path(logs) / "log"

        def interrupt() -> None:
            nonlocal began
            until(lambda: log.exists() and "(" in log.read_text(), lambda: "no system call was held up")
            began = time.monotonic()
            os.kill(os.getpid(), number)

        def warm_up() -> None:
            download_prefix_to_folder(client, bucket, "warm", Path(folder) / "warm")

        delay = f"inject={system_calls}:delay_enter={int(seconds * 1e6)}"
        interrupting = threading.Thread(target=interrupt)
        ended = "whole"
        # That folder alone, for Python lists folders and renames files, too, when it imports. The whole process, for a
        # thread of the disk that has just begun can't be told by its name yet.
        options = ["-P", str(Path(folder) / "target"), "-e", f"trace={system_calls}", "-e", delay]
        with traced(warm_up, *options, whole_process=True, live=log) as lines:
            interrupting.start()
            try:
                if call == "upload_folder":
                    upload_folder(client, Path(folder) / "target", bucket, "p")
                else:
                    download_prefix_to_folder(client, bucket, "p", Path(folder) / "target")
            except _Stopped:
                ended = "stopped"
            took = time.monotonic() - began
        interrupting.join()
    held_up = sum("(" in line for line in lines)  # what it traces it delays
    print(json.dumps({"ended": ended, "took": took, "held_up": held_up, "log": lines}))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
