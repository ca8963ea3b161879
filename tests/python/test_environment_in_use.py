"""The environment where it matters: both halves of a client go where it says, and trust whom it says."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, InvalidRegionError, SSLError
from s3bulk import S3ClientConfig, TransferOptions, make_s3_client, upload_file, with_options
from s3bulk._environment import read_environment

from tests.identities import front
from tests.identities.proxy import tunnel_proxy
from tests.python.conftest import boto3_client, new_bucket
from tests.servers import Server, rclone_server
from tests.servers.recording import recording_server

Put = Callable[[Any, str, Path], Any]

# A request of each half, as (client, bucket, file).
_HALVES: dict[str, Put] = {
    "native": lambda client, bucket, file: upload_file(client, file, bucket, "k"),
    "boto3": lambda client, bucket, file: client.put_object(Bucket=bucket, Key="k", Body=file.read_bytes()),
}


@pytest.fixture(params=_HALVES)
def put(request: pytest.FixtureRequest) -> Put:
    return _HALVES[request.param]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"body")
    return path


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with rclone_server(tmp_path_factory.mktemp("https"), tls=True) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_session_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    # boto3.client's session reads the files once.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    # Over https boto3 sends checksums behind bodies without a length, which rclone does not take.
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")


def _bucket_of(https: Server) -> str:
    return new_bucket(boto3_client(https, verify=str(https.certificate)))


def _client(server: Server, endpoint_url: str | None = None) -> Any:
    url = server.endpoint_url if endpoint_url is None else endpoint_url
    return make_s3_client(S3ClientConfig(url, "us-east-1", "auto", server.access_key, server.secret_key))


@pytest.mark.parametrize("source", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "profile"])
def test_the_ca_bundle_decides_whom_we_trust(
    source: str, put: Put, https: Server, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = _bucket_of(https)
    with pytest.raises(SSLError):
        put(with_options(_client(https), TransferOptions(max_attempts=1)), bucket, file)
    if source == "profile":
        (tmp_path / "config").write_text(f"[default]\nca_bundle = {https.certificate}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    else:
        monkeypatch.setenv(source, str(https.certificate))
    make_s3_client.cache_clear()
    put(_client(https), bucket, file)


@pytest.mark.parametrize(
    "content", [None, "", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_bad_pem_is_an_error_that_names_the_file(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    with pytest.raises(ValueError, match=r"bundle\.pem"):
        make_s3_client(S3ClientConfig("https://127.0.0.1:1", "us-east-1", "auto", "key", "secret"))


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_https_goes_through_the_proxy(
    variable: str, put: Put, https: Server, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = _bucket_of(https)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(https.certificate))
    port = urlsplit(https.endpoint_url).port
    assert port is not None
    with tunnel_proxy(port) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        put(_client(https, f"https://s3.test:{port}"), bucket, file)
        make_s3_client.cache_clear()
    assert set(proxy.asked) == {f"s3.test:{port}"}


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
def test_http_goes_through_the_proxy(variable: str, put: Put, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The server plays the proxy: it is sent whole URLs.
    with front() as s3:
        monkeypatch.setenv(variable, s3.url)
        put(make_s3_client(S3ClientConfig("http://s3.test", "us-east-1", "path", "key", "secret")), "bucket", file)
        assert [request.path for request in s3.requests] == ["/bucket/k"]


@pytest.mark.parametrize("value", ["s3.test", ".test", "other,s3.test", "*"])
def test_no_proxy_goes_past_it(value: str, put: Put, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with front() as s3:
        monkeypatch.setenv("http_proxy", s3.url)
        monkeypatch.setenv("no_proxy", value)
        client = make_s3_client(S3ClientConfig("http://s3.test:1", "us-east-1", "path", "key", "secret"))
        # There is no such host: who does not ask the proxy finds nobody.
        with pytest.raises(EndpointConnectionError):
            put(with_options(client, TransferOptions(max_attempts=1)), "bucket", file)
        assert s3.requests == []


def test_the_endpoint_of_the_environment_is_asked(put: Put, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with front() as s3:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
        put(make_s3_client(S3ClientConfig(None, "us-east-1", "auto", "key", "secret")), "bucket", file)  # type: ignore[arg-type]
        assert [request.path for request in s3.requests] == ["/bucket/k"]


@pytest.mark.parametrize("source", ["environment", "profile"])
@pytest.mark.parametrize("attempts", [1, 2, 7])
def test_the_number_of_attempts_is_the_environments(
    attempts: int, source: str, put: Put, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source == "profile":
        (tmp_path / "config").write_text(f"[default]\nmax_attempts = {attempts}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    else:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", str(attempts))
    # The mode of which it is the number; the first of its pauses are short.
    monkeypatch.setenv("AWS_RETRY_MODE", "standard")
    with front(broken=True) as s3:
        client = make_s3_client(S3ClientConfig(s3.url, "us-east-1", "auto", "key", "secret"))
        with pytest.raises(ClientError, match="InternalError"):
            put(client, "bucket", file)
        assert len(s3.requests) == attempts


def test_options_of_the_caller_win_over_the_environments_attempts(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    with front(broken=True) as s3:
        client = make_s3_client(S3ClientConfig(s3.url, "us-east-1", "auto", "key", "secret"))
        assert client.options.max_attempts == 3
        with pytest.raises(ClientError):
            upload_file(with_options(client, TransferOptions(max_attempts=2)), file, "bucket", "k")
        assert len(s3.requests) == 2


def test_other_options_leave_the_environments_attempts_as_they_are(
    put: Put, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    monkeypatch.setenv("AWS_RETRY_MODE", "standard")
    with front(broken=True) as s3:
        client = make_s3_client(S3ClientConfig(s3.url, "us-east-1", "auto", "key", "secret"))
        monkeypatch.delenv("AWS_MAX_ATTEMPTS")
        for other in (
            client.with_options(TransferOptions(max_concurrency=1)),
            with_options(with_options(client, TransferOptions(max_attempts=3)), TransferOptions(max_concurrency=1)),
            pickle.loads(pickle.dumps(client)),
        ):
            assert other.options.max_attempts == 2
            with pytest.raises(ClientError, match="InternalError"):
                upload_file(other, file, "bucket", "k")
            assert len(s3.requests) == 2
            s3.requests.clear()


_ELSEWHERE = "http://127.0.0.1:1"


@pytest.mark.parametrize("made_with", [None, "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "profile"])
@pytest.mark.parametrize("later", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "profile"])
def test_the_endpoint_is_that_of_when_the_client_was_made(
    made_with: str | None, later: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def says(source: str | None, url: str) -> None:
        if source == "profile":
            (tmp_path / "config").write_text(f"[default]\nendpoint_url = {url}\n")
            monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        elif source is not None:
            monkeypatch.setenv(source, url)

    says(made_with, "http://127.0.0.1:2")
    client = make_s3_client(S3ClientConfig(None, "eu-west-1", "auto", "key", "secret"))  # type: ignore[arg-type]
    says(later, _ELSEWHERE)
    expected = "https://s3.eu-west-1.amazonaws.com" if made_with is None else "http://127.0.0.1:2"
    assert client.meta.endpoint_url == expected


_NO_REGION: Any = None


@pytest.mark.parametrize(
    ("region", "source", "expected"),
    [
        (None, None, "us-east-1"),
        (None, "environment", "eu-west-1"),
        (None, "profile", "eu-west-2"),
        (None, "both", "eu-west-1"),
        (None, "session", "eu-west-3"),
        (None, "another variable", "us-east-1"),
        ("ap-south-1", "both", "ap-south-1"),
        ("ap-south-1", "session", "ap-south-1"),
    ],
)
def test_a_region_that_is_none_is_the_environments(
    region: Any,
    source: str | None,
    expected: str,
    put: Put,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if source in ("environment", "both", "session"):
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    if source in ("profile", "both"):
        (tmp_path / "config").write_text("[default]\nregion = eu-west-2\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    if source == "session":
        boto3.setup_default_session(region_name="eu-west-3")
    if source == "another variable":
        monkeypatch.setenv("AWS_REGION", "eu-west-1")  # which boto3 does not read
    with recording_server() as recording:
        theirs = boto3.client(
            "s3",
            region_name=region,
            endpoint_url=recording.endpoint_url,
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        ours = make_s3_client(S3ClientConfig(recording.endpoint_url, region, "auto", "key", "secret"))
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "sa-east-1")
        put(ours, "bucket", file)
        theirs.put_object(Bucket="bucket", Key="k", Body=b"")
        assert [request.region for request in recording.requests] == [expected] * 2
        assert ours.meta.region_name == theirs.meta.region_name


def test_a_bad_region_of_the_environment_is_refused_as_boto3_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "not a region")
    with pytest.raises(InvalidRegionError) as expected:
        boto3.client("s3")
    with pytest.raises(InvalidRegionError) as caught:
        make_s3_client(S3ClientConfig("http://127.0.0.1:1", _NO_REGION))
    assert str(caught.value) == str(expected.value)


def test_a_number_of_attempts_that_is_none_is_refused_as_boto3_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "many")
    with pytest.raises(ValueError, match="many") as expected:
        boto3_client(Server("any", "http://127.0.0.1:1", "key", "secret"))
    with pytest.raises(ValueError, match="many") as caught:
        read_environment(static_keys=True, own_endpoint=True)
    assert str(caught.value) == str(expected.value)
