"""What a process has: threads, descriptors, memory. What a test began with has to be there again when it ends."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_PATIENCE = 30  # seconds


class Holdings(NamedTuple):
    """How many threads and descriptors this process has."""

    threads: int
    descriptors: int

    @staticmethod
    def now() -> Holdings:
        """Counts them."""
        return Holdings(len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")))

    def come_back(self) -> None:
        """Waits until there are no more than these: threads and sockets end a moment after who used them."""
        gc.collect()
        until(
            lambda: self.threads >= Holdings.now().threads and self.descriptors >= Holdings.now().descriptors,
            lambda: f"{self} became {Holdings.now()}: {_descriptors()}, {_threads()}",
        )


def until(happened: Callable[[], bool], said: Callable[[], str]) -> None:
    """Asks again and again, and at last fails with what `said` gives."""
    deadline = time.monotonic() + _PATIENCE
    while not happened():
        assert time.monotonic() < deadline, said()
        time.sleep(0.005)


def _descriptors() -> list[str]:
    found = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(path.readlink()))
        except FileNotFoundError:  # that of this listing
            continue
    return sorted(found)


def _threads() -> list[str]:
    return sorted(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))
