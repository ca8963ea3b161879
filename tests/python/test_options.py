"""`TransferOptions` and `with_options`."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
from s3bulk import S3ClientConfig, TransferOptions, make_s3_client, upload_file

from tests.python.conftest import stored

MIB = 1 << 20


def test_the_defaults_are_the_documented_ones() -> None:
    assert dataclasses.asdict(TransferOptions()) == {
        "max_concurrency": None,
        "part_size": 8 * MIB,
        "multipart_threshold": 16 * MIB,
        "memory_limit": 28 * MIB,
        "max_attempts": 5,
        "connect_timeout": 60.0,
        "read_timeout": 60.0,
        "payload_signing": "auto",
        "durable": False,
    }


_BAD: dict[str, list[Any]] = {
    "max_concurrency": [0, -1, 1.5, "8", True, math.nan],
    "part_size": [None, 0, 5 * MIB - 1, (5 << 30) + 1, 8.0 * MIB, "8", True],
    "multipart_threshold": [None, 0, -1, (5 << 30) + 1, 1.5, True],
    "memory_limit": [None, 0, -1, MIB, 64.0 * MIB, True],
    "max_attempts": [None, 0, -1, 2.5, True, 1 << 40],
    "connect_timeout": [None, 0, -1, math.nan, math.inf, "60", True, 1e300],
    "read_timeout": [None, 0, -0.1, math.nan, -math.inf, "60", False],
    "payload_signing": [None, "", "AUTO", "sometimes", True, 1, ["auto"]],
    "durable": [None, 0, 1, "yes"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in _BAD.items() for value in values])
def test_a_bad_value_is_a_value_error_that_names_it(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be "):
        TransferOptions(**{name: value})


_GOOD: dict[str, list[Any]] = {
    "max_concurrency": [1, 512, 4096, None],
    "part_size": [5 * MIB, 5 << 30],
    "multipart_threshold": [1, 5 << 30],
    "memory_limit": [4 * MIB, 1 << 40],
    "max_attempts": [1, 100],
    "connect_timeout": [1, 0.001],
    "read_timeout": [1, 3600.5],
    "payload_signing": ["auto", "always", "never"],
    "durable": [True, False],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in _GOOD.items() for value in values])
def test_a_good_value_reaches_the_engine(
    name: str, value: Any, own: Any, bucket: str, judge: Any, folder: Path
) -> None:
    client = own.with_options(TransferOptions(**{name: value}))
    assert getattr(client.options, name) == value
    if value != 0.001:  # a connect timeout that need not suffice
        upload_file(client, folder / "f", bucket, "k")
        assert stored(judge, bucket) == {"k": b"body"}


def test_options_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TransferOptions().part_size = 1  # type: ignore[misc]


def test_with_options_leaves_the_client_as_it_is() -> None:
    client = make_s3_client(S3ClientConfig("http://127.0.0.1:1", "us-east-1", "auto", "key", "secret"))
    other = client.with_options(TransferOptions(max_attempts=1))
    assert other is not client
    assert (client.options, other.options) == (TransferOptions(), TransferOptions(max_attempts=1))
    assert other.config == client.config


@pytest.mark.parametrize("options", [None, {"max_attempts": 1}, "fast"])
def test_with_options_takes_options_only(options: Any) -> None:
    client = make_s3_client(S3ClientConfig("http://127.0.0.1:1", "us-east-1", "auto", "key", "secret"))
    with pytest.raises(TypeError, match="TransferOptions"):
        client.with_options(options)


@pytest.mark.needs("show that an object came in parts")
def test_a_small_threshold_makes_small_multipart_uploads(own: Any, bucket: str, judge: Any, folder: Path) -> None:
    upload_file(own.with_options(TransferOptions(multipart_threshold=4)), folder / "f", bucket, "parts")
    upload_file(own.with_options(TransferOptions(multipart_threshold=5)), folder / "f", bucket, "whole")
    assert stored(judge, bucket) == {"parts": b"body", "whole": b"body"}
    assert judge.head_object(Bucket=bucket, Key="parts")["ETag"].endswith('-1"')
    assert "-" not in judge.head_object(Bucket=bucket, Key="whole")["ETag"]
