"""The files that are moved. Every MiB of them begins with its own number, so that no two can change places unseen."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KIB, MIB = 1024, 1024**2
_FILES_PER_FOLDER = 100


@dataclass(frozen=True)
class Workload:
    """So many files of one size, and beside them a large one or none."""

    name: str
    files: int
    file_bytes: int
    large_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        return self.files * self.file_bytes + self.large_bytes

    def __str__(self) -> str:
        large = f" and 1 x {_size(self.large_bytes)}" if self.large_bytes else ""
        return f"{self.files:,} x {_size(self.file_bytes)}{large}"


def _size(number: int) -> str:
    unit, divisor = ("MiB", MIB) if number >= MIB else ("KiB", KIB)
    return f"{number // divisor:,} {unit}"


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("small", 10_000, 4 * KIB),
        Workload("medium", 1_000, MIB),
        Workload("large", 2, 512 * MIB),
        Workload("one", 1, 2048 * MIB),
        Workload("many", 100_000, 4 * KIB),
        Workload("half", 5_000, 4 * KIB),
        Workload("gib", 1, 1024 * MIB),
        Workload("mixed", 5_000, 4 * KIB, large_bytes=1024 * MIB),
    )
}
# The others answer questions of their own (docs/performance.md).
TABLE = ("small", "medium", "large", "one")


def make(workload: Workload, folder: Path) -> None:
    """Fills `folder`; the same bytes each time."""
    block = random.Random(1).randbytes(min(workload.file_bytes, MIB))
    numbers = itertools.count()
    for index in range(workload.files):
        path = folder / f"{index // _FILES_PER_FOLDER:03}" / f"{index:05}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        _fill(path, workload.file_bytes, block, numbers)
    if workload.large_bytes:
        # Met in the middle of the walk, so that small files go before it and after it.
        block = random.Random(1).randbytes(MIB)
        _fill(
            folder / f"{workload.files // _FILES_PER_FOLDER // 2:03}" / "large.bin",
            workload.large_bytes,
            block,
            numbers,
        )


def _fill(path: Path, size: int, block: bytes, numbers: Iterator[int]) -> None:
    with path.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(next(numbers).to_bytes(8, "big") + block[8:])


def scratch_root(needed_bytes: int) -> Path | None:
    """Memory, where there is enough of it as a folder; else `None`, for the usual place of temporary files."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > needed_bytes else None
