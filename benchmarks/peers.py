"""Whom we measure: how each moves a folder up and a prefix down, in its own best way, so many transfers at once.

What a peer needs is imported where it is needed, so that a process holds the one that it measures and no other: asyncio
alone takes 7 MiB.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from benchmarks.bucket import BUCKET, REGION

# Transfers at once of the peers that have to be told. More than 64 slow them down where answers come at once.
AT_ONCE_NEAR, AT_ONCE_FAR = 64, 256
_Item = TypeVar("_Item")
_BOTO3_THREADS = 32  # more only wait for the interpreter
_MOUNTPOINT_PIECE = 8 << 20  # its own size of a part
# What its connections follow from. 10, its default, makes 25: best for large objects, too few for many far away.
_MOUNTPOINT_GBPS, _MOUNTPOINT_FAR_GBPS = 10.0, 100.0
# Without any of it rclone would ask for each object before and after it moves it, and sum up what the others don't.
_RCLONE_FLAGS = (
    "--ignore-checksum --no-check-dest --no-traverse --fast-list "
    "--s3-no-check-bucket --s3-no-head --s3-disable-checksum --s3-list-version 2"
)


class Mover(Protocol):
    """A peer that is ready to begin."""

    def upload(self, folder: Path, prefix: str) -> None: ...
    def download(self, prefix: str, folder: Path) -> None: ...


class Peer(NamedTuple):
    """How a peer is made for a URL and N transfers at once, what is shown of it, and its workloads (empty: all)."""

    make: Callable[[str, int], Mover]
    version: Callable[[], str]
    flags: str
    workloads: tuple[str, ...] = ()


class _S3bulk:
    def __init__(self, endpoint_url: str, _finds_out: int) -> None:
        import s3bulk

        self._module = s3bulk
        self._client = s3bulk.make_s3_client(s3bulk.S3ClientConfig(endpoint_url, REGION))

    def upload(self, folder: Path, prefix: str) -> None:
        self._module.upload_folder(self._client, folder, BUCKET, prefix)

    def download(self, prefix: str, folder: Path) -> None:
        self._module.download_prefix_to_folder(self._client, BUCKET, prefix, folder)


class _S3bulkUnsigned(_S3bulk):
    def __init__(self, endpoint_url: str, finds_out: int) -> None:
        super().__init__(endpoint_url, finds_out)
        self._client = self._client.with_options(self._module.TransferOptions(payload_signing="never"))


class _Boto3:
    def __init__(self, endpoint_url: str, _has_threads: int) -> None:
        from concurrent.futures import ThreadPoolExecutor

        import boto3
        from botocore.config import Config

        config = Config(max_pool_connections=_BOTO3_THREADS, s3={"addressing_style": "path"})
        self._client = boto3.client("s3", endpoint_url=endpoint_url, region_name=REGION, config=config)
        self._threads = ThreadPoolExecutor(_BOTO3_THREADS)

    def upload(self, folder: Path, prefix: str) -> None:
        def send(path: Path) -> None:
            self._client.upload_file(str(path), BUCKET, _key(prefix, folder, path))

        with self._threads as threads:
            list(threads.map(send, _files(folder)))

    def download(self, prefix: str, folder: Path) -> None:
        def fetch(key: str) -> None:
            self._client.download_file(BUCKET, key, str(_new_path(folder, prefix, key)))

        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        with self._threads as threads:
            list(threads.map(fetch, [listed["Key"] for page in pages for listed in page["Contents"]]))


class _Obstore:
    def __init__(self, endpoint_url: str, at_once: int) -> None:
        import asyncio

        import obstore
        from obstore.store import S3Store

        self._module = obstore
        self._run = asyncio.run
        self._at_once = at_once
        self._store = S3Store(BUCKET, endpoint=endpoint_url, region=REGION, client_options={"allow_http": True})

    def upload(self, folder: Path, prefix: str) -> None:
        async def send(path: Path) -> None:
            await self._module.put_async(self._store, _key(prefix, folder, path), path)

        self._run(_all_at_once(self._at_once, send, _files(folder)))

    def download(self, prefix: str, folder: Path) -> None:
        async def fetch(key: str) -> None:
            answer = await self._module.get_async(self._store, key)
            with _new_path(folder, prefix, key).open("wb") as file:
                async for piece in answer.stream():
                    file.write(piece)

        pages = self._module.list(self._store, f"{prefix}/")
        self._run(_all_at_once(self._at_once, fetch, [listed["path"] for page in pages for listed in page]))


class _S3z:
    def __init__(self, endpoint_url: str, at_once: int) -> None:
        import s3z

        keys = s3z.static_credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
        self._workers = at_once
        self._client = s3z.S3Client(s3z.Config(REGION, keys, endpoint=endpoint_url))

    def upload(self, folder: Path, prefix: str) -> None:
        self._client.upload([str(folder)], BUCKET, f"{prefix}/", workers=self._workers)

    def download(self, prefix: str, folder: Path) -> None:
        self._client.download(BUCKET, f"{prefix}/", str(folder), workers=self._workers)


class _S3dlio:
    def __init__(self, endpoint_url: str, at_once: int) -> None:
        os.environ["AWS_ENDPOINT_URL"] = endpoint_url
        import s3dlio

        self._module = s3dlio
        self._at_once = at_once

    def upload(self, folder: Path, prefix: str) -> None:
        # It takes patterns and forgets the folders of what they match: one call for each folder.
        for inner in sorted({path.parent for path in _files(folder)}):
            target = f"s3://{BUCKET}/{_key(prefix, folder, inner).removesuffix('/.')}/"
            self._module.upload([str(inner / "*")], target, max_in_flight=self._at_once)

    def download(self, prefix: str, folder: Path) -> None:
        self._module.download(f"s3://{BUCKET}/{prefix}/", str(folder), max_in_flight=self._at_once)


class _Mountpoint:
    """The client of AWS's connector for PyTorch: mountpoint-s3 on the CRT."""

    def __init__(self, endpoint_url: str, at_once: int) -> None:
        from concurrent.futures import ThreadPoolExecutor

        from s3torchconnectorclient._mountpoint_s3_client import MountpointS3Client

        self._client = MountpointS3Client(
            region=REGION,
            endpoint=endpoint_url,
            force_path_style=True,
            throughput_target_gbps=_MOUNTPOINT_FAR_GBPS if at_once > AT_ONCE_NEAR else _MOUNTPOINT_GBPS,
        )
        self._threads = ThreadPoolExecutor(at_once)

    def upload(self, folder: Path, prefix: str) -> None:
        def send(path: Path) -> None:
            stream = self._client.put_object(BUCKET, _key(prefix, folder, path))
            with path.open("rb") as file:
                while piece := file.read(_MOUNTPOINT_PIECE):
                    stream.write(piece)
            stream.close()

        with self._threads as threads:
            list(threads.map(send, _files(folder)))

    def download(self, prefix: str, folder: Path) -> None:
        def fetch(key: str) -> None:
            with _new_path(folder, prefix, key).open("wb") as file:
                for piece in self._client.get_object(BUCKET, key):
                    file.write(piece)

        pages = self._client.list_objects(BUCKET, f"{prefix}/")
        with self._threads as threads:
            list(threads.map(fetch, [listed.key for page in pages for listed in page.object_info]))


class _S5cmd:
    def __init__(self, endpoint_url: str, _has_256_workers: int) -> None:
        self._command = [_program("s5cmd"), "--log", "error", "--endpoint-url", endpoint_url, "cp"]

    def upload(self, folder: Path, prefix: str) -> None:
        _run([*self._command, f"{folder}/", f"s3://{BUCKET}/{prefix}/"])

    def download(self, prefix: str, folder: Path) -> None:
        _run([*self._command, f"s3://{BUCKET}/{prefix}/*", f"{folder}/"])


class _Rclone:
    def __init__(self, endpoint_url: str, at_once: int) -> None:
        self._remote = (
            f":s3,provider=Other,env_auth=true,force_path_style=true,region={REGION},endpoint='{endpoint_url}':"
        )
        transfers = ["--transfers", str(at_once), "--checkers", str(at_once)]
        self._command = [_program("rclone"), "copy", "--quiet", *transfers, *_RCLONE_FLAGS.split()]

    def upload(self, folder: Path, prefix: str) -> None:
        _run([*self._command, str(folder), f"{self._remote}{BUCKET}/{prefix}"])

    def download(self, prefix: str, folder: Path) -> None:
        _run([*self._command, f"{self._remote}{BUCKET}/{prefix}", str(folder)])


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def _key(prefix: str, folder: Path, path: Path) -> str:
    return f"{prefix}/{path.relative_to(folder).as_posix()}"


def _new_path(folder: Path, prefix: str, key: str) -> Path:
    path = folder / key.removeprefix(f"{prefix}/")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


async def _all_at_once(at_once: int, move: Callable[[_Item], Awaitable[None]], items: list[_Item]) -> None:
    import asyncio

    places = asyncio.Semaphore(at_once)

    async def in_place(item: _Item) -> None:
        async with places:
            await move(item)

    await asyncio.gather(*(in_place(item) for item in items))


def _run(command: list[str]) -> None:
    import subprocess

    subprocess.run(command, check=True)


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _version(distribution: str) -> str:
    from importlib.metadata import version

    return version(distribution)


def _said_by(*command: str) -> str:
    import subprocess

    said = subprocess.run([_program(command[0]), *command[1:]], check=True, stdout=subprocess.PIPE, text=True).stdout
    return said.splitlines()[0].removeprefix(command[0]).strip()


def versions(wanted: Sequence[str] | None) -> dict[str, str]:
    """Gives the versions of those, or of all that are there: some are not made for every system and Python."""
    from importlib.metadata import PackageNotFoundError

    found = {}
    for name in wanted or PEERS:
        try:
            found[name] = PEERS[name].version()
        except (PackageNotFoundError, FileNotFoundError):
            if wanted:
                raise
    return found


PEERS = {
    "s3bulk": Peer(_S3bulk, lambda: _version("s3bulk"), "defaults"),
    "s3bulk-unsigned": Peer(_S3bulkUnsigned, lambda: _version("s3bulk"), 'payload_signing="never"'),
    "boto3": Peer(
        _Boto3, lambda: _version("boto3"), f"upload_file, download_file; {_BOTO3_THREADS} threads", ("small",)
    ),
    "obstore": Peer(_Obstore, lambda: _version("obstore"), "put_async, get_async; N at once"),
    "s5cmd": Peer(_S5cmd, lambda: _said_by("s5cmd", "version"), "cp (256 workers)"),
    "rclone": Peer(_Rclone, lambda: _said_by("rclone", "version"), f"copy --transfers N --checkers N {_RCLONE_FLAGS}"),
    "s3z": Peer(_S3z, lambda: _version("s3z"), "workers=N"),
    "s3dlio": Peer(
        _S3dlio, lambda: _version("s3dlio"), "upload of one folder after the other, download; max_in_flight=N"
    ),
    "mountpoint": Peer(
        _Mountpoint,
        lambda: _version("s3torchconnectorclient"),
        f"put_object, get_object; N threads, throughput_target_gbps={_MOUNTPOINT_GBPS}, far {_MOUNTPOINT_FAR_GBPS}",
    ),
}
