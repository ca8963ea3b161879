"""Errors of a boto3 client's native transfers are in the classes of that very client, and pickle."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from s3bulk import download_prefix_to_folder, make_s3_client, upload_file, upload_folder

from tests.python.conftest import CALLS, Wrapper, boto3_client, config_of, write_all
from tests.servers import Server

TRANSFERS = [name for name in CALLS if name != "ensure_bucket_exists"]


def _raised(name: str, client: Any, bucket: str, folder: Path) -> ClientError:
    with pytest.raises(ClientError) as caught:
        CALLS[name](client, bucket, folder)
    return caught.value


@pytest.mark.parametrize("name", TRANSFERS)
def test_an_error_has_the_class_that_the_clients_own_call_raises(name: str, server: Server, folder: Path) -> None:
    client = boto3_client(server)
    found = _raised(name, client, "no-such-bucket", folder)
    assert len(client._endpoint.http_session._manager.pools) == 0
    expected = _raised(name, Wrapper(client), "no-such-bucket", folder)
    assert type(found) is type(expected)
    assert (str(found), found.operation_name) == (str(expected), expected.operation_name)
    if name != "download_file_to_path":  # HEAD has no code
        assert type(found) is client.exceptions.NoSuchBucket


def test_two_sessions_have_a_class_each(moto: Server, folder: Path) -> None:
    arguments: dict[str, Any] = {
        "region_name": "us-east-1",
        "endpoint_url": moto.endpoint_url,
        "aws_access_key_id": "key",
        "aws_secret_access_key": "secret",
    }
    clients = [boto3.session.Session().client("s3", **arguments) for _ in range(2)]
    for client in clients:
        with pytest.raises(client.exceptions.NoSuchBucket):
            upload_file(client, folder / "f", "no-such-bucket", "k")


@pytest.mark.parametrize("change", [pickle.dumps, copy.copy], ids=["pickle", "copy"])
def test_a_modeled_error_keeps_its_report_and_notes(change: Any, moto: Server, folder: Path) -> None:
    write_all(folder, {"g": b"2"})
    client = boto3_client(moto)
    caught: Any
    with pytest.raises(client.exceptions.NoSuchBucket) as caught:
        upload_folder(client, folder, "no-such-bucket", "p")
    error = caught.value
    assert error.report.failed
    assert type(error.report.failed[0][1]) is client.exceptions.NoSuchBucket
    again = change(error)
    again = pickle.loads(again) if isinstance(again, bytes) else again
    assert (again.response, again.operation_name) == (error.response, error.operation_name)
    assert again.__notes__ == error.__notes__
    assert len(again.report.failed) == len(error.report.failed)
    twice = pickle.loads(pickle.dumps(again))
    assert len(twice.report.failed) == len(error.report.failed)
    assert type(again) is ClientError, "as botocore's own: nobody could find the class"


def test_an_error_through_the_client_pickles_with_its_report_too(moto: Server, folder: Path) -> None:
    client = boto3_client(moto)
    caught: Any
    with pytest.raises(client.exceptions.NoSuchBucket) as caught:
        download_prefix_to_folder(Wrapper(client), "no-such-bucket", "p", folder / "new")
    again: Any = pickle.loads(pickle.dumps(caught.value))
    assert again.report.done == []
    assert again.__notes__


def test_our_own_client_raises_the_classes_of_its_boto3_half(moto: Server, folder: Path) -> None:
    client = make_s3_client(config_of(moto))
    for name in TRANSFERS:
        if name != "download_file_to_path":
            with pytest.raises(client.exceptions.NoSuchBucket):
                CALLS[name](client, "no-such-bucket", folder)
