"""Servers, clients and folders for the tests of the Python package."""

from __future__ import annotations

import functools
import itertools
import os
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import s3bulk
from botocore.config import Config
from s3bulk import S3ClientConfig, make_s3_client

from tests.servers import (
    FaultServer,
    Server,
    fault_server,
    minio_server,
    moto_server,
    rclone_server,
    seaweedfs_server,
    versitygw_server,
)
from tests.servers.lacks import reason_to_skip

REGION = "us-east-1"
KINDS = ("own", "boto3", "wrapper")

_numbers = itertools.count()


class Wrapper:
    """Not a boto3 client, but it has the methods that the original module called."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def head_bucket(self, **arguments: Any) -> Any:
        return self._client.head_bucket(**arguments)

    def create_bucket(self, **arguments: Any) -> Any:
        return self._client.create_bucket(**arguments)

    def put_object(self, **arguments: Any) -> Any:
        return self._client.put_object(**arguments)

    def download_fileobj(self, **arguments: Any) -> Any:
        return self._client.download_fileobj(**arguments)

    def get_paginator(self, name: str) -> Any:
        return self._client.get_paginator(name)


@functools.lru_cache(maxsize=1)
def _session() -> boto3.session.Session:
    # Reading boto3's models takes most of a second; clients of one session share them.
    return boto3.session.Session()


def boto3_client(server: Server, region: str = REGION, **changes: Any) -> Any:
    """A boto3 client as the original module made it."""
    arguments: dict[str, Any] = {
        "region_name": region,
        "endpoint_url": server.endpoint_url,
        "aws_access_key_id": server.access_key,
        "aws_secret_access_key": server.secret_key,
        "config": Config(signature_version="s3v4", s3={"addressing_style": "auto"}),
        **changes,
    }
    return _session().client("s3", **arguments)


def config_of(server: Server, region: str = REGION, **changes: Any) -> S3ClientConfig:
    arguments: dict[str, Any] = {
        "endpoint_url": server.endpoint_url,
        "region": region,
        "access_key": server.access_key,
        "secret_key": server.secret_key,
        **changes,
    }
    return S3ClientConfig(**arguments)


def client_of(kind: str, server: Server, region: str = REGION, **changes: Any) -> Any:
    """A client of one of the contract's three kinds. `changes` are those of a config."""
    if kind == "own":
        return make_s3_client(config_of(server, region, **changes))
    names = {"endpoint_url": "endpoint_url", "access_key": "aws_access_key_id", "secret_key": "aws_secret_access_key"}
    client = boto3_client(server, region, **{names[name]: value for name, value in changes.items()})
    return Wrapper(client) if kind == "wrapper" else client


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower() in ("http_proxy", "https_proxy", "all_proxy", "requests_ca_bundle"):
            monkeypatch.delenv(name)
    nowhere = tmp_path_factory.getbasetemp() / "no-such-folder"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(nowhere / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nowhere / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    make_s3_client.cache_clear()
    yield
    make_s3_client.cache_clear()


@pytest.fixture(scope="session")
def moto() -> Iterator[Server]:
    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with seaweedfs_server(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with rclone_server(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with versitygw_server(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with minio_server(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="session")
def scripted() -> Iterator[FaultServer]:
    """The server of the Rust tests, which does what a test tells it. A test takes its rules back. Pages are short."""
    with fault_server("--page-size", "3") as server:
        yield server


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Server:
    """Each server of `--servers` in turn, but for what it lacks (`@pytest.mark.needs`)."""
    needed = [name for mark in request.node.iter_markers("needs") for name in mark.args]
    reason = reason_to_skip(request.param, needed)
    if reason is not None:
        pytest.skip(reason)
    chosen: Server = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of client in turn."""
    return str(request.param)


@pytest.fixture
def client(kind: str, server: Server) -> Any:
    return client_of(kind, server)


@pytest.fixture
def own(server: Server) -> Any:
    """The package's own client."""
    return client_of("own", server)


@pytest.fixture
def judge(server: Server) -> Any:
    """A boto3 client that says what is really there."""
    return boto3_client(server)


def new_bucket(judge: Any) -> str:
    name = f"bucket-{next(_numbers)}"
    judge.create_bucket(Bucket=name)
    return name


@pytest.fixture
def bucket(judge: Any) -> str:
    """A bucket of this test's own."""
    return new_bucket(judge)


@pytest.fixture
def moto_bucket(moto: Server) -> str:
    return new_bucket(boto3_client(moto))


def stored(judge: Any, bucket: str) -> dict[str, bytes]:
    """All objects of a bucket, read by boto3."""
    pages = judge.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {key: judge.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def put_all(judge: Any, bucket: str, objects: dict[str, bytes]) -> None:
    for key, body in objects.items():
        judge.put_object(Bucket=bucket, Key=key, Body=body)


def write_all(folder: Path, files: dict[str, bytes]) -> Path:
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return folder


def files_below(folder: Path) -> dict[str, bytes]:
    """All files of a folder, hidden and temporary ones included."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Listener:
    """Listens on a port and says whether anybody called. It never answers."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self.endpoint_url = f"http://127.0.0.1:{listening.getsockname()[1]}"

    @property
    def was_called(self) -> bool:
        return bool(select.select([self._listening], [], [], 0)[0])


@pytest.fixture
def listener() -> Iterator[Listener]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield Listener(listening)


@pytest.fixture
def refused_endpoint() -> str:
    """An endpoint where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


Call = Callable[[Any, str, Path], Any]

# Every function that takes a bucket, as (client, bucket, an existing folder with one file "f").
CALLS: dict[str, Call] = {
    "ensure_bucket_exists": lambda client, bucket, folder: s3bulk.ensure_bucket_exists(client, bucket, REGION),
    "upload_file": lambda client, bucket, folder: s3bulk.upload_file(client, folder / "f", bucket, "k"),
    "download_file_to_path": lambda client, bucket, folder: s3bulk.download_file_to_path(
        client, bucket, "k", folder / "new"
    ),
    "upload_folder": lambda client, bucket, folder: s3bulk.upload_folder(client, folder, bucket, "p"),
    "download_prefix_to_folder": lambda client, bucket, folder: s3bulk.download_prefix_to_folder(
        client, bucket, "p", folder / "new"
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the one file that `CALLS` need."""
    return write_all(tmp_path / "folder", {"f": b"body"})
