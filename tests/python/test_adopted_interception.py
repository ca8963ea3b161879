"""CONTRACT.md, kind 2: whatever sits in the path of a boto3 client sees its transfers: they go through it then."""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.client
import botocore.endpoint
import botocore.handlers
import botocore.hooks
import botocore.httpsession
import botocore.session
import pytest
import urllib3.connection
import urllib3.connectionpool
from botocore.stub import ANY, Stubber
from s3bulk import _interception as interception
from s3bulk import ensure_bucket_exists, upload_file, upload_folder, with_options
from s3bulk._way import ways
from s3bulk.options import TransferOptions

from tests.python.conftest import CALLS, boto3_client, stored
from tests.servers import Server

Seen = list[str]
# Puts something in the way that notes in the list what it sees.
Intercept = Callable[[Any, Seen, pytest.MonkeyPatch], None]


def _around(target: Any, name: str) -> Intercept:
    def intercept(client: Any, seen: Seen, patch: pytest.MonkeyPatch) -> None:
        original = getattr(target, name)

        @functools.wraps(original)  # forges the module's name as well
        def around(*arguments: Any, **named: Any) -> Any:
            seen.append(name)
            return original(*arguments, **named)

        patch.setattr(target, name, around)

    return intercept


def _mock(client: Any, seen: Seen, patch: pytest.MonkeyPatch) -> None:
    original = type(client)._make_api_call

    def note(*arguments: Any) -> Any:
        seen.append("mock")
        return original(client, *arguments)

    patch.setattr(botocore.client.BaseClient, "_make_api_call", mock.MagicMock(side_effect=note))


def _hook(event: str) -> Intercept:
    def intercept(client: Any, seen: Seen, patch: pytest.MonkeyPatch) -> None:
        client.meta.events.register(event, lambda **named: seen.append(event))

    return intercept


def _attribute(client: Any, seen: Seen, patch: pytest.MonkeyPatch) -> None:
    original = client.put_object

    def put_object(**named: Any) -> Any:
        seen.append("attribute")
        return original(**named)

    client.put_object = put_object


def _pool_class(client: Any, seen: Seen, patch: pytest.MonkeyPatch) -> None:
    class Connection(botocore.awsrequest.AWSHTTPConnection):
        def request(self, *arguments: Any, **named: Any) -> Any:
            seen.append("connection")
            return super().request(*arguments, **named)

    class Pool(botocore.awsrequest.AWSHTTPConnectionPool):
        ConnectionCls = Connection

    session = client._endpoint.http_session
    classes = {**session._pool_classes_by_scheme, "http": Pool}
    session._pool_classes_by_scheme = classes
    session._manager.pool_classes_by_scheme = classes


def _auth(client: Any, seen: Seen, patch: pytest.MonkeyPatch) -> None:
    class Auth(botocore.auth.S3SigV4Auth):
        def add_auth(self, request: Any) -> None:
            seen.append("auth")
            super().add_auth(request)

    for name in ("s3v4", "v4"):
        patch.setitem(botocore.auth.AUTH_TYPE_MAPS, name, Auth)


def _serializer(client: Any, seen: Seen, patch: pytest.MonkeyPatch) -> None:
    family = type(client._serializer)

    class Serializer(family):  # type: ignore[misc, valid-type]
        def serialize_to_request(self, *arguments: Any) -> Any:
            seen.append("serializer")
            return super().serialize_to_request(*arguments)

    client._serializer.__class__ = Serializer


class _Session(botocore.httpsession.URLLib3Session):
    seen: Seen

    def send(self, request: Any) -> Any:
        self.seen.append("session")
        return super().send(request)


def _session(client: Any, seen: Seen, patch: pytest.MonkeyPatch) -> None:
    client._endpoint.http_session = _Session()
    client._endpoint.http_session.seen = seen


def _subclass(client: Any, seen: Seen, patch: pytest.MonkeyPatch) -> None:
    family = type(client)

    def put_object(self: Any, **named: Any) -> Any:
        seen.append("subclass")
        return family.put_object(self, **named)

    client.__class__ = type("Traced", (family,), {"put_object": put_object})


INTERCEPTIONS: dict[str, Intercept] = {
    "hook": _hook("before-send.s3.PutObject"),
    "hook of all operations": _hook("before-call.s3"),
    "hook of everything": _hook("after-call.*"),
    "mocked _make_api_call": _mock,
    "wrapped _make_api_call": _around(botocore.client.BaseClient, "_make_api_call"),
    "wrapped Endpoint._send": _around(botocore.endpoint.Endpoint, "_send"),
    "wrapped URLLib3Session.send": _around(botocore.httpsession.URLLib3Session, "send"),
    "wrapped urlopen": _around(urllib3.connectionpool.HTTPConnectionPool, "urlopen"),
    "wrapped request": _around(botocore.awsrequest.AWSConnection, "request"),
    "wrapped send": _around(botocore.awsrequest.AWSConnection, "send"),
    "wrapped add_auth": _around(botocore.auth.S3SigV4Auth, "add_auth"),
    "wrapped emit": _around(botocore.hooks.HierarchicalEmitter, "_emit"),
    "wrapped connect of urllib3": _around(urllib3.connection.HTTPConnection, "connect"),
    "wrapped connect": _around(socket.socket, "connect"),
    "wrapped getaddrinfo": _around(socket, "getaddrinfo"),
    "signer's class": _auth,
    "serializer": _serializer,
    "attribute": _attribute,
    "connection class": _pool_class,
    "session": _session,
    "subclass": _subclass,
}


@pytest.mark.parametrize("name", INTERCEPTIONS)
def test_what_is_in_the_way_sees_the_transfer(
    name: str, moto: Server, moto_bucket: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = boto3_client(moto)
    judge = boto3_client(moto)
    upload_file(client, folder / "f", moto_bucket, "before")
    assert ways(client, moto_bucket, up=True)[0] is not None
    seen: Seen = []
    with monkeypatch.context() as patch:
        INTERCEPTIONS[name](client, seen, patch)
        upload_file(client, folder / "f", moto_bucket, "k")
        assert seen
        upload_folder(with_options(client, TransferOptions()), folder, moto_bucket, "p")
        assert len(seen) >= 2
    assert set(stored(judge, moto_bucket)) == {"before", "k", "p/f"}


def test_signatures_by_awscrt_are_botocores_own(moto: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    # As botocore.auth does where awscrt is installed.
    signer = type("CrtS3SigV4Auth", (botocore.auth.S3SigV4Auth,), {"__module__": "botocore.crt.auth"})
    monkeypatch.setitem(botocore.auth.AUTH_TYPE_MAPS, "s3v4", signer)
    assert interception.is_untouched(boto3_client(moto))


def test_a_hook_that_was_taken_away_is_out_of_the_way(moto: Server) -> None:
    client = boto3_client(moto)
    seen: Seen = []

    def hook(**named: Any) -> None:
        seen.append("hook")

    client.meta.events.register("before-send.s3.PutObject", hook)
    assert ways(client, "b", up=True)[0] is None
    client.meta.events.unregister("before-send.s3.PutObject", hook)
    assert ways(client, "b", up=True)[0] is not None


def test_a_handler_of_botocores_own_that_was_taken_away_is_missed(moto: Server) -> None:
    # How one talks to Ceph with tenants in bucket names.
    client = boto3_client(moto)
    client.meta.events.unregister("before-parameter-build.s3", botocore.handlers.validate_bucket_name)
    assert ways(client, "b", up=True)[0] is None


def test_one_of_botocores_own_that_was_added_is_seen(moto: Server) -> None:
    client = boto3_client(moto)
    client.meta.events.register("choose-signer.s3.*", botocore.handlers.disable_signing)
    assert ways(client, "b", up=True)[0] is None


def test_a_hook_among_those_that_every_client_gets_is_seen(moto: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = ("before-send.s3", lambda **named: None)
    monkeypatch.setattr(botocore.handlers, "BUILTIN_HANDLERS", [*botocore.handlers.BUILTIN_HANDLERS, hook])
    # A fresh client has it as well.
    interception._fresh_handlers.cache_clear()
    try:
        client = boto3.session.Session().client(
            "s3",
            region_name="us-east-1",
            endpoint_url=moto.endpoint_url,
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        assert ways(client, "b", up=True)[0] is None
    finally:
        interception._fresh_handlers.cache_clear()


def test_a_hook_of_another_operation_or_service_is_in_nobodys_way(moto: Server) -> None:
    client = boto3_client(moto)
    client.meta.events.register("before-send.s3.DeleteObject", lambda **named: None)
    client.meta.events.register("before-send.ec2", lambda **named: None)
    assert ways(client, "b", up=True)[0] is not None


def test_client_side_monitoring_sees_the_calls(moto: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CSM_ENABLED", "true")
    session: Any = boto3.session.Session()
    client = session.client("s3", region_name="us-east-1", endpoint_url=moto.endpoint_url)
    try:
        assert ways(client, "b", up=True)[0] is None
    finally:
        session._session._get_internal_component("monitor")._publisher._socket.close()


def test_a_stubber_sees_the_calls(moto: Server, folder: Path) -> None:
    client = boto3_client(moto)
    assert ways(client, "b", up=True)[0] is not None
    with Stubber(client) as stubber:
        stubber.add_response("head_bucket", {}, {"Bucket": "b"})
        stubber.add_response("put_object", {}, {"Bucket": "b", "Key": "p/f", "Body": ANY, "ContentType": ANY})
        ensure_bucket_exists(client, "b", "us-east-1")
        assert upload_folder(client, folder, "b", "p") == ["p/f"]
        stubber.assert_no_pending_responses()
    assert ways(client, "b", up=True)[0] is not None


def test_mock_aws_sees_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    # Before moto 5, which older versions of boto3 are tested with, each service had its own.
    of_all: Any = importlib.import_module("moto")
    mock_s3 = getattr(of_all, "mock_aws", None) or of_all.mock_s3
    with mock_s3():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="mocked")
        for call in CALLS.values():
            call(client, "mocked", folder)
            if (folder / "new").is_file():
                (folder / "new").unlink()
        assert set(stored(client, "mocked")) == {"k", "p/f"}
    # The session was made after moto was imported: its clients are free again.
    assert ways(client, "mocked", up=True)[0] is not None


def test_a_mock_with_the_shape_of_a_client_is_called(moto: Server, folder: Path) -> None:
    client = mock.MagicMock(spec=boto3_client(moto))
    assert isinstance(client, botocore.client.BaseClient)
    upload_file(client, folder / "f", "b", "k", "text/plain")
    client.put_object.assert_called_once_with(Bucket="b", Key="k", Body=mock.ANY, ContentType="text/plain")


@pytest.mark.parametrize("name", CALLS)
def test_an_asynchronous_client_is_refused(name: str, moto: Server, folder: Path) -> None:
    client = boto3_client(moto)

    async def call(self: Any, *arguments: Any) -> None:
        await asyncio.sleep(0)

    client.__class__ = type("AioClient", (type(client),), {"_make_api_call": call})
    for each in (client, with_options(boto3_client(moto), TransferOptions())):
        if each is not client:
            each._client.__class__ = type(client)
        with pytest.raises(TypeError, match="must be a synchronous client"):
            CALLS[name](each, "b", folder)


@pytest.mark.parametrize("name", CALLS)
def test_a_resource_is_refused_and_told_where_its_client_is(name: str, moto: Server, folder: Path) -> None:
    # A session of its own: the default one would stay for later tests.
    resource = boto3.session.Session().resource("s3", region_name="us-east-1", endpoint_url=moto.endpoint_url)
    for each in (resource, resource.Bucket("b")):
        with pytest.raises(TypeError, match=r"resource\.meta\.client"):
            CALLS[name](each, "b", folder)
    with pytest.raises(TypeError, match=r"resource\.meta\.client"):
        with_options(resource, TransferOptions())


def test_why_a_client_works_itself_is_said_once(
    moto: Server, moto_bucket: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = boto3_client(moto)
    client.meta.events.register("before-send.s3.PutObject", lambda **named: None)
    caplog.set_level(logging.DEBUG, "s3bulk")
    upload_file(client, folder / "f", moto_bucket, "1")
    upload_file(client, folder / "f", moto_bucket, "2")
    said = [record.getMessage() for record in caplog.records if "through the client itself" in record.getMessage()]
    assert said == [
        "Transfers of a boto3 client go through the client itself: its events have other handlers than those of a new "
        "client"
    ]


def test_a_look_at_the_path_that_fails_leaves_the_work_to_the_client(
    moto: Server, moto_bucket: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = boto3_client(moto)
    monkeypatch.setattr("s3bulk._adoption.has_own_functions", mock.MagicMock(side_effect=KeyError("another botocore")))
    upload_file(client, folder / "f", moto_bucket, "k")
    assert len(client._endpoint.http_session._manager.pools) == 1
