"""CONTRACT.md, "Credentials": the environment is read as boto3 reads it, when the client is made.

What the package resolves is compared with what boto3 resolves in the same environment.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from urllib.request import getproxies_environment

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import InvalidConfigError, PartialCredentialsError, ProfileNotFound, ProxyConnectionError
from s3bulk import S3ClientConfig, make_s3_client, upload_file
from s3bulk._environment import read_environment

from tests.python.conftest import boto3_client, new_bucket, stored
from tests.servers import Server

_ENVIRONMENTS: dict[str, dict[str, str]] = {
    "nothing": {},
    "keys": {"AWS_ACCESS_KEY_ID": "ENVKEY", "AWS_SECRET_ACCESS_KEY": "env-secret"},
    "keys and token": {
        "AWS_ACCESS_KEY_ID": "ENVKEY",
        "AWS_SECRET_ACCESS_KEY": "env-secret",
        "AWS_SESSION_TOKEN": "new-token",
    },
    "the old name of the token comes first": {
        "AWS_ACCESS_KEY_ID": "ENVKEY",
        "AWS_SECRET_ACCESS_KEY": "env-secret",
        "AWS_SESSION_TOKEN": "new-token",
        "AWS_SECURITY_TOKEN": "old-token",
    },
    "empty": {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": ""},
    "profile": {"AWS_PROFILE": "named"},
    "default profile comes first": {"AWS_DEFAULT_PROFILE": "named", "AWS_PROFILE": "other"},
    "keys beside a profile": {
        "AWS_PROFILE": "named",
        "AWS_ACCESS_KEY_ID": "ENVKEY",
        "AWS_SECRET_ACCESS_KEY": "env-secret",
    },
    "profile of the credentials file": {"AWS_PROFILE": "shared-only"},
}

_CONFIG_FILE = """
[default]
region = eu-west-3
[profile named]
aws_access_key_id = NAMEDKEY
aws_secret_access_key = named-secret
[profile other]
aws_access_key_id = OTHERKEY
aws_secret_access_key = other-secret
"""
_CREDENTIALS_FILE = """
[default]
aws_access_key_id = DEFAULTKEY
aws_secret_access_key = default-secret
[shared-only]
aws_access_key_id = SHAREDKEY
aws_secret_access_key = shared-secret
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config").write_text(_CONFIG_FILE)
    (tmp_path / "credentials").write_text(_CREDENTIALS_FILE)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


def _set(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def _boto3_client() -> Any:
    session = boto3.session.Session()
    return session.client("s3", region_name="us-east-1", endpoint_url="http://127.0.0.1:1")


@pytest.mark.parametrize("name", _ENVIRONMENTS)
def test_the_boto3_half_is_the_identity_that_boto3_finds(
    name: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set(monkeypatch, _ENVIRONMENTS[name])
    expected = _boto3_client()._request_signer._credentials.get_frozen_credentials()
    client = make_s3_client(S3ClientConfig("http://127.0.0.1:1", "us-east-1"))
    # What counts is the environment at the time the client is made.
    for variable in _ENVIRONMENTS[name]:
        monkeypatch.delenv(variable)
    if name in ("nothing", "empty"):  # the default profile, which both halves read when they need it
        assert expected.access_key == "DEFAULTKEY"
    half = client.meta and client._boto3_half.get()
    found = half._request_signer._credentials.get_frozen_credentials()
    assert (found.access_key, found.secret_key, found.token) == (
        expected.access_key,
        expected.secret_key,
        expected.token,
    )


_PROFILE_KEYS = {
    "profile": "NAMED",
    "default profile comes first": "NAMED",
    "profile of the credentials file": "SHARED",
}


@pytest.mark.parametrize("name", _ENVIRONMENTS)
def test_the_native_half_signs_with_the_key_that_boto3_finds(
    name: str, files: Path, seaweedfs: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SeaweedFS knows one key only, which goes where this environment's identity comes from. moto takes any signature.
    server, judge = seaweedfs, boto3_client(seaweedfs)
    bucket = new_bucket(judge)
    values = {
        variable: {"ENVKEY": server.access_key, "env-secret": server.secret_key}.get(value, value)
        for variable, value in _ENVIRONMENTS[name].items()
        if not variable.endswith("_TOKEN")
    }
    for path in (files / "config", files / "credentials"):
        text = path.read_text()
        wanted = {
            "profile": "NAMED",
            "default profile comes first": "NAMED",
            "profile of the credentials file": "SHARED",
        }
        which = wanted.get(name, "DEFAULT")
        text = text.replace(f"{which}KEY", server.access_key).replace(f"{which.lower()}-secret", server.secret_key)
        path.write_text(text)
    _set(monkeypatch, values)
    client = make_s3_client(S3ClientConfig(server.endpoint_url, "us-east-1"))
    (files / "f").write_bytes(b"body")
    upload_file(client, files / "f", bucket, "k")
    assert stored(judge, bucket) == {"k": b"body"}


def test_static_keys_win_over_the_environment(seaweedfs: Server, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, {"AWS_ACCESS_KEY_ID": "wrong", "AWS_SECRET_ACCESS_KEY": "wrong", "AWS_SESSION_TOKEN": "wrong"})
    config = S3ClientConfig(seaweedfs.endpoint_url, "us-east-1", "auto", seaweedfs.access_key, seaweedfs.secret_key)
    client = make_s3_client(config)
    assert client.list_buckets()["Buckets"] is not None
    credentials = client._boto3_half.get()._request_signer._credentials
    assert (credentials.access_key, credentials.token) == (seaweedfs.access_key, None)


@pytest.mark.parametrize(
    "values", [{"AWS_ACCESS_KEY_ID": "key"}, {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": ""}]
)
def test_half_a_pair_in_the_environment_is_refused_as_boto3_does(
    values: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _set(monkeypatch, values)
    with pytest.raises(PartialCredentialsError) as expected:
        _boto3_client()
    with pytest.raises(PartialCredentialsError) as caught:
        make_s3_client(S3ClientConfig("http://127.0.0.1:1", "us-east-1"))
    assert str(caught.value) == str(expected.value)


@pytest.mark.parametrize("static", [False, True])
def test_an_unknown_profile_is_refused_as_boto3_does(
    files: Path, static: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ProfileNotFound) as expected:
        _boto3_client()
    keys = ("key", "secret") if static else (None, None)
    with pytest.raises(ProfileNotFound) as caught:
        make_s3_client(S3ClientConfig("http://127.0.0.1:1", "us-east-1", "auto", *keys))
    assert str(caught.value) == str(expected.value)


def _endpoint(monkeypatch: pytest.MonkeyPatch, config_file: Path, text: str, values: dict[str, str]) -> str | None:
    config_file.write_text(text)
    _set(monkeypatch, values)
    return read_environment(static_keys=True, own_endpoint=False).endpoint_url


_SERVICES = """
[default]
services = mine
endpoint_url = http://file:1
[services mine]
s3 =
    endpoint_url = http://service:1
"""


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("", {"AWS_ENDPOINT_URL": "http://generic:1"}),
        ("", {"AWS_ENDPOINT_URL": "http://generic:1", "AWS_ENDPOINT_URL_S3": "http://own:1"}),
        ("[default]\nendpoint_url = http://file:1\n", {}),
        (_SERVICES, {}),
        (_SERVICES, {"AWS_ENDPOINT_URL": "http://generic:1"}),
        (_SERVICES, {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL": "http://generic:1"}),
        ("[default]\nignore_configured_endpoint_urls = true\nendpoint_url = http://file:1\n", {}),
    ],
)
def test_the_endpoint_of_the_environment_is_that_of_boto3(
    files: Path, text: str, values: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _endpoint(monkeypatch, files / "config", text, values)
    session = boto3.session.Session()
    expected = session.client("s3", region_name="eu-west-1").meta.endpoint_url
    assert (found or "https://s3.eu-west-1.amazonaws.com") == expected


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("", {"AWS_CA_BUNDLE": "/aws.pem", "REQUESTS_CA_BUNDLE": "/requests.pem"}),
        ("", {"REQUESTS_CA_BUNDLE": "/requests.pem"}),
        ("[default]\nca_bundle = /file.pem\n", {"REQUESTS_CA_BUNDLE": "/requests.pem"}),
        ("[default]\nca_bundle = /file.pem\n", {"AWS_CA_BUNDLE": "/aws.pem"}),
        ("", {"CURL_CA_BUNDLE": "/curl.pem", "SSL_CERT_FILE": "/ssl.pem"}),
    ],
)
def test_the_ca_bundle_is_that_of_boto3(
    files: Path, text: str, values: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "config").write_text(text)
    _set(monkeypatch, values)
    found = read_environment(static_keys=True, own_endpoint=True).ca_bundle
    expected: Any = _boto3_client()._endpoint.http_session._verify
    assert (found or True) == expected


def test_an_empty_ca_bundle_does_not_switch_verification_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "")
    with pytest.raises(InvalidConfigError):
        make_s3_client(S3ClientConfig("https://127.0.0.1:1", "us-east-1"))


def test_what_was_read_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, _ENVIRONMENTS["keys and token"])
    shown = repr(read_environment(static_keys=False, own_endpoint=True))
    assert "env-secret" not in shown
    assert "new-token" not in shown


def test_the_half_has_the_config_of_the_original(server: Server) -> None:
    client = make_s3_client(
        S3ClientConfig(server.endpoint_url, "us-east-1", "virtual", server.access_key, server.secret_key)
    )
    assert client.meta.config.signature_version == "s3v4"
    assert client.meta.config.s3["addressing_style"] == "virtual"
    assert client.meta.endpoint_url == server.endpoint_url
    assert isinstance(client.meta.config, Config)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"HTTP_PROXY": "http://upper", "http_proxy": "http://lower", "NO_PROXY": "a,b"},
        {"HTTPS_PROXY": "http://upper", "https_proxy": ""},
        {"HTTP_PROXY": "http://upper", "HTTPS_PROXY": "http://upper", "REQUEST_METHOD": "GET"},
        {"http_proxy": "http://lower", "REQUEST_METHOD": "GET"},
        {"NO_PROXY": "upper", "no_proxy": "lower"},
    ],
)
def test_proxies_are_those_of_python(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "request_method"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert read_environment(static_keys=True, own_endpoint=True).proxies == getproxies_environment()


def test_a_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for scheme in ("http", "https"):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        monkeypatch.setenv(f"{scheme}_proxy", f"http://user:hush@127.0.0.1:{port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        client = make_s3_client(S3ClientConfig(f"{scheme}://s3.test:{port}", "us-east-1", "path", "key", "secret"))
        with pytest.raises(ProxyConnectionError) as caught:
            upload_file(client, tmp_path / "file", "bucket", "key")
        assert str(port) in str(caught.value)
        assert "hush" not in str(caught.value)


def test_a_proxy_that_cannot_be_used_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://user:hush@proxy:1080")
    with pytest.raises(ValueError, match="socks5") as caught:
        make_s3_client(S3ClientConfig("https://s3.test", "us-east-1", "path", "key", "secret"))
    assert "hush" not in str(caught.value)
