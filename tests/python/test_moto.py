"""CONTRACT.md, kinds of client: in `mock_aws` nothing reaches the network, whenever a client was made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws
from s3bulk import make_s3_client, upload_folder

from tests.python.conftest import Listener, boto3_client, config_of, new_bucket, stored
from tests.servers import Server

# An application that made and used clients before moto was imported, and goes on in a mock. No connection that Python
# makes may leave this machine; those that the native half makes end at the listener, which is their proxy or endpoint.
_PROGRAM = """
import ipaddress, json, sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        host = arguments[1][0] if event == "socket.connect" else arguments[0]
        try:
            allowed = ipaddress.ip_address(host).is_loopback
        except ValueError:
            allowed = False
        if not allowed:
            raise AssertionError(f"{event} {host!r}")
sys.addaudithook(watch)

import boto3
from s3bulk import *
endpoint, folder, target = json.loads(sys.argv[1])
def config(number):
    return S3ClientConfig(endpoint, "eu-west-1", "auto", "key", f"secret-{number}")
used, unused = make_s3_client(config(1)), make_s3_client(config(2))
used.meta, boto3.client("s3", region_name="eu-west-1")
from moto import mock_aws
results = {}
with mock_aws():
    theirs = boto3.client("s3", endpoint_url=endpoint, region_name="eu-west-1")
    clients = {"used": used, "unused": unused, "inside": make_s3_client(config(3)), "boto3": theirs}
    for name, client in clients.items():
        ensure_bucket_exists(client, name, "eu-west-1")
        upload_file(client, f"{folder}/f", name, "k")
        download_file_to_path(client, name, "k", f"{target}/{name}/k")
        client.delete_object(Bucket=name, Key="k")
        names = upload_folder(client, folder, name, "p")
        results[name] = [names, download_prefix_to_folder(client, name, "p", f"{target}/{name}")]
        try:
            download_file_to_path(client, name, "none", f"{target}/none")
        except client.exceptions.ClientError as error:
            results[name].append(str(error))
    buckets = sorted(bucket["Name"] for bucket in theirs.list_buckets()["Buckets"])
print(json.dumps([results, buckets, [client._boto3_half.in_the_way() is None for client in (used, unused)]]))
"""


@pytest.mark.parametrize("endpoint", [None, "https://s3.eu-west-1.amazonaws.com", "custom"])
def test_in_a_mock_nothing_reaches_the_network(
    endpoint: str | None, listener: Listener, folder: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "https_proxy": listener.endpoint_url, "no_proxy": ""}
    if endpoint == "custom":
        endpoint = listener.endpoint_url
        environment["MOTO_S3_CUSTOM_ENDPOINTS"] = endpoint
    arguments = json.dumps([endpoint, str(folder), str(tmp_path / "down")])
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", _PROGRAM, arguments], env=environment, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert not listener.was_called
    results, buckets, free = json.loads(process.stdout)
    missing = "An error occurred (404) when calling the HeadObject operation: Not Found"
    names = ["boto3", "inside", "unused", "used"]
    assert results == {name: [["p/f"], ["f"], missing] for name in names}
    assert buckets == names
    assert free == [True, True], "after the mock they work natively again"
    for name in names:
        assert (tmp_path / "down" / name / "f").read_bytes() == b"body"


def test_what_is_not_mocked_is_reached_as_boto3_reaches_it(moto: Server, folder: Path) -> None:
    judge = boto3_client(moto)
    bucket = new_bucket(judge)
    client: Any = make_s3_client(config_of(moto))
    with mock_aws():
        assert client._boto3_half.in_the_way() is not None
        assert upload_folder(client, folder, bucket, "p") == ["p/f"]
    assert stored(judge, bucket) == {"p/f": b"body"}, "a server with an address of its own is no AWS"
