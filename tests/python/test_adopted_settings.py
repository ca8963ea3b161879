"""CONTRACT.md, kind 2: the settings and limits of a boto3 client are those of its transfers."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from s3bulk import TransferOptions, with_options
from s3bulk._settings import Settings, read_settings
from s3bulk._way import ways

from tests.python.conftest import boto3_client
from tests.servers import Server


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"anonymous": False, "proxies": {}, "user_agent_extra": None}),
        ({"signature_version": UNSIGNED}, {"anonymous": True}),
        ({"user_agent_extra": "app/1"}, {"user_agent_extra": "app/1"}),
        ({"proxies": {"https": "p:1", "all": "q:1"}}, {"proxies": {"https": "p:1"}}),
    ],
)
def test_settings_are_the_clients(moto: Server, config: dict[str, Any], expected: dict[str, Any]) -> None:
    client = boto3_client(moto, config=Config(**{"signature_version": "s3v4", **config}))
    found = vars(read_settings(client))
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"retries": {"max_attempts": 0}}, {"max_attempts": 1}),
        ({"retries": {"total_max_attempts": 7, "mode": "standard"}}, {"max_attempts": 7}),
        ({"retries": {"mode": "legacy"}}, {"max_attempts": 5}),
        ({"retries": {"mode": "adaptive"}}, {"max_attempts": 3}),
        ({"connect_timeout": 1.5, "read_timeout": 2}, {"connect_timeout": 1.5, "read_timeout": 2.0}),
        ({"read_timeout": None}, {"read_timeout": 365 * 86_400.0}),
        ({"s3": {"payload_signing_enabled": True}}, {"payload_signing": "always"}),
        ({"s3": {"payload_signing_enabled": False}}, {"payload_signing": "never"}),
        ({}, {"payload_signing": "auto", "connect_timeout": 60.0, "read_timeout": 60.0}),
    ],
)
def test_limits_are_the_clients(moto: Server, config: dict[str, Any], expected: dict[str, Any]) -> None:
    limits = read_settings(boto3_client(moto, config=Config(**config))).limits
    assert {name: getattr(limits, name) for name in expected} == expected


def test_the_limits_of_with_options_count_where_they_say_something(moto: Server) -> None:
    client = boto3_client(moto, config=Config(retries={"max_attempts": 1}, read_timeout=7))
    settings: Settings = read_settings(client)
    limits = settings.under(TransferOptions(max_concurrency=3, read_timeout=9))
    assert (limits.max_concurrency, limits.max_attempts, limits.read_timeout) == (3, 2, 9)
    limited = with_options(client, TransferOptions(max_concurrency=3))
    first, second = (ways(each, "b", up=True)[0] for each in (limited, limited))
    assert first is not None
    assert second is not None
    assert first._native is second._native
