"""What a user's type checker sees: `py.typed`, strict annotations, and a protocol for clients."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# `type: ignore` marks what must be an error: where it is none, mypy says that the comment is not needed.
_PROGRAM = """
from pathlib import Path
from typing import Any, assert_type
from unittest.mock import MagicMock

import boto3
import s3bulk
from s3bulk import (
    AddressingStyle,
    Client,
    Report,
    S3Client,
    S3ClientConfig,
    TransferError,
    TransferOptions,
    download_file_to_path,
    download_prefix_to_folder,
    ensure_bucket_exists,
    logger,
    make_s3_client,
    upload_file,
    upload_folder,
    with_options,
)

style: AddressingStyle = "path"
config = S3ClientConfig(endpoint_url="http://localhost:9000", region="us-east-1", addressing_style=style)
assert_type(make_s3_client(config), Any)
client: Client = make_s3_client(config)


def publish(client: S3Client, folder: Path) -> list[str]:
    ensure_bucket_exists(client, "results", "us-east-1")
    upload_file(client, folder / "f", "results", "k")
    upload_file(client, "f", "results", "k", content_type="text/plain")
    download_file_to_path(client, "results", "k", "g")
    assert_type(download_prefix_to_folder(client, "results", "p", folder), list[str])
    return upload_folder(client, str(folder), "results", "p")


class Wrapper:
    def head_bucket(self, **arguments: Any) -> Any: ...
    def create_bucket(self, **arguments: Any) -> Any: ...
    def put_object(self, **arguments: Any) -> Any: ...
    def download_fileobj(self, **arguments: Any) -> Any: ...
    def get_paginator(self, name: str) -> Any: ...


publish(client, Path())
publish(make_s3_client(config), Path())
publish(boto3.client("s3"), Path())
publish(MagicMock(), Path())
publish(Wrapper(), Path())
publish(with_options(client, TransferOptions(max_attempts=2)), Path())
assert_type(client.upload_folder("f", "b", "p"), Report)
assert_type(client.upload_folder("f", "b", "p").done, list[str])
assert_type(client.with_options(TransferOptions()), Client)
assert_type(make_s3_client.cache_info().hits, int)
assert_type(client.upload_file("f", "b", "k", {"ContentType": "a/b"}), None)
logger.debug(s3bulk.__version__)
error: TransferError = TransferError("no")

publish(object(), Path())  # type: ignore[arg-type]
upload_file(client, b"f", "results", "k")  # type: ignore[arg-type]
S3ClientConfig("http://h", "r", "paths")  # type: ignore[arg-type]
config.region = "other"  # type: ignore[misc]
TransferOptions(no_such_option=1)  # type: ignore[call-arg]
"""


@pytest.mark.timeout(300)
def test_a_strict_program_of_a_user_type_checks(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(_PROGRAM.lstrip())
    # In a folder of its own: the settings of this project are not a user's.
    command = [sys.executable, "-m", "mypy", "--strict", "--enable-error-code", "ignore-without-code", "program.py"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert process.stdout == "Success: no issues found in 1 source file\n", process.stdout + process.stderr
