"""`make demo`: a folder up and down with s3bulk and with a plain boto3 loop, on a real server, every byte compared."""

from __future__ import annotations

import filecmp
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import boto3
import s3bulk

from benchmarks import boto3_loop
from tests.servers import Server, moto_server, seaweedfs_server
from tests.servers.process import ServerDied

_SMALL_FILES = 3_000
_FOLDERS = 30
_SMALL_BYTES = (1, 8_192)
_LARGE_BYTES = 200 * 1024 * 1024
_REGION = "us-east-1"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="s3bulk-demo-") as name, _server(Path(name)) as server:
        folder = Path(name)
        print(f"Making {_SMALL_FILES:,} small files and one of {_LARGE_BYTES // 1024**2} MiB", flush=True)
        source = folder / "source"
        size = _make_tree(source)
        differences = _compare(source, folder, size, server)
    print("\n".join(differences) or "\nEvery byte came back the same, by every way.")
    return 1 if differences else 0


def _compare(source: Path, folder: Path, size: int, server: Server) -> list[str]:
    """Moves the tree with both, prints the table and gives what came out different."""
    ours = s3bulk.make_s3_client(
        s3bulk.S3ClientConfig(server.endpoint_url, _REGION, access_key=server.access_key, secret_key=server.secret_key)
    )
    theirs = boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=_REGION,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )
    for bucket in ("from-s3bulk", "from-boto3"):
        s3bulk.ensure_bucket_exists(ours, bucket, _REGION)

    def up_ours() -> list[str]:
        return s3bulk.upload_folder(ours, source, "from-s3bulk", "tree")

    def up_theirs() -> list[str]:
        return boto3_loop.upload_folder(theirs, source, "from-boto3", "tree")

    # Each brings back what the other has sent, so that neither's mistakes cancel out.
    def down_ours() -> list[str]:
        return s3bulk.download_prefix_to_folder(ours, "from-boto3", "tree", folder / "by-s3bulk")

    def down_theirs() -> list[str]:
        return boto3_loop.download_prefix_to_folder(theirs, "from-s3bulk", "tree", folder / "by-boto3")

    files = _SMALL_FILES + 1
    differences = []
    print(f"\n{files:,} files, {size / 1e6:,.0f} MB, {server.name} on this machine\n")
    print(f"{'':10}{'seconds':>10}{'files/s':>10}{'MB/s':>10}{'ratio':>10}")
    for direction, by_us, by_them in (("up", up_ours, up_theirs), ("down", down_ours, down_theirs)):
        our_seconds, our_names = _timed(by_us)
        _print_row(f"s3bulk {direction}", files, size, our_seconds)
        their_seconds, their_names = _timed(by_them)
        _print_row(f"boto3 {direction}", files, size, their_seconds, their_seconds / our_seconds)
        if our_names != their_names:
            differences.append(f"{direction}: s3bulk and boto3 give different lists of names")
    for copy in ("by-s3bulk", "by-boto3"):
        differences += _differences(source, folder / copy)
    return differences


def _timed(move: Callable[[], list[str]]) -> tuple[float, list[str]]:
    begun = time.perf_counter()
    names = move()
    return time.perf_counter() - begun, names


def _print_row(label: str, files: int, size: int, seconds: float, ratio: float | None = None) -> None:
    shown = f"{ratio:.1f} x" if ratio else ""
    print(f"{label:10}{seconds:10.2f}{files / seconds:10,.0f}{size / 1e6 / seconds:10,.0f}{shown:>10}", flush=True)


@contextmanager
def _server(folder: Path) -> Iterator[Server]:
    """SeaweedFS, or moto's server where SeaweedFS is not to be had."""
    data = folder / "server"
    data.mkdir()
    print("Starting a server", flush=True)
    with ExitStack() as running:
        try:
            server = running.enter_context(seaweedfs_server(data))
        except (FileNotFoundError, ServerDied, TimeoutError) as error:
            print(f"SeaweedFS does not run here ({error}); moto's server instead", file=sys.stderr)
            server = running.enter_context(moto_server())
        yield server


def _make_tree(folder: Path) -> int:
    """Fills `folder` with the same bytes each time and gives their number."""
    numbers = random.Random(1)
    total = _LARGE_BYTES
    for index in range(_FOLDERS):
        (folder / f"folder {index:02}").mkdir(parents=True)
    for index in range(_SMALL_FILES):
        content = numbers.randbytes(numbers.randint(*_SMALL_BYTES))
        (folder / f"folder {index % _FOLDERS:02}" / f"{index:04}.bin").write_bytes(content)
        total += len(content)
    with (folder / "large.bin").open("wb") as large:
        for _ in range(_LARGE_BYTES // 1024**2):
            large.write(numbers.randbytes(1024**2))
    return total


def _differences(source: Path, copy: Path) -> Iterator[str]:
    """Gives a line for each file that is not the same in both folders."""
    expected = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    found = {path.relative_to(copy) for path in copy.rglob("*") if path.is_file()}
    yield from (f"{copy.name}: {path} is missing" for path in sorted(expected - found))
    yield from (f"{copy.name}: {path} was never sent" for path in sorted(found - expected))
    for path in sorted(expected & found):
        if not filecmp.cmp(source / path, copy / path, shallow=False):
            yield f"{copy.name}: {path} has other bytes"


if __name__ == "__main__":
    sys.exit(main())
