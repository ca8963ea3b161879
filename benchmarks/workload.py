"""The files that are moved. Every MiB of them begins with its own number, so that no two can change places unseen."""

from __future__ import annotations

import itertools
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

KIB, MIB = 1024, 1024**2
_FILES_PER_FOLDER = 100


@dataclass(frozen=True)
class Workload:
    """So many files of one size."""

    name: str
    files: int
    file_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.files * self.file_bytes

    def __str__(self) -> str:
        unit, divisor = ("MiB", MIB) if self.file_bytes >= MIB else ("KiB", KIB)
        return f"{self.files:,} x {self.file_bytes // divisor:,} {unit}"


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("small", 10_000, 4 * KIB),
        Workload("medium", 1_000, MIB),
        Workload("large", 2, 512 * MIB),
        Workload("one", 1, 2048 * MIB),
    )
}


def make(workload: Workload, folder: Path) -> None:
    """Fills `folder`; the same bytes each time."""
    block = random.Random(1).randbytes(min(workload.file_bytes, MIB))
    numbers = itertools.count()
    for index in range(workload.files):
        path = folder / f"{index // _FILES_PER_FOLDER:03}" / f"{index:05}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for _ in range(workload.file_bytes // len(block)):
                file.write(next(numbers).to_bytes(8, "big") + block[8:])


def scratch_root(needed_bytes: int) -> Path | None:
    """Memory, where there is enough of it as a folder; else `None`, for the usual place of temporary files."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > needed_bytes else None
