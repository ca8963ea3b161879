"""Strangers: a boto3 client that signs nothing reads natively what a real server lets everybody read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from s3bulk import download_file_to_path, download_prefix_to_folder, upload_file
from s3bulk._way import ways

from tests.python.conftest import Wrapper, boto3_client, files_below, put_all, stored
from tests.servers import Server

pytestmark = pytest.mark.needs("let strangers read")


@pytest.fixture
def public_bucket(judge: Any, bucket: str) -> str:
    """A bucket that everybody may list and read."""
    statements = [
        {"Effect": "Allow", "Principal": "*", "Action": [action], "Resource": [f"arn:aws:s3:::{resource}"]}
        for action, resource in (("s3:ListBucket", bucket), ("s3:GetObject", f"{bucket}/*"))
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    judge.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    return bucket


@pytest.fixture
def stranger(server: Server) -> Any:
    # Keys that would be wrong: they are not to be used.
    settings = Config(signature_version=UNSIGNED)
    return boto3_client(server, aws_access_key_id="wrong", aws_secret_access_key="wrong", config=settings)


def test_strangers_read_natively(public_bucket: str, stranger: Any, judge: Any, tmp_path: Path) -> None:
    objects = {"p/small": b"body", "p/parts": bytes(range(256)) * (17 << 12)}  # one comes in ranges
    put_all(judge, public_bucket, objects)
    assert ways(stranger, public_bucket, up=False)[0] is not None
    assert download_prefix_to_folder(stranger, public_bucket, "p", tmp_path / "down") == ["parts", "small"]
    download_file_to_path(stranger, public_bucket, "p/small", tmp_path / "file")
    expected = {f"down/{key.removeprefix('p/')}": body for key, body in objects.items()}
    assert files_below(tmp_path) == {**expected, "file": b"body"}


def test_what_strangers_may_not_do_is_refused_as_in_boto3(
    public_bucket: str, stranger: Any, judge: Any, folder: Path, tmp_path: Path
) -> None:
    calls: list[Callable[[Any], None]] = [
        lambda client: upload_file(client, folder / "f", public_bucket, "k"),
        lambda client: download_file_to_path(client, public_bucket, "none", tmp_path / "new"),
    ]

    def refusal(client: Any, call: Callable[[Any], None]) -> Any:
        with pytest.raises(ClientError) as caught:
            call(client)
        error = caught.value
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return error.response["Error"]["Code"], error.operation_name, status

    for call in calls:
        assert refusal(stranger, call) == refusal(Wrapper(stranger), call)
    assert stored(judge, public_bucket) == {}
