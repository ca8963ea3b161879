"""One cell of the matrix: a workload, an operation and a latency, every peer in turn, round after round."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.bucket import REGION
from benchmarks.peers import AT_ONCE_FAR, AT_ONCE_NEAR, PEERS
from benchmarks.server import Endpoint, running_endpoint
from benchmarks.verify import Wrong, check_download, check_upload
from benchmarks.workload import Workload

_TOP = Path(__file__).resolve().parent.parent
_PREFIX = "tree"
_LONGEST_SECONDS = 600.0


@dataclass(frozen=True)
class Cell:
    """What is measured, whoever does it."""

    workload: Workload
    operation: str
    latency_ms: int
    is_tls: bool = False

    @property
    def at_once(self) -> int:
        return AT_ONCE_FAR if self.latency_ms else AT_ONCE_NEAR

    def __str__(self) -> str:
        scheme = ", https" if self.is_tls else ""
        return f"{self.workload.name} ({self.workload}), {self.operation}, {self.latency_ms} ms{scheme}"


@dataclass
class Runs:
    """What one peer took for a cell, in each round; nothing of it counts when there is an error."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_rss_bytes: list[int] = field(default_factory=list)
    # How often its process ended by a signal and was given another try.
    aborts: int = 0
    error: str | None = None

    @property
    def median_seconds(self) -> float:
        return median(self.seconds)


def measure(
    cell: Cell,
    peers: Sequence[str],
    rounds: int,
    source: Path,
    scratch: Path,
    discard: bool,
    descriptors: int | None = None,
) -> dict[str, Runs]:
    """Gives the runs of each peer. Rounds are interleaved, so that a slow minute of the machine meets all of them.

    `descriptors` limits those of each process that transfers, as `ulimit -n` does.
    """
    found = {name: Runs() for name in peers}
    certificate = scratch / "certificate.pem" if cell.is_tls else None
    with ExitStack() as held:
        if cell.operation == "down":
            full = held.enter_context(running_endpoint(cell.latency_ms, discard=False, certificate=certificate))
            # By s3bulk, for its objects carry a checksum, as all do on S3 since 2024.
            _transfer("s3bulk", "up", cell.at_once, full, source, None)
            check_upload(source, full, _PREFIX, discarded=False)
        waiting = deque(_interleaved(peers, rounds))
        while waiting:
            name = waiting.popleft()
            runs = found[name]
            if runs.error:
                continue
            try:
                if cell.operation == "down":
                    taken = _download(name, cell.at_once, full, source, scratch / "copy", descriptors)
                else:
                    taken = _upload(name, cell, source, discard, descriptors, certificate)
            except (Wrong, subprocess.SubprocessError) as error:
                if _is_abort(error) and runs.aborts < rounds:
                    runs.aborts += 1
                    waiting.appendleft(name)
                else:
                    runs.error = _in_short(error)
                continue
            runs.seconds.append(taken["seconds"])
            runs.cpu_seconds.append(taken["cpu_seconds"])
            runs.peak_rss_bytes.append(int(taken["peak_rss_bytes"]))
    return found


def _interleaved(peers: Sequence[str], rounds: int) -> Iterator[str]:
    """Each round begins with another peer, so that none always follows the same one."""
    for number in range(rounds):
        first = number % len(peers)
        yield from (*peers[first:], *peers[:first])


def _upload(
    peer: str, cell: Cell, source: Path, discard: bool, descriptors: int | None, certificate: Path | None
) -> dict[str, float]:
    with running_endpoint(cell.latency_ms, discard, certificate) as empty:
        taken = _transfer(peer, "up", cell.at_once, empty, source, descriptors)
        check_upload(source, empty, _PREFIX, discard)
    return taken


def _download(
    peer: str, at_once: int, full: Endpoint, source: Path, copy: Path, descriptors: int | None
) -> dict[str, float]:
    copy.mkdir()
    try:
        taken = _transfer(peer, "down", at_once, full, copy, descriptors)
        check_download(source, copy)
    finally:
        shutil.rmtree(copy)
    return taken


def _transfer(
    peer: str, operation: str, at_once: int, endpoint: Endpoint, folder: Path, descriptors: int | None
) -> dict[str, float]:
    work = [peer, operation, str(at_once), endpoint.public_url, _PREFIX, str(folder)]
    command = [sys.executable, "-m", "benchmarks.transfer", *work]
    if descriptors:
        command = ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh", *command]
    done = subprocess.run(
        command,
        cwd=_TOP,
        env=_environment(endpoint),
        check=True,
        capture_output=True,
        text=True,
        timeout=_LONGEST_SECONDS,
    )
    taken: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return taken


def _environment(endpoint: Endpoint) -> dict[str, str]:
    """Nothing of the user's AWS settings, no proxy, and keys that are nobody's; whom to trust, in the terms of each."""
    ours = {
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "RCLONE_CONFIG": os.devnull,
    }
    ignored = ("AWS_", "RCLONE_", "S3_", "S3DLIO_")
    if endpoint.ca_bundle:
        ours |= dict.fromkeys(("AWS_CA_BUNDLE", "SSL_CERT_FILE"), str(endpoint.ca_bundle))
    rest = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(ignored) and "proxy" not in name.lower()
    }
    return {**rest, **ours}


def _is_abort(error: Exception) -> bool:
    return isinstance(error, subprocess.CalledProcessError) and error.returncode < 0


def _in_short(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return next(iter(reversed(error.stderr.strip().splitlines())), f"exit status {error.returncode}")[:200]
    return str(error)[:200]


def peers_for(workload: Workload, wanted: Sequence[str]) -> list[str]:
    """Gives those of `wanted` that are measured on the workload."""
    return [name for name in wanted if not PEERS[name].workloads or workload.name in PEERS[name].workloads]
