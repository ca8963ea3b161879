"""The limits of the transfers of one client."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

# S3 User Guide, "Amazon S3 multipart upload limits": parts of 5 MiB to 5 GiB.
MINIMUM_PART_SIZE = 5 * MIB
MAXIMUM_PART_SIZE = 5 * GIB
# Sixteen buffers of 256 KiB: below that not even one part and its neighbour are kept busy.
MINIMUM_MEMORY_LIMIT = 4 * MIB
# The engine counts lanes and attempts in 32 bits.
MAXIMUM_COUNT = (1 << 32) - 1
# A year. What is longer is a mistake of unit, and near the end of what a clock can add.
MAXIMUM_TIMEOUT = 365 * 86_400.0


@dataclass(frozen=True)
class TransferOptions:
    """Limits of the transfers of a client; see `Client.with_options`.

    Attributes:
        max_concurrency: The most requests (small objects, parts, ranges) in flight, at least 1. `None` adapts to what
            pays, up to 512: at 20 ms latency that is 25,000 requests a second, more than one S3 prefix accepts.
        part_size: Bytes of a part or range, 5 MiB to 5 GiB (S3's limits); grown where a file needs more than 10,000
            parts. Default 8 MiB: `multipart_chunksize` of boto3's `TransferConfig`.
        multipart_threshold: From this size in bytes on a file goes up in parts and an object comes down in ranges,
            1 byte to 5 GiB. Default 16 MiB: that of AWS's Rust transfer manager (aws-s3-transfer-manager-rs).
        memory_limit: Bytes of all transfer buffers together, at least 4 MiB. Default 28 MiB, from the measurements
            in docs/decisions; never more than a quarter of the container's memory.
        max_attempts: Requests that one operation may cost, the first included, at least 1; 1 switches retries off.
            Default 5: botocore's `legacy` retry mode.
        connect_timeout: Seconds for name resolution, TCP and TLS together, more than 0. Default 60:
            `botocore.config.Config`.
        read_timeout: Seconds without any progress, more than 0. Default 60: `botocore.config.Config`.
        payload_signing: Whether the body's SHA-256 is signed. `"auto"` signs it on plain http and not on https, as
            botocore does; `"always"`; `"never"`. A checksum header goes along in every case.
        durable: Whether a downloaded file counts as done only when it is on the disk: content, name, and the folders
            made for it (fsync(2)). Off, as in boto3: after a power cut what was written last may be missing. It costs
            what the disk takes for some two writes a file (docs/guide.md).

    Raises:
        ValueError: A value that can't work; the message begins with the field's name.
    """

    max_concurrency: int | None = None
    part_size: int = 8 * MIB
    multipart_threshold: int = 16 * MIB
    memory_limit: int = 28 * MIB
    max_attempts: int = 5
    connect_timeout: float = 60.0
    read_timeout: float = 60.0
    payload_signing: Literal["auto", "always", "never"] = "auto"
    durable: bool = False

    def __post_init__(self) -> None:
        """Refuses values that can't work."""
        if self.max_concurrency is not None:
            _check_count("max_concurrency", self.max_concurrency, 1, MAXIMUM_COUNT)
        _check_count("part_size", self.part_size, MINIMUM_PART_SIZE, MAXIMUM_PART_SIZE)
        _check_count("multipart_threshold", self.multipart_threshold, 1, MAXIMUM_PART_SIZE)
        _check_count("memory_limit", self.memory_limit, MINIMUM_MEMORY_LIMIT, (1 << 63) - 1)
        _check_count("max_attempts", self.max_attempts, 1, MAXIMUM_COUNT)
        _check_seconds("connect_timeout", self.connect_timeout)
        _check_seconds("read_timeout", self.read_timeout)
        if self.payload_signing not in ("auto", "always", "never"):
            raise ValueError(f"payload_signing must be 'auto', 'always' or 'never', not {self.payload_signing!r}")
        if not isinstance(self.durable, bool):
            raise ValueError(f"durable must be True or False, not {self.durable!r}")


def _check_count(name: str, value: object, least: int, most: int) -> None:
    # bool is an int to Python, never to the person who wrote it.
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} must be an integer, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be {least} to {most}, not {value}")


def _check_seconds(name: str, value: object) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError(f"{name} must be a number of seconds, not {value!r}")
    if not (math.isfinite(value) and 0 < value <= MAXIMUM_TIMEOUT):
        raise ValueError(f"{name} must be more than 0 and at most {MAXIMUM_TIMEOUT:.0f} seconds, not {value}")
