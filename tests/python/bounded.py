"""A process that moves something with few descriptors and says what memory it took.

Run as `python -m tests.python.bounded <arguments as JSON>`; prints what it found as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from s3bulk import S3ClientConfig, TransferOptions, download_prefix_to_folder, make_s3_client, upload_folder

from tests.python.faulty_disk import traced

DESCRIPTORS = 128


def peak_kib() -> int:
    """The most memory that this process had, in KiB."""
    # Not getrusage(2): its peak is that of the process which forked this one, too.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1])


def main(
    endpoint: str, key: str, secret: str, bucket: str, call: str, folder: str, memory_limit: int, disk_delay_us: int
) -> None:
    """Makes one call; below `warm` of the bucket there has to be an object."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    client = make_s3_client(S3ClientConfig(endpoint, "us-east-1", "auto", key, secret))
    client = client.with_options(TransferOptions(memory_limit=memory_limit))

    def warm_up() -> None:
        download_prefix_to_folder(client, bucket, "warm", f"{folder}.warm")

    warm_up()
    before = peak_kib()
    delay = ["-e", "trace=pwrite64", "-e", f"inject=pwrite64:delay_enter={disk_delay_us}"]
    slowed: AbstractContextManager[list[str]] = traced(warm_up, *delay) if disk_delay_us else nullcontext([])
    with slowed as log:
        if call == "upload_folder":
            names = upload_folder(client, folder, bucket, "p")
        else:
            names = download_prefix_to_folder(client, bucket, "p", folder)
    print(
        json.dumps(
            {
                "count": len(names),
                "is_in_order": names == sorted(names, key=os.fsencode),
                "held_up": len(log),
                "in_use": client._native.in_use(),
                "grown_kib": peak_kib() - before,
                "peak_kib": peak_kib(),
                "files": sum(len(files) for _, _, files in os.walk(folder)) if Path(folder).exists() else 0,
            }
        )
    )


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
