"""Endpoints and buckets of AWS's that the native half does not know: our client asks for them as boto3 does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from s3bulk import S3ClientConfig, TransferOptions, make_s3_client, upload_file, with_options

from tests.identities.proxy import TunnelProxy, tunnel_proxy
from tests.python.canned_server import canned_server
from tests.python.certificates import self_signed
from tests.python.conftest import CALLS, Wrapper
from tests.servers.recording import recording_server

_EXPRESS = "name--use1-az4--x-s3"
_ARN = "arn:aws:{}:{}:123456789012:{}"
# Variables, config file, bucket, whether the transfer is native, and the host that is asked.
_CASES: dict[str, tuple[dict[str, str], str, str, bool, str]] = {
    "none": ({}, "", "bucket", True, "bucket.s3.us-east-1.amazonaws.com"),
    "FIPS": ({"AWS_USE_FIPS_ENDPOINT": "true"}, "", "bucket", True, "bucket.s3-fips.us-east-1.amazonaws.com"),
    "FIPS of the profile": ({}, "use_fips_endpoint = true", "bucket", True, "bucket.s3-fips.us-east-1.amazonaws.com"),
    "no FIPS": (
        {"AWS_USE_FIPS_ENDPOINT": "false"},
        "use_fips_endpoint = true",
        "bucket",
        True,
        "bucket.s3.us-east-1.amazonaws.com",
    ),
    "dual-stack": (
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
        "",
        "bucket",
        True,
        "bucket.s3.dualstack.us-east-1.amazonaws.com",
    ),
    "dual-stack of the profile": (
        {},
        "s3 =\n    use_dualstack_endpoint = true",
        "bucket",
        True,
        "bucket.s3.dualstack.us-east-1.amazonaws.com",
    ),
    "acceleration": (
        {},
        "s3 =\n    use_accelerate_endpoint = true",
        "bucket",
        True,
        "bucket.s3-accelerate.amazonaws.com",
    ),
    "access point": (
        {},
        "",
        _ARN.format("s3", "eu-west-1", "accesspoint/name"),
        True,
        "name-123456789012.s3-accesspoint.eu-west-1.amazonaws.com",
    ),
    "directory bucket": ({}, "", _EXPRESS, False, f"{_EXPRESS}.s3express-use1-az4.us-east-1.amazonaws.com"),
    "object lambda": (
        {},
        "",
        _ARN.format("s3-object-lambda", "us-east-1", "accesspoint/name"),
        False,
        "name-123456789012.s3-object-lambda.us-east-1.amazonaws.com",
    ),
    # Both need signatures that botocore makes with the help of another package only, which may not be there.
    "multi-region access point": ({}, "", _ARN.format("s3", "", "accesspoint/mfzwi23gnjvgw.mrap"), False, ""),
    "outpost": ({}, "", _ARN.format("s3-outposts", "us-east-1", "outpost/op-01/accesspoint/name"), False, ""),
}


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TunnelProxy]:
    """Where every request goes, to a server that nobody trusts."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with canned_server(self_signed(tmp_path)) as server, tunnel_proxy(urlsplit(server.endpoint_url).port or 0) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        yield proxy
        make_s3_client.cache_clear()


def _set(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables, config, *_ = _CASES[case]
    (tmp_path / "config").write_text(f"[default]\n{config}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def _client() -> Any:
    return make_s3_client(S3ClientConfig(None, "us-east-1", "auto", "key", "secret"))  # type: ignore[arg-type]


@pytest.mark.parametrize("case", _CASES)
def test_the_host_is_the_one_that_boto3_asks(
    case: str, proxy: TunnelProxy, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set(case, tmp_path, monkeypatch)
    bucket, native, host = _CASES[case][2:]

    def outcome(client: Any, name: str) -> tuple[type, set[str]]:
        proxy.asked.clear()
        with pytest.raises(Exception) as caught:  # noqa: PT011 - which one it is is what is compared
            CALLS[name](client, bucket, folder)
        # botocore has a name of its own for us-east-1: the same service.
        return caught.type, {
            each.replace("bucket.s3.amazonaws", "bucket.s3.us-east-1.amazonaws") for each in proxy.asked
        }

    for name in CALLS:
        expected = outcome(Wrapper(_client()._boto3_half.get()), name)
        if host and name == "upload_file":
            assert expected[1] == {f"{host}:443"}
        make_s3_client.cache_clear()
        client = _client()
        assert (name, *outcome(client, name)) == (name, *expected)
        half = client._boto3_half._client
        is_transfer = name != "ensure_bucket_exists"
        assert half is None or not (native and is_transfer) or not half._endpoint.http_session._manager.pools
        make_s3_client.cache_clear()


def test_options_count_there_too(
    proxy: TunnelProxy, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set("FIPS", tmp_path, monkeypatch)
    client = with_options(_client(), TransferOptions(max_attempts=2))
    with pytest.raises(Exception, match="SSL"):
        upload_file(client, folder / "f", "bucket", "k")
    way, _ = client._boto3_half.ways("bucket", client.options, up=True)
    assert way is not None


def test_an_endpoint_of_ones_own_is_asked_whatever_stands_in_the_environment(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set("FIPS", tmp_path, monkeypatch)
    with recording_server() as server:
        client = make_s3_client(S3ClientConfig(server.endpoint_url, "us-east-1", "auto", "key", "secret"))
        upload_file(client, folder / "f", "bucket", "k")
        assert [request.target for request in server.requests] == ["/bucket/k"]
    assert client._boto3_half._client is None


_BESIDE = ("http://s3.test", "http://s3.test:9000/base", "http://s3.test/base/", "http://10.0.0.1:9000/a/b")


@pytest.mark.parametrize("style", ["auto", "path", "virtual"])
@pytest.mark.parametrize("endpoint", _BESIDE)
def test_an_endpoint_of_ones_own_keeps_its_path_and_takes_arns(
    endpoint: str, style: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recording_server() as server:
        # It is the proxy: it gets whole URLs.
        monkeypatch.setenv("http_proxy", server.endpoint_url)

        def asked(client: Any, bucket: str, calls: tuple[str, ...]) -> Any:
            server.requests.clear()
            for name in calls:
                try:
                    CALLS[name](client, bucket, folder)
                except Exception as error:
                    return type(error).__name__, str(error)
            # Parameters of a listing that mean nothing differ, and a prefix is fetched without a HEAD for each object.
            return {
                (request.method, request.target.partition("?")[0].rstrip("/"), request.region)
                for request in server.requests
                if request.method != "HEAD"
            }

        client = make_s3_client(S3ClientConfig(endpoint, "us-east-1", style, "key", "secret"))
        theirs = Wrapper(client._boto3_half.get())
        for bucket in (
            "bucket",
            "Old_Bucket",
            "with.dots",
            _ARN.format("s3", "us-west-2", "accesspoint/name"),
            "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/name",
        ):
            # Both planes: what goes over the SDK, and what does not.
            for calls in (("upload_file", "upload_folder"), ("download_prefix_to_folder",)):
                make_s3_client.cache_clear()
                client = make_s3_client(S3ClientConfig(endpoint, "us-east-1", style, "key", "secret"))
                found = asked(client, bucket, calls)
                assert not any(request.is_from_botocore for request in server.requests)
                assert (bucket, found) == (bucket, asked(theirs, bucket, calls))
