"""Calls for which no thread can be started: strace refuses them.

Run as `python -m tests.python.no_threads <arguments as JSON>`; prints what came of the calls as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from s3bulk import S3ClientConfig, download_prefix_to_folder, make_s3_client, upload_folder

from tests.python.faulty_disk import disk_threads, traced
from tests.python.process_state import until


def main(endpoint: str, key: str, secret: str, bucket: str, source: str, target: str, is_first: bool) -> None:
    """Refuses threads before the first call of the process, or once those for the disk have ended."""
    client = make_s3_client(S3ClientConfig(endpoint, "us-east-1", "auto", key, secret))

    def prepare() -> None:
        if not is_first:
            upload_folder(client, source, bucket, "warm")
            until(lambda: not disk_threads(), lambda: f"threads that do not end: {disk_threads()}")

    found: dict[str, object] = {"raised": None}
    refuse = ["-e", "trace=clone,clone3", "-e", "inject=clone,clone3:error=EAGAIN"]
    with traced(prepare, *refuse, whole_process=True) as log:
        try:
            found["up"] = upload_folder(client, source, bucket, "p")
            found["down"] = download_prefix_to_folder(client, bucket, "p", Path(target))
        except OSError as error:
            found["raised"] = [type(error).__name__, error.errno]
    found["refused"] = sum("(INJECTED)" in line for line in log)
    if is_first:
        found["up"] = upload_folder(client, source, bucket, "p")
    print(json.dumps(found))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
