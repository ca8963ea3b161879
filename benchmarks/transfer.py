"""One transfer by one peer in a process of its own: `python -m benchmarks.transfer PEER OPERATION N URL PREFIX FOLDER`.

Prints what it took as JSON. Seconds are those of the transfer: imports and the making of a client are over by then.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from benchmarks.peers import PEERS

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # getrusage(2) of each


def main() -> int:
    peer, operation, at_once, url, prefix, folder = sys.argv[1:]
    mover = PEERS[peer].make(url, int(at_once))
    cpu_before, begun = _cpu_seconds(), time.perf_counter()
    if operation == "up":
        mover.upload(Path(folder), prefix)
    else:
        mover.download(prefix, Path(folder))
    wall = time.perf_counter() - begun
    cpu = _cpu_seconds() - cpu_before
    print(json.dumps({"seconds": wall, "cpu_seconds": cpu, "peak_rss_bytes": _peak_rss()}))
    return 0


def _cpu_seconds() -> float:
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _peak_rss() -> int:
    """Of this process or of the program that it ran, whichever was larger."""
    program = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _RSS_UNIT
    status = Path("/proc/self/status")
    if not status.exists():
        return max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT, program)
    # Not ru_maxrss: that begins with the memory of the process that started this one (setmax_mm_hiwater_rss in exec).
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return max(int(line.split()[1]) * 1024, program)


if __name__ == "__main__":
    sys.exit(main())
