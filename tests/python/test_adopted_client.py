"""CONTRACT.md, kind 2: a boto3 client's transfers are native, with everything that the client was set up with."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import botocore.awsrequest
import botocore.session
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError
from s3bulk import (
    TransferOptions,
    download_file_to_path,
    download_prefix_to_folder,
    upload_file,
    upload_folder,
    with_options,
)
from s3bulk import _adoption as adoption
from s3bulk._adoption import adopt
from s3bulk._settings import read_settings
from s3bulk._way import ways

from tests.python.conftest import CALLS, Listener, boto3_client, files_below, stored, write_all
from tests.servers import Server
from tests.servers.recording import RecordingServer, Request, error, recording_server

TRANSFERS = [name for name in CALLS if name != "ensure_bucket_exists"]
# Versions of botocore that don't know the checksum settings refuse them.
KNOWS_CHECKSUM_SETTINGS = "request_checksum_calculation" in Config.OPTION_DEFAULTS


@pytest.fixture
def recording() -> Iterator[RecordingServer]:
    with recording_server() as server:
        server.objects["b/k"] = b"body"
        server.objects["b/p/f"] = b"body"
        yield server


def client_at(recording: RecordingServer, settings: dict[str, Any] | None = None, **changes: Any) -> Any:
    server = Server("recording", recording.endpoint_url, "key", "secret")
    settings = {"signature_version": "s3v4", **(settings or {})}
    return boto3_client(server, config=Config(**settings), **changes)


def move_all(client: Any, bucket: str, folder: Path) -> None:
    """Every transfer once: CreateMultipartUpload and its kin apart."""
    upload_file(client, folder / "f", bucket, "k")
    upload_folder(client, folder, bucket, "p")
    download_file_to_path(client, bucket, "k", folder.parent / "new")
    download_prefix_to_folder(client, bucket, "p", folder.parent / "down")


def _connections(client: Any) -> int:
    """Pools of botocore's own that the client has opened a connection in."""
    return len(client._endpoint.http_session._manager.pools)


def test_transfers_are_native(server: Server, bucket: str, judge: Any, folder: Path, tmp_path: Path) -> None:
    client = boto3_client(server)
    upload_file(client, folder / "f", bucket, "k", "text/plain")
    assert upload_folder(client, folder, bucket, "p") == ["p/f"]
    download_file_to_path(client, bucket, "k", tmp_path / "new")
    assert download_prefix_to_folder(client, bucket, "p", tmp_path / "down") == ["f"]
    assert stored(judge, bucket) == {"k": b"body", "p/f": b"body"}
    assert judge.head_object(Bucket=bucket, Key="k")["ContentType"] == "text/plain"
    assert ((tmp_path / "new").read_bytes(), files_below(tmp_path / "down")) == (b"body", {"f": b"body"})
    assert _connections(client) == 0
    client.head_bucket(Bucket=bucket)
    assert _connections(client) == 1, "this is how a request of botocore's shows"


def test_a_multipart_upload_is_native(seaweedfs: Server, tmp_path: Path) -> None:
    client = boto3_client(seaweedfs)
    client.create_bucket(Bucket="adopted-parts")
    body = bytes(range(256)) * (24 << 12)
    write_all(tmp_path, {"large": body})
    connections = client._endpoint.http_session._manager.pools
    connections.clear()
    upload_file(client, tmp_path / "large", "adopted-parts", "k")
    download_file_to_path(client, "adopted-parts", "k", tmp_path / "copy")
    assert len(connections) == 0
    assert (tmp_path / "copy").read_bytes() == body
    assert client.head_object(Bucket="adopted-parts", Key="k")["ETag"].endswith('-3"')


def test_no_request_is_botocores(recording: RecordingServer, folder: Path) -> None:
    move_all(client_at(recording), "b", folder)
    assert [request.method for request in recording.requests] == ["PUT", "PUT", "HEAD", "GET", "GET", "GET"]
    assert not any(request.is_from_botocore for request in recording.requests)
    assert {(request.access_key, request.region) for request in recording.requests} == {("key", "us-east-1")}


def test_what_applications_set_up_otherwise_stays_native(recording: RecordingServer, folder: Path) -> None:
    settings: dict[str, dict[str, Any]] = {
        "keepalive": {"tcp_keepalive": True},
        "host prefix": {"inject_host_prefix": False},
        "validation": {"parameter_validation": False},
        "pool": {"max_pool_connections": 100},
        "adaptive": {"retries": {"mode": "adaptive", "max_attempts": 2}},
        "regional": {"s3": {"us_east_1_regional_endpoint": "regional"}},
        "path": {"s3": {"addressing_style": "path"}},
    }
    for name, settled in settings.items():
        recording.requests.clear()
        move_all(client_at(recording, settled), "b", folder)
        assert len(recording.requests) == 6, name
        assert not any(request.is_from_botocore for request in recording.requests), name


def test_a_client_of_botocores_own_is_native(recording: RecordingServer, folder: Path) -> None:
    client = botocore.session.get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=recording.endpoint_url,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    assert not hasattr(client, "download_fileobj")
    move_all(client, "b", folder)
    assert not any(request.is_from_botocore for request in recording.requests)


def test_there_is_one_native_client_for_each_boto3_client(moto: Server) -> None:
    client = boto3_client(moto)
    with ThreadPoolExecutor(8) as pool:
        found = [call.result() for call in [pool.submit(adopt, client) for _ in range(32)]]
    assert found[0] is not None
    assert all(each is found[0] for each in found)
    assert adopt(boto3_client(moto)) is not found[0]


def test_the_native_client_goes_with_the_boto3_client(moto: Server, moto_bucket: str, folder: Path) -> None:
    client = boto3_client(moto)
    upload_file(client, folder / "f", moto_bucket, "k")
    gone = weakref.ref(client)
    native = weakref.ref(adoption._adoptions[client].native(None))
    del client
    gc.collect()
    assert gone() is None
    assert native() is None


def test_a_hook_that_holds_its_client_does_not_keep_it_alive(moto: Server, moto_bucket: str, folder: Path) -> None:
    client = boto3_client(moto)
    # Of an operation that no transfer makes, so that transfers stay native.
    client.meta.events.register("before-call.s3.DeleteObject", lambda client=client, **_: None)
    upload_file(client, folder / "f", moto_bucket, "k")
    assert client in adoption._adoptions
    client.delete_object(Bucket=moto_bucket, Key="k")
    gone = weakref.ref(client)
    del client
    gc.collect()
    assert gone() is None


def _upload_in_child(client: Any, path: Path, bucket: str) -> None:
    upload_file(client, path, bucket, "from-the-child")


def test_an_adopted_client_works_in_a_forked_child(
    moto: Server, moto_bucket: str, folder: Path, recwarn: pytest.WarningsRecorder
) -> None:
    client = boto3_client(moto)
    upload_file(client, folder / "f", moto_bucket, "from-the-parent")
    child = multiprocessing.get_context("fork").Process(
        target=_upload_in_child, args=(client, folder / "f", moto_bucket)
    )
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert set(stored(boto3_client(moto), moto_bucket)) == {"from-the-parent", "from-the-child"}


# What the client was set up with.


def test_transfers_with_options_are_native(recording: RecordingServer, folder: Path) -> None:
    move_all(with_options(client_at(recording), TransferOptions(max_concurrency=2)), "b", folder)
    assert len(recording.requests) == 6
    assert not any(request.is_from_botocore for request in recording.requests)


def test_what_the_user_agent_says_beyond_the_program_goes_along(recording: RecordingServer, folder: Path) -> None:
    move_all(client_at(recording, {"user_agent_extra": "app/1.0 (extra)"}), "b", folder)
    agents = {request.headers["user-agent"] for request in recording.requests}
    assert len(agents) == 1
    assert agents.pop().endswith(" app/1.0 (extra)")


def test_an_anonymous_client_signs_nothing(recording: RecordingServer, folder: Path) -> None:
    client = client_at(recording, {"signature_version": UNSIGNED})
    move_all(client, "b", folder)
    write_all(folder, {"large": bytes(17 << 20)})
    recording.judge = lambda request: error(403, "AccessDenied") if request.method == "POST" else None
    with pytest.raises(ClientError, match="CreateMultipartUpload"):
        upload_file(client, folder / "large", "b", "k")
    assert recording.requests[-1].method == "POST", "of the control plane too"
    assert not any("authorization" in request.headers for request in recording.requests)
    assert not any(request.is_from_botocore for request in recording.requests)


def _checksums(request: Request) -> set[str]:
    return {name for name in request.headers if name.startswith("x-amz-checksum-") or name == "content-md5"}


def test_uploads_and_downloads_are_checked(recording: RecordingServer, folder: Path) -> None:
    move_all(client_at(recording), "b", folder)
    for request in recording.requests:
        if request.method == "PUT":
            assert _checksums(request) == {"x-amz-checksum-crc64nvme"}
        elif "?" not in request.target:
            assert _checksums(request) == {"x-amz-checksum-mode"}


@pytest.mark.skipif(not KNOWS_CHECKSUM_SETTINGS, reason="this botocore has no such setting")
def test_checksums_when_required_are_none(recording: RecordingServer, folder: Path) -> None:
    required = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
    client = client_at(recording, required)
    move_all(client, "b", folder)
    assert not any(_checksums(request) for request in recording.requests if request.method != "HEAD")
    # What no checksum protects is signed, as botocore does.
    assert read_settings(client).limits.payload_signing == "always"
    puts = [request for request in recording.requests if request.method == "PUT"]
    assert all(len(request.headers["x-amz-content-sha256"]) == 64 for request in puts)


def test_attempts_are_the_clients(recording: RecordingServer, folder: Path) -> None:
    recording.judge = lambda request: error(503, "SlowDown")
    client = client_at(recording, {"retries": {"total_max_attempts": 1, "mode": "standard"}})
    with pytest.raises(ClientError, match="SlowDown"):
        upload_file(client, folder / "f", "b", "k")
    assert len(recording.requests) == 1


def test_timeouts_are_the_clients(listener: Listener, folder: Path) -> None:
    server = Server("listener", listener.endpoint_url, "key", "secret")
    client = boto3_client(server, config=Config(read_timeout=0.2, retries={"total_max_attempts": 1}))
    with pytest.raises(ReadTimeoutError):
        upload_file(client, folder / "f", "b", "k")
    assert listener.was_called
    assert _connections(client) == 0


def test_proxies_are_the_clients_even_for_this_machine(
    recording: RecordingServer, refused_endpoint: str, folder: Path
) -> None:
    server = Server("nowhere", refused_endpoint, "key", "secret")
    client = boto3_client(server, config=Config(proxies={"http": recording.endpoint_url}))
    move_all(client, "b", folder)
    assert len(recording.requests) == 6
    assert all(request.target.startswith(f"{refused_endpoint}/b") for request in recording.requests)
    assert not any(request.is_from_botocore for request in recording.requests)


# Where a bucket is.


def _elsewhere(region: str) -> Any:
    """A judge who takes only what is signed for a region, and says so as S3 does."""

    def judge(request: Request) -> Any:
        if request.region == region:
            return None
        headers = {"x-amz-bucket-region": region}
        if request.method == "HEAD":
            return 400, headers, b""
        return error(400, "AuthorizationHeaderMalformed", headers, f"<Region>{region}</Region>")

    return judge


@pytest.mark.parametrize("name", TRANSFERS)
def test_a_bucket_in_another_region_is_found_by_the_client_once(
    name: str, recording: RecordingServer, folder: Path
) -> None:
    recording.judge = _elsewhere("eu-west-1")
    client = client_at(recording)
    CALLS[name](client, "b", folder)
    assert any(request.is_from_botocore for request in recording.requests), "the client was asked"
    asked = len(recording.requests)
    CALLS[name](client, "b", folder)
    later = recording.requests[asked:]
    assert {request.region for request in later} == {"eu-west-1"}
    assert not any(request.is_from_botocore for request in later)


def test_where_the_client_does_not_know_better_the_error_stays(recording: RecordingServer, folder: Path) -> None:
    recording.judge = lambda request: error(301, "PermanentRedirect") if request.method == "PUT" else None
    with pytest.raises(ClientError, match="PermanentRedirect"):
        upload_file(client_at(recording), folder / "f", "b", "k")


class _Seen(Exception):
    pass


@pytest.mark.parametrize(
    ("endpoint", "s3", "bucket"),
    [
        (None, {}, "bucket"),
        (None, {}, "dotted.bucket"),
        (None, {"addressing_style": "path"}, "bucket"),
        (None, {"addressing_style": "virtual"}, "bucket"),
        (None, {"use_accelerate_endpoint": True}, "bucket"),
        (None, {"use_dualstack_endpoint": True}, "bucket"),
        (None, {}, "arn:aws:s3:eu-west-1:123456789012:accesspoint/name"),
        ("http://s3.test:9000/base", {}, "bucket"),
        ("http://s3.test:9000", {"addressing_style": "virtual"}, "bucket"),
        ("https://127.0.0.1:9000", {"addressing_style": "virtual"}, "bucket"),
    ],
)
def test_a_bucket_is_where_botocore_looks_for_it(endpoint: str | None, s3: Any, bucket: str) -> None:
    server = Server("nowhere", "", "key", "secret")
    arguments: dict[str, Any] = {"endpoint_url": endpoint, "region": "eu-central-1", "config": Config(s3=s3)}
    native, _ = ways(boto3_client(server, **arguments), bucket, up=True)
    assert native is not None
    url, region = native._place

    def see(request: botocore.awsrequest.AWSPreparedRequest, **other: Any) -> None:
        raise _Seen(request.url, request.headers["Authorization"])

    observed = boto3_client(server, **arguments)
    observed.meta.events.register("before-send.s3.PutObject", see)
    with pytest.raises(_Seen) as seen:
        observed.put_object(Bucket=bucket, Key="k", Body=b"")
    authorization = seen.value.args[1]
    authorization = authorization.decode() if isinstance(authorization, bytes) else authorization
    assert seen.value.args[0] == f"{url}/k"
    assert f"/{region}/s3/" in authorization


@pytest.mark.parametrize(
    ("settings", "bucket"),
    [
        ({"signature_version": "s3"}, "bucket"),
        ({"signature_version": "s3v4", "client_cert": "/no/such/file"}, "bucket"),
        ({"signature_version": "s3v4", "proxies": {"http": "socks5://h:1"}}, "bucket"),
        ({"signature_version": "s3v4"}, "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"),
        ({"signature_version": "s3v4"}, "arn:aws:s3-outposts:us-east-1:123456789012:outpost/op-01/accesspoint/name"),
        ({"signature_version": "s3v4"}, "arn:aws:s3-object-lambda:us-east-1:123456789012:accesspoint/name"),
        ({"signature_version": "s3v4-query"}, "bucket"),
        ({"signature_version": "s3v4", "proxies_config": {"proxy_use_forwarding_for_https": True}}, "bucket"),
    ],
)
def test_what_is_not_native_goes_through_the_client(
    settings: dict[str, Any], bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = boto3_client(Server("nowhere", "", "key", "secret"), endpoint_url=None, config=Config(**settings))
    caplog.set_level(logging.DEBUG, "s3bulk")
    for _ in range(2):
        assert ways(client, bucket, up=True) == (None, client)
    (record,) = caplog.records
    assert "through the client itself" in record.getMessage()


def test_a_client_of_another_shape_goes_through_itself(moto: Server, moto_bucket: str, folder: Path) -> None:
    client = boto3_client(moto)
    del client.meta.config.__dict__["proxies_config"]
    upload_file(client, folder / "f", moto_bucket, "k")
    assert _connections(client) == 1
