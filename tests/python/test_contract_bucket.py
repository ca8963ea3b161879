"""CONTRACT.md, "`ensure_bucket_exists`"."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from s3bulk import TransferOptions, ensure_bucket_exists

from tests.python.conftest import boto3_client, client_of, new_bucket
from tests.servers import Server


def test_a_missing_bucket_is_created(client: Any, judge: Any, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "s3bulk")
    name = new_bucket(judge) + "-new"
    ensure_bucket_exists(client, name, "us-east-1")
    assert judge.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 200
    (record,) = caplog.records
    assert (record.levelname, record.name) == ("INFO", "s3bulk")
    assert name in record.getMessage()


def test_an_existing_bucket_is_left_alone(
    client: Any, judge: Any, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "s3bulk")
    judge.put_object(Bucket=bucket, Key="k", Body=b"kept")
    ensure_bucket_exists(client, bucket, "us-east-1")
    assert judge.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"
    assert not caplog.records


@pytest.mark.parametrize(("region", "location"), [("eu-central-1", "eu-central-1"), ("us-east-1", None)])
def test_the_bucket_is_made_in_its_region(kind: str, moto: Server, region: str, location: str | None) -> None:
    judge = boto3_client(moto, region)
    client = client_of(kind, moto, region)
    name = f"located-{kind}-{region}"
    ensure_bucket_exists(client, name, region)
    assert judge.get_bucket_location(Bucket=name)["LocationConstraint"] == location


@pytest.mark.parametrize("region", ["", None])
def test_an_empty_region_means_no_location_constraint(kind: str, moto: Server, region: Any) -> None:
    name = f"located-{kind}-nowhere-{region is None}".lower()
    ensure_bucket_exists(client_of(kind, moto), name, region)
    assert boto3_client(moto).get_bucket_location(Bucket=name)["LocationConstraint"] is None


@pytest.mark.needs("say that a bucket is ours")
def test_concurrent_calls_all_succeed(kind: str, server: Server, judge: Any) -> None:
    name = f"raced-{kind}-{server.name}"
    client = client_of(kind, server)
    with ThreadPoolExecutor(8) as pool:
        for call in [pool.submit(ensure_bucket_exists, client, name, "us-east-1") for _ in range(8)]:
            call.result()
    judge.head_bucket(Bucket=name)


def test_no_permission_is_raised_as_it_is(kind: str, seaweedfs: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "s3bulk")
    judge = boto3_client(seaweedfs)
    with pytest.raises(ClientError) as caught:
        ensure_bucket_exists(client_of(kind, seaweedfs, secret_key="wrong"), "forbidden", "us-east-1")
    assert caught.value.response["Error"]["Code"] == "403"
    assert caught.value.operation_name == "HeadBucket"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    with pytest.raises(ClientError, match="404"):
        judge.head_bucket(Bucket="forbidden")


def test_no_server_is_no_reason_to_create(kind: str, refused_endpoint: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "s3bulk")
    client = client_of(kind, Server("nobody", refused_endpoint, "key", "secret"))
    if kind == "own":
        client = client.with_options(TransferOptions(max_attempts=1))
    with pytest.raises(EndpointConnectionError):
        ensure_bucket_exists(client, "b", "us-east-1")
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def _error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "m"}}, operation)


@pytest.mark.parametrize("code", ["404", "NoSuchBucket", "NotFound"])
@pytest.mark.parametrize(
    ("region", "arguments"),
    [
        ("us-east-1", {}),
        ("", {}),
        ("eu-west-1", {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}),
    ],
)
def test_plain_calls_are_those_of_the_original(code: str, region: str, arguments: dict[str, Any]) -> None:
    client = MagicMock()
    client.head_bucket.side_effect = _error(code, "HeadBucket")
    ensure_bucket_exists(client, "b", region)
    client.head_bucket.assert_called_once_with(Bucket="b")
    client.create_bucket.assert_called_once_with(Bucket="b", **arguments)


def test_plain_success_creates_nothing() -> None:
    client = MagicMock()
    ensure_bucket_exists(client, "b", "eu-west-1")
    assert [call[0] for call in client.method_calls] == ["head_bucket"]


@pytest.mark.parametrize(
    "error", [_error("403", "HeadBucket"), _error("500", "HeadBucket"), TimeoutError("slow"), ValueError("404")]
)
def test_plain_errors_but_not_found_are_raised_as_they_are(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "s3bulk")
    client = MagicMock()
    client.head_bucket.side_effect = error
    with pytest.raises(type(error)) as caught:
        ensure_bucket_exists(client, "b", "us-east-1")
    assert caught.value is error
    client.create_bucket.assert_not_called()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_plain_race_that_ends_in_a_bucket_of_ours_is_success(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "s3bulk")
    client = MagicMock()
    client.head_bucket.side_effect = _error("404", "HeadBucket")
    client.create_bucket.side_effect = _error("BucketAlreadyOwnedByYou", "CreateBucket")
    ensure_bucket_exists(client, "b", "us-east-1")
    client.create_bucket.assert_called_once()
    assert not caplog.records


def test_plain_bucket_of_somebody_else_is_an_error() -> None:
    client = MagicMock()
    client.head_bucket.side_effect = _error("404", "HeadBucket")
    client.create_bucket.side_effect = _error("BucketAlreadyExists", "CreateBucket")
    with pytest.raises(ClientError, match="BucketAlreadyExists"):
        ensure_bucket_exists(client, "b", "us-east-1")
