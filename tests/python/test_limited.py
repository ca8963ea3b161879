"""`with_options` for all three kinds of client."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.stub import Stubber
from s3bulk import (
    Client,
    TransferOptions,
    download_file_to_path,
    download_prefix_to_folder,
    ensure_bucket_exists,
    upload_file,
    upload_folder,
    with_options,
)

from tests.python.conftest import REGION, boto3_client, files_below, new_bucket, stored
from tests.servers import Server

_OPTIONS = TransferOptions(max_concurrency=2)


def test_every_function_takes_what_with_options_returns(client: Any, judge: Any, folder: Path, tmp_path: Path) -> None:
    limited = with_options(client, _OPTIONS)
    bucket = new_bucket(judge)
    ensure_bucket_exists(limited, bucket, REGION)
    upload_file(limited, folder / "f", bucket, "k")
    assert upload_folder(limited, folder, bucket, "p") == ["p/f"]
    download_file_to_path(limited, bucket, "k", tmp_path / "new")
    assert download_prefix_to_folder(limited, bucket, "p", tmp_path / "down") == ["f"]
    assert stored(judge, bucket) == {"k": b"body", "p/f": b"body"}
    assert ((tmp_path / "new").read_bytes(), files_below(tmp_path / "down")) == (b"body", {"f": b"body"})


def test_the_options_are_the_ones_given_last(client: Any) -> None:
    once = with_options(client, _OPTIONS)
    twice = with_options(once, TransferOptions(max_concurrency=3))
    assert (once.options.max_concurrency, twice.options.max_concurrency) == (2, 3)


def test_our_own_client_stays_one(own: Any) -> None:
    limited = with_options(own, _OPTIONS)
    assert type(limited) is Client
    assert limited.options == _OPTIONS


@pytest.mark.parametrize("options", [None, {"max_concurrency": 2}, TransferOptions])
def test_options_are_transfer_options(client: Any, options: Any) -> None:
    with pytest.raises(TypeError, match="options must be TransferOptions"):
        with_options(client, options)


def test_a_boto3_client_with_options_is_still_a_boto3_client(moto: Server) -> None:
    client = boto3_client(moto)
    limited = with_options(client, _OPTIONS)
    assert limited.meta is client.meta
    assert limited.exceptions is client.exceptions
    assert limited.list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200
    with Stubber(limited) as stubber:
        stubber.add_client_error("head_bucket", "403", http_status_code=403)
        with pytest.raises(client.exceptions.ClientError, match="403"):
            ensure_bucket_exists(limited, "bucket", REGION)
        stubber.assert_no_pending_responses()


def test_attributes_are_set_on_the_client_itself() -> None:
    client = MagicMock()
    limited = with_options(client, _OPTIONS)
    limited.head_bucket = MagicMock()
    ensure_bucket_exists(limited, "bucket", REGION)
    assert client.head_bucket.call_count == 1
    del limited.head_bucket
    with pytest.raises(AttributeError):
        client.head_bucket  # noqa: B018
