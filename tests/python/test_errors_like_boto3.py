"""CONTRACT.md, "Errors": for the same answer the native half raises what plain boto3 calls raise, word for word."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from s3bulk import TransferOptions, download_file_to_path, make_s3_client, upload_file

from tests.python.canned_server import Answer, CannedServer, canned_server
from tests.python.certificates import self_signed
from tests.python.conftest import CALLS, Listener, Wrapper, boto3_client, client_of, config_of
from tests.servers import Server

_ONE_ATTEMPT = TransferOptions(max_attempts=1, read_timeout=5)
_IDS = {"x-amz-request-id": "REQUEST", "x-amz-id-2": "HOST"}


def _document(code: str, message: str | None = "What & why", **details: str) -> bytes:
    told = "" if message is None else f"<Message>{message.replace('&', '&amp;')}</Message>"
    more = "".join(f"<{name}>{value}</{name}>" for name, value in details.items())
    ids = "<RequestId>REQUEST</RequestId><HostId>HOST</HostId>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>{told}{more}{ids}</Error>'.encode()


def _refused(status: int, code: str, **details: str) -> Answer:
    return Answer(status, _document(code, **details), {**_IDS, "Content-Type": "application/xml", "X-Mixed-Case": "A"})


_ANSWERS: dict[str, Answer] = {
    "missing bucket": _refused(404, "NoSuchBucket", BucketName="bucket"),
    "missing key": _refused(404, "NoSuchKey", Key="k"),
    "no permission": _refused(403, "AccessDenied"),
    "wrong secret": _refused(403, "SignatureDoesNotMatch", AWSAccessKeyId="key", SignatureProvided="0"),
    "unknown access key": _refused(403, "InvalidAccessKeyId", AWSAccessKeyId="key"),
    "wrong region": _refused(400, "AuthorizationHeaderMalformed", Region="us-east-1"),
    "clock skew": _refused(403, "RequestTimeTooSkewed", MaxAllowedSkewMilliseconds="900000"),
    "expired token": _refused(400, "ExpiredToken"),
    "key too long": _refused(400, "KeyTooLongError", MaxSizeAllowed="1024", Size="1025"),
    "archived": _refused(403, "InvalidObjectState", StorageClass="GLACIER"),
    "precondition": _refused(412, "PreconditionFailed", Condition="If-Match"),
    "not implemented": _refused(501, "NotImplemented", Header="Transfer-Encoding"),
    "bucket taken": _refused(409, "BucketAlreadyExists"),
    "slow down": _refused(503, "SlowDown"),
    "internal error": _refused(500, "InternalError"),
    "no message": Answer(403, _document("AccessDenied", message=None), _IDS),
    "ids in the document only": Answer(403, _document("AccessDenied")),
    "503 without a body": Answer(503),
    "500 without a body": Answer(500, b"", _IDS),
    "429 without a body": Answer(429),
    "413 without a body": Answer(413),
    "416 without a body": Answer(416, b"", _IDS),
    "599 without a body": Answer(599),
    "503 of a proxy": Answer(503, b"<html><body>busy</body></html>", {"Content-Type": "text/html"}),
    "403 in other words": Answer(403, b'{"error": "no"}', {"Content-Type": "application/json"}),
    "500 cut short": Answer(500, _document("InternalError")[:60]),
}


@pytest.fixture(scope="module")
def canned() -> Iterator[CannedServer]:
    with canned_server() as server:
        yield server


@pytest.fixture(scope="module")
def pair(canned: CannedServer) -> tuple[Any, Any]:
    """Plain boto3 calls, as the original made them, and our own client; one attempt each."""
    server = Server("canned", canned.endpoint_url, "key", "secret")
    # In the mode "standard" the only attempt of all counts as the last one even of what is not worth another.
    config = Config(signature_version="s3v4", retries={"total_max_attempts": 1, "mode": "legacy"})
    return Wrapper(boto3_client(server, config=config)), client_of("own", server).with_options(_ONE_ATTEMPT)


def _error(call: Callable[[], Any]) -> Any:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one it is is what is compared
        call()
    return caught.value


def _response(error: ClientError) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    response: Any = error.response
    metadata = dict(response["ResponseMetadata"])
    headers = metadata.pop("HTTPHeaders")
    assert type(headers) is dict
    headers.pop("date", None)
    return dict(response["Error"]), metadata, headers


def _check_pickles(error: Any) -> None:
    again: Any = pickle.loads(pickle.dumps(error))
    assert isinstance(again, ClientError) == isinstance(error, ClientError)
    assert (str(again), again.args) == (str(error), error.args)
    assert getattr(again, "response", None) == getattr(error, "response", None)
    assert getattr(again, "operation_name", None) == getattr(error, "operation_name", None)
    assert getattr(again, "__notes__", None) == getattr(error, "__notes__", None)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("case", _ANSWERS)
def test_an_answer_is_the_error_it_is_in_boto3(
    case: str, name: str, pair: tuple[Any, Any], canned: CannedServer, folder: Path
) -> None:
    canned.answer = lambda method, path: _ANSWERS[case]
    theirs, ours = pair
    expected = _error(lambda: CALLS[name](theirs, "bucket", folder))
    found = _error(lambda: CALLS[name](ours, "bucket", folder))
    assert isinstance(expected, ClientError), "the server gave the answer"
    assert isinstance(found, ClientError)
    assert (str(found), found.operation_name) == (str(expected), expected.operation_name)
    (error, metadata, headers), (their_error, their_metadata, their_headers) = _response(found), _response(expected)
    assert (error, headers) == (their_error, their_headers)
    # botocore leaves an id out that stands in the document only; here it is in any case where boto3 users look.
    for each, in_document in (("RequestId", "REQUEST"), ("HostId", "HOST")):
        told = metadata.pop(each)
        assert told == their_metadata.pop(each) if each in their_metadata else told in ("", in_document)
    if case == "wrong region":
        # boto3 asks once more where the answer says, retries or not; our one attempt is one.
        assert (metadata.pop("RetryAttempts"), their_metadata.pop("RetryAttempts")) in ((0, 0), (0, 1))
    assert metadata == their_metadata
    _check_pickles(found)


@pytest.mark.parametrize("mode", ["legacy", "standard"])
def test_retries_are_told_as_boto3_tells_them(mode: str, canned: CannedServer, folder: Path) -> None:
    canned.answer = lambda method, path: Answer(500)
    server = Server("canned", canned.endpoint_url, "key", "secret")
    config = Config(retries={"total_max_attempts": 3, "mode": mode})  # type: ignore[arg-type]
    theirs = Wrapper(boto3_client(server, config=config))
    ours = client_of("own", server).with_options(TransferOptions(max_attempts=3))
    for name in CALLS:
        expected = _error(lambda n=name: CALLS[n](theirs, "bucket", folder))  # type: ignore[misc]
        asked = len(canned.requests)
        found = _error(lambda n=name: CALLS[n](ours, "bucket", folder))  # type: ignore[misc]
        assert len(canned.requests) - asked == 3
        assert str(found) == str(expected)
        assert "(reached max retries: 2)" in str(found)
        assert _response(found)[1] == {"RequestId": "", "HostId": "", **_response(expected)[1]}


def test_an_error_after_a_retry_that_is_not_worth_another_says_nothing_of_a_limit(
    canned: CannedServer, folder: Path
) -> None:
    answers = [Answer(500), _refused(403, "AccessDenied")]
    canned.answer = lambda method, path: answers.pop(0)
    ours = client_of("own", Server("canned", canned.endpoint_url, "key", "secret"))
    found = _error(lambda: upload_file(ours, folder / "f", "bucket", "k"))
    assert str(found) == "An error occurred (AccessDenied) when calling the PutObject operation: What & why"
    metadata = found.response["ResponseMetadata"]
    assert (metadata["RetryAttempts"], metadata.get("MaxAttemptsReached")) == (1, None)
    assert answers == []


# Without an answer.


@contextlib.contextmanager
def _resetting() -> Iterator[str]:
    with canned_server() as server:
        server.answer = lambda method, path: Answer(reset=True)
        yield server.endpoint_url


@contextlib.contextmanager
def _talking_http() -> Iterator[str]:
    with canned_server() as server:
        yield server.endpoint_url.replace("http:", "https:")


_CONFIG = Config(
    signature_version="s3v4", connect_timeout=5, read_timeout=1, retries={"total_max_attempts": 1, "mode": "legacy"}
)


def _compared(endpoint_url: str, call: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The errors of plain boto3 calls and of our client, which have the same class and text."""
    server = Server("none", endpoint_url, "key", "secret")
    expected = _error(lambda: call(Wrapper(boto3_client(server, config=_CONFIG))))
    options = TransferOptions(max_attempts=1, connect_timeout=5, read_timeout=1)
    found = _error(lambda: call(make_s3_client(config_of(server)).with_options(options)))
    assert type(found) is type(expected)
    _check_pickles(found)
    return found, expected


def _before(endpoint: str, error: Exception) -> str:
    return str(error).partition(endpoint)[0]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("case", ["refused", "reset", "silent", "certificate", "no TLS"])
def test_no_answer_is_the_error_it_is_in_boto3(
    case: str, name: str, refused_endpoint: str, listener: Listener, folder: Path, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack:
        if case == "refused":
            endpoint = refused_endpoint
        elif case == "silent":
            endpoint = listener.endpoint_url
        elif case == "certificate":
            endpoint = stack.enter_context(canned_server(self_signed(tmp_path))).endpoint_url
        else:
            endpoint = stack.enter_context(_resetting() if case == "reset" else _talking_http())
        found, expected = _compared(endpoint, lambda client: CALLS[name](client, "bucket", folder))
        assert _before(endpoint, found) == _before(endpoint, expected)
        assert endpoint in str(found)


# A plain request is answered 407 by a proxy as by a server; only a tunnel is refused.
@pytest.mark.parametrize(("case", "scheme"), [("refused", "http"), ("refused", "https"), ("407", "https")])
def test_a_proxy_in_the_way_is_the_error_it_is_in_boto3(
    case: str, scheme: str, refused_endpoint: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.ExitStack() as stack:
        proxy = refused_endpoint
        if case == "407":
            server = stack.enter_context(canned_server())
            server.answer = lambda method, path: Answer(407)
            proxy = server.endpoint_url
        monkeypatch.setenv(f"{scheme}_proxy", proxy.replace("://", "://user:hush@"))
        found, _ = _compared(f"{scheme}://s3.test.invalid", lambda client: upload_file(client, folder / "f", "b", "k"))
        assert str(found) == f'Failed to connect to proxy URL: "{proxy}"'
        assert "hush" not in str(found)


# Real servers.


@pytest.mark.parametrize("key", ["k" * 1025, "ü" * 513], ids=["1025 bytes", "1026 bytes"])
def test_a_key_that_is_too_long_is_what_it_is_in_boto3(
    key: str, server: Server, judge: Any, bucket: str, folder: Path, tmp_path: Path
) -> None:
    def outcome(client: Any, call: Callable[[Any], Any]) -> Any:
        try:
            return call(client)
        except ClientError as error:
            return error.response["Error"], error.operation_name, error.response["ResponseMetadata"]["HTTPStatusCode"]

    for call in (
        lambda client: upload_file(client, folder / "f", bucket, key),
        lambda client: download_file_to_path(client, bucket, key, tmp_path / "new"),
    ):
        expected, found = outcome(Wrapper(judge), call), outcome(client_of("own", server), call)
        assert found == expected
