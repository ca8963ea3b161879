"""CONTRACT.md, "The three kinds of `s3_client`": ours is the boto3 client it replaces, stubs and hooks included."""

from __future__ import annotations

import socket
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import botocore.auth
import botocore.client
import botocore.endpoint
import botocore.httpsession
import pytest
import urllib3.connection
import urllib3.connectionpool
from boto3.s3.transfer import S3Transfer
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber
from moto import mock_aws
from s3bulk import (
    Client,
    S3ClientConfig,
    download_prefix_to_folder,
    ensure_bucket_exists,
    make_s3_client,
    upload_file,
    upload_folder,
)

from tests.python.conftest import files_below, stored, write_all


def test_boto3s_methods_work(own: Any, bucket: str, tmp_path: Path) -> None:
    own.put_object(Bucket=bucket, Key="k", Body=b"body")
    assert own.get_object(Bucket=bucket, Key="k")["Body"].read() == b"body"
    pages = own.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    assert [item["Key"] for page in pages for item in page["Contents"]] == ["k"]
    assert bucket in own.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    own.upload_fileobj(BytesIO(b"file"), bucket, "f")
    own.download_file(bucket, "f", str(tmp_path / "f"))
    assert own._boto3_half.in_the_way() is None, "boto3 itself is not in the way"
    assert files_below(tmp_path) == {"f": b"file"}
    own.delete_object(Bucket=bucket, Key="k")
    with pytest.raises(own.exceptions.NoSuchKey):
        own.get_object(Bucket=bucket, Key="k")
    with pytest.raises(ClientError):
        own.head_bucket(Bucket="no-such-bucket")


def test_an_unknown_name_is_an_attribute_error(own: Any) -> None:
    with pytest.raises(AttributeError):
        own.no_such_method  # noqa: B018
    assert not hasattr(own, "no_such_method")
    assert hasattr(own, "put_object")


def test_dir_has_both_halves(own: Any) -> None:
    names = dir(own)
    assert {"upload_folder", "download_prefix", "with_options", "put_object", "meta", "exceptions"} <= set(names)
    assert names == sorted(set(names))


def test_the_boto3_half_is_made_once(own: Any) -> None:
    barrier = threading.Barrier(8)

    def meta() -> Any:
        barrier.wait()
        return own.meta

    with ThreadPoolExecutor(8) as pool:
        found = [call.result() for call in [pool.submit(meta) for _ in range(8)]]
    assert all(each is found[0] for each in found)


def test_a_client_can_be_referred_to_weakly_and_hashed(own: Any) -> None:
    assert weakref.ref(own)() is own
    assert {own: 1}[own] == 1
    assert isinstance(own, Client)


def test_using_boto3s_half_does_not_slow_the_native_one(
    own: Any, bucket: str, judge: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own.meta is not None
    assert own._boto3_half.in_the_way() is None


# Whatever sits in the path of the boto3 half sees the transfers.


@pytest.fixture
def alone() -> Any:
    """A client whose server does not exist: whatever works goes through what was put in the way."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
    return make_s3_client(S3ClientConfig(endpoint, "us-east-1", "auto", "key", "secret"))


def test_a_stubber_sees_the_calls(alone: Any, folder: Path) -> None:
    write_all(folder, {"g.txt": b"2"})
    with Stubber(alone) as stubber:
        stubber.add_response("head_bucket", {}, {"Bucket": "b"})
        for key, content_type in (("p/f", "application/octet-stream"), ("p/g.txt", "text/plain")):
            expected = {"Bucket": "b", "Key": key, "Body": ANY, "ContentType": content_type}
            stubber.add_response("put_object", {}, expected)
        ensure_bucket_exists(alone, "b", "us-east-1")
        assert upload_folder(alone, folder, "b", "p") == ["p/f", "p/g.txt"]
        stubber.assert_no_pending_responses()


def test_a_stubbed_error_arrives(alone: Any, folder: Path) -> None:
    with Stubber(alone) as stubber:
        stubber.add_client_error("put_object", "AccessDenied", "no", 403)
        with pytest.raises(ClientError, match="AccessDenied"):
            upload_file(alone, folder / "f", "b", "k")


def test_a_client_with_options_is_stubbed_with_its_base(alone: Any, folder: Path) -> None:
    from s3bulk import TransferOptions

    other = alone.with_options(TransferOptions(max_attempts=1))
    with Stubber(alone) as stubber:
        stubber.add_response("put_object", {})
        upload_file(other, folder / "f", "b", "k")
        stubber.assert_no_pending_responses()


def test_a_deactivated_stubber_is_out_of_the_way(own: Any, bucket: str, judge: Any, folder: Path) -> None:
    with Stubber(own):
        assert own._boto3_half.in_the_way() is not None
    assert own._boto3_half.in_the_way() is None
    upload_file(own, folder / "f", bucket, "k")
    assert stored(judge, bucket) == {"k": b"body"}


def test_an_event_hook_sees_the_calls(own: Any, bucket: str, folder: Path) -> None:
    seen: list[str] = []

    def hook(params: dict[str, Any], **other: Any) -> None:
        seen.append(params["Key"])

    own.meta.events.register("provide-client-params.s3.PutObject", hook)
    upload_folder(own, folder, bucket, "p")
    assert seen == ["p/f"]
    own.meta.events.unregister("provide-client-params.s3.PutObject", hook)
    upload_folder(own, folder, bucket, "p")
    assert seen == ["p/f"]


def test_a_hook_of_another_operation_is_not_in_the_way(own: Any) -> None:
    own.meta.events.register("before-send.s3.DeleteObject", lambda **other: None)
    assert own._boto3_half.in_the_way() is None


def test_monkeypatch_replaces_a_method_and_puts_it_back(own: Any, bucket: str, judge: Any, folder: Path) -> None:
    keys: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own, "put_object", lambda **arguments: keys.append(arguments["Key"]))
        upload_file(own, folder / "f", bucket, "faked")
        assert keys == ["faked"]
        assert stored(judge, bucket) == {}
    assert own._boto3_half.in_the_way() is None
    upload_file(own, folder / "f", bucket, "real")
    assert keys == ["faked"]
    assert stored(judge, bucket) == {"real": b"body"}


def test_mock_patch_object_replaces_a_method_and_puts_it_back(own: Any, bucket: str, judge: Any, folder: Path) -> None:
    with mock.patch.object(own, "put_object") as fake:
        upload_file(own, folder / "f", bucket, "faked")
    fake.assert_called_once_with(Bucket=bucket, Key="faked", Body=mock.ANY, ContentType=mock.ANY)
    assert own._boto3_half.in_the_way() is None
    upload_file(own, folder / "f", bucket, "real")
    assert stored(judge, bucket) == {"real": b"body"}


def test_an_attribute_can_be_set_and_deleted(own: Any) -> None:
    own.put_object = fake = object()
    assert own.put_object is fake
    del own.put_object
    assert callable(own.put_object)
    with pytest.raises(AttributeError):
        del own.put_object
    with pytest.raises(AttributeError):
        own.config = None


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError(f"a connection to {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


def test_mock_aws_sees_all(no_network: None, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint: Any = None
    with mock_aws():
        client = make_s3_client(S3ClientConfig(endpoint, "eu-west-1", "auto", "key", "secret"))
        ensure_bucket_exists(client, "mocked", "eu-west-1")
        assert upload_folder(client, folder, "mocked", "p") == ["p/f"]
        assert download_prefix_to_folder(client, "mocked", "p", tmp_path / "down") == ["f"]
        assert files_below(tmp_path / "down") == {"f": b"body"}
        names = [bucket["Name"] for bucket in boto3.client("s3", region_name="eu-west-1").list_buckets()["Buckets"]]
        assert names == ["mocked"]
    monkeypatch.undo()
    assert client._boto3_half.in_the_way() is None


def test_a_replaced_boto3_factory_makes_the_client(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    factory = mock.MagicMock()
    monkeypatch.setattr(boto3, "client", factory)
    config = S3ClientConfig("http://127.0.0.1:1", "us-east-1", "path", "key", "secret")
    client = make_s3_client(config)
    assert client is factory.return_value
    assert make_s3_client(config) is client
    (call,) = factory.call_args_list
    assert call.args == ("s3",)
    arguments = dict(call.kwargs)
    settings = arguments.pop("config")
    assert (settings.signature_version, settings.s3) == ("s3v4", {"addressing_style": "path"})
    assert arguments == {
        "region_name": "us-east-1",
        "endpoint_url": "http://127.0.0.1:1",
        "aws_access_key_id": "key",
        "aws_secret_access_key": "secret",
    }
    upload_file(client, folder / "f", "b", "k")
    client.put_object.assert_called_once()


@pytest.mark.parametrize("target", ["boto3.Session", "boto3.Session.client", "boto3.DEFAULT_SESSION"])
def test_a_replaced_session_makes_the_client(target: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with mock.patch(target):
        client = make_s3_client(S3ClientConfig("http://127.0.0.1:1", "us-east-1", "path", "key", "secret"))
        upload_file(client, folder / "f", "b", "k")
    client.put_object.assert_called_once()


_PATCHED = {
    "_make_api_call": (botocore.client.BaseClient, "_make_api_call"),
    "make_request": (botocore.endpoint.Endpoint, "make_request"),
    "send": (botocore.httpsession.URLLib3Session, "send"),
    "urlopen": (urllib3.connectionpool.HTTPConnectionPool, "urlopen"),
    "connect of urllib3": (urllib3.connection.HTTPConnection, "connect"),
    "connect": (socket.socket, "connect"),
    "getaddrinfo": (socket, "getaddrinfo"),
    "add_auth": (botocore.auth.S3SigV4Auth, "add_auth"),
}


@pytest.mark.parametrize("name", _PATCHED)
def test_a_patched_function_of_botocores_sees_the_calls_of_a_client_that_is_nothing_but_ours(
    name: str, own: Any, bucket: str, judge: Any, folder: Path
) -> None:
    family, function = _PATCHED[name]
    original, seen = getattr(family, function), []

    def note(*arguments: Any, **named: Any) -> Any:
        seen.append(name)
        return original(*arguments, **named)

    assert own._boto3_half._client is None
    with mock.patch.object(family, function, note):
        upload_file(own, folder / "f", bucket, "k")
        assert seen
    seen.clear()
    upload_file(own, folder / "f", bucket, "k")
    assert seen == []
    assert own._boto3_half.in_the_way() is None
    assert stored(judge, bucket) == {"k": b"body"}


def test_a_socket_that_is_not_pythons_is_seen(own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Guarded(socket.socket):
        """As what forbids tests the network puts there."""

    monkeypatch.setattr(socket, "socket", Guarded)
    assert own._boto3_half.in_the_way() is not None


def test_a_tracer_that_looks_on_makes_no_client(own: Any, bucket: str, folder: Path) -> None:
    class Proxy:
        """As `wrapt` makes them, which tracers use."""

        def __init__(self, wrapped: Any) -> None:
            self.__wrapped__ = wrapped

        def __get__(self, instance: Any, owner: Any) -> Any:
            return self if instance is None else self.__wrapped__.__get__(instance, owner)

    family, function = _PATCHED["_make_api_call"]
    with mock.patch.object(family, function, Proxy(getattr(family, function))):
        upload_file(own, folder / "f", bucket, "k")
    assert own._boto3_half._client is None


def test_hooks_of_the_default_session_see_transfers(
    own: Any, bucket: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    boto3.setup_default_session()
    session: Any = boto3.DEFAULT_SESSION
    seen: list[str] = []
    session.events.register("before-send.s3.PutObject", lambda request, **other: seen.append(request.url))
    make_s3_client.cache_clear()
    client = make_s3_client(own.config)
    upload_file(client, folder / "f", bucket, "k")
    assert seen == [f"{own.config.endpoint_url}/{bucket}/k"]
    # One that registers too late is not copied by boto3 either.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    boto3.setup_default_session()
    session = boto3.DEFAULT_SESSION
    make_s3_client.cache_clear()
    client = make_s3_client(own.config)
    session.events.register("before-send.s3.PutObject", lambda request, **other: seen.append(request.url))
    upload_file(client, folder / "f", bucket, "k")
    assert len(seen) == 1


def test_boto3s_own_transfers_leave_nothing_in_the_way(own: Any, bucket: str, folder: Path, judge: Any) -> None:
    S3Transfer(own).upload_file(str(folder / "f"), bucket, "k")
    assert stored(judge, bucket) == {"k": b"body"}
    assert own._boto3_half.in_the_way() is None
