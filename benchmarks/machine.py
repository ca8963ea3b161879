"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

_TOP = Path(__file__).resolve().parent.parent


def machine() -> dict[str, str]:
    """Gives what a reader needs to compare figures, by its label."""
    revision = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=_TOP, capture_output=True, text=True)
    return {
        "processor": f"{_usable_cores()} cores of {_processor()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "revision": revision.stdout.strip() or "not a git checkout",
    }


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
