"""CONTRACT.md, "Errors": what the native half raises is what boto3 raises, on the same server for the same fault."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from s3bulk import S3ClientConfig, TransferError, TransferOptions, errors, make_s3_client, upload_file
from s3bulk._errors import exception_from

from tests.python.conftest import CALLS, Listener, boto3_client, client_of, config_of
from tests.servers import Server

_SECRET = "test-secret-key"


def _facts(error: ClientError) -> tuple[Any, ...]:
    response: Any = error.response
    metadata = response["ResponseMetadata"]
    return (
        error.operation_name,
        response["Error"]["Code"],
        response["Error"]["Message"],
        metadata["HTTPStatusCode"],
        sorted(set(response["Error"]) - {"RequestId", "HostId", "Resource"}),
        str(error),
    )


def _raised(call: Callable[[], Any]) -> ClientError:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("name", [name for name in CALLS if name != "ensure_bucket_exists"])
def test_a_missing_bucket_is_what_it_is_in_boto3(name: str, server: Server, folder: Path) -> None:
    call = CALLS[name]
    expected = _raised(lambda: call(client_of("wrapper", server), "no-such-bucket", folder))
    found = _raised(lambda: call(client_of("own", server), "no-such-bucket", folder))
    assert _facts(found) == _facts(expected)


def test_a_missing_key_is_what_it_is_in_boto3(server: Server, bucket: str, folder: Path) -> None:
    call = CALLS["download_file_to_path"]
    expected = _raised(lambda: call(client_of("wrapper", server), bucket, folder))
    found = _raised(lambda: call(client_of("own", server), bucket, folder))
    assert _facts(found) == _facts(expected)


@pytest.mark.parametrize("change", [{"secret_key": "wrong"}, {"access_key": "nobody"}], ids=["secret", "key"])
@pytest.mark.parametrize("name", CALLS)
def test_wrong_credentials_are_what_they_are_in_boto3(
    name: str, change: dict[str, str], seaweedfs: Server, folder: Path
) -> None:
    call = CALLS[name]
    expected = _raised(lambda: call(client_of("wrapper", seaweedfs, **change), "any-bucket", folder))
    found = _raised(lambda: call(client_of("own", seaweedfs, **change), "any-bucket", folder))
    assert _facts(found)[:2] == _facts(expected)[:2]
    assert _facts(found)[3] == _facts(expected)[3]


def test_the_response_metadata_is_that_of_boto3(server: Server, folder: Path) -> None:
    expected: Any = _raised(
        lambda: CALLS["upload_file"](client_of("wrapper", server), "no-such-bucket", folder)
    ).response
    found: Any = _raised(lambda: CALLS["upload_file"](client_of("own", server), "no-such-bucket", folder)).response
    metadata = found["ResponseMetadata"]
    assert set(expected["ResponseMetadata"]) - {"HostId"} <= set(metadata)
    assert metadata["RetryAttempts"] == 0
    assert metadata["HTTPHeaders"]["content-type"] == expected["ResponseMetadata"]["HTTPHeaders"]["content-type"]
    assert all(name == name.lower() for name in metadata["HTTPHeaders"])


@pytest.mark.parametrize("name", CALLS)
def test_no_server_is_an_endpoint_connection_error(name: str, refused_endpoint: str, folder: Path) -> None:
    nobody = Server("nobody", refused_endpoint, "key", _SECRET)
    client = client_of("own", nobody).with_options(TransferOptions(max_attempts=1))
    with pytest.raises(EndpointConnectionError, match="Could not connect to the endpoint URL: ") as caught:
        CALLS[name](client, "b", folder)
    assert refused_endpoint in str(caught.value)
    quick = boto3_client(nobody, config=Config(retries={"total_max_attempts": 1}))
    with pytest.raises(EndpointConnectionError):
        CALLS[name](quick, "b", folder)


def test_a_silent_server_is_a_read_timeout(listener: Listener, folder: Path) -> None:
    nobody = Server("nobody", listener.endpoint_url, "key", _SECRET)
    client = client_of("own", nobody).with_options(TransferOptions(max_attempts=1, read_timeout=0.2))
    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        CALLS["upload_file"](client, "b", folder)
    assert listener.was_called


@pytest.mark.parametrize("name", CALLS)
def test_no_credentials_are_no_credentials(name: str, listener: Listener, folder: Path) -> None:
    client = make_s3_client(S3ClientConfig(listener.endpoint_url, "us-east-1"))
    with pytest.raises(NoCredentialsError):
        CALLS[name](client, "b", folder)
    assert not listener.was_called


def test_one_static_key_alone_is_no_pair(listener: Listener, folder: Path) -> None:
    client = make_s3_client(S3ClientConfig(listener.endpoint_url, "us-east-1", access_key="key"))
    with pytest.raises(NoCredentialsError):
        CALLS["upload_file"](client, "b", folder)


def test_the_error_names_what_was_done_where(own: Any, folder: Path, server: Server) -> None:
    error = _raised(lambda: upload_file(own, folder / "f", "no-such-bucket", "the-key"))
    notes = "\n".join(error.__notes__)
    for part in ("PutObject", "no-such-bucket", "the-key", server.endpoint_url):
        assert part in notes


_FAILURE: dict[str, Any] = {
    "message": "what went wrong",
    "text": "what went wrong [bucket: b, key: k]",
    "operation": "PutObject",
    "bucket": "b",
    "key": "k",
    "path": None,
    "endpoint": "http://h:1",
    "attempts": 3,
}
_SERVICE = {
    "status": 503,
    "code": "SlowDown",
    "service_message": "Reduce your request rate",
    "request_id": "R",
    "host_id": "H",
    "headers": {"x-amz-request-id": "R"},
    "details": {"BucketName": "b"},
}
_KINDS: dict[str, tuple[type[BaseException], dict[str, Any]]] = {
    "service": (ClientError, _SERVICE),
    "invalid_parameter": (botocore.exceptions.ParamValidationError, {}),
    "invalid_configuration": (ValueError, {}),
    "invalid_region": (botocore.exceptions.InvalidRegionError, {}),
    "connect": (EndpointConnectionError, {}),
    "connect_timeout": (botocore.exceptions.ConnectTimeoutError, {}),
    "read_timeout": (botocore.exceptions.ReadTimeoutError, {}),
    "connection_closed": (botocore.exceptions.ConnectionClosedError, {}),
    "tls": (botocore.exceptions.SSLError, {}),
    "proxy": (botocore.exceptions.ProxyConnectionError, {}),
    "body_cut": (botocore.exceptions.ResponseStreamingError, {}),
    "checksum_mismatch": (botocore.exceptions.BotoCoreError, {}),
    "bad_response": (errors.BadResponseError, {}),
    "no_credentials": (NoCredentialsError, {}),
    "credentials": (botocore.exceptions.CredentialRetrievalError, {}),
    "io": (PermissionError, {"errno": 13, "path": "/f"}),
    "not_a_file": (FileNotFoundError, {}),
    "not_a_directory": (ValueError, {}),
    "source_changed": (errors.SourceChangedError, {}),
    "object_changed": (errors.ObjectChangedError, {}),
    "suspicious_key": (ValueError, {}),
    "key_collision": (ValueError, {}),
    "invalid_name": (ValueError, {}),
    "outcome_unknown": (errors.OutcomeUnknownError, {}),
    "unsupported": (errors.UnsupportedOperationError, {}),
    "cancelled": (errors.CancelledError, {}),
    "internal": (errors.InternalError, {}),
}


@pytest.mark.parametrize("kind", _KINDS)
def test_every_kind_has_a_class_and_pickles_and_keeps_its_context(kind: str) -> None:
    expected, more = _KINDS[kind]
    exception: Any = exception_from({**_FAILURE, "kind": kind, **more})
    assert isinstance(exception, expected)
    said = "\n".join([str(exception), *getattr(exception, "__notes__", [])])
    assert _FAILURE["text"] in said
    again = pickle.loads(pickle.dumps(exception))
    assert (type(again), str(again), again.args) == (type(exception), str(exception), exception.args)


def test_a_service_error_has_the_shape_of_boto3() -> None:
    exception: Any = exception_from({**_FAILURE, "kind": "service", **_SERVICE})
    assert exception.operation_name == "PutObject"
    assert exception.response == {
        "Error": {"Code": "SlowDown", "Message": "Reduce your request rate", "BucketName": "b"},
        "ResponseMetadata": {
            "RequestId": "R",
            "HostId": "H",
            "HTTPStatusCode": 503,
            "HTTPHeaders": {"x-amz-request-id": "R"},
            "RetryAttempts": 2,
        },
    }
    assert pickle.loads(pickle.dumps(exception)).response == exception.response


def test_a_local_error_has_number_and_path() -> None:
    exception: Any = exception_from({**_FAILURE, "kind": "io", "errno": 28, "path": "/f"})
    assert (type(exception), exception.errno, exception.filename) == (OSError, 28, "/f")


def test_a_kind_that_is_not_known_is_an_internal_error() -> None:
    assert isinstance(exception_from({**_FAILURE, "kind": "new"}), errors.InternalError)


def test_old_botocore_has_no_class_for_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(botocore.exceptions, "FlexibleChecksumError")
    assert isinstance(exception_from({**_FAILURE, "kind": "checksum_mismatch"}), TransferError)


def test_errors_of_ours_are_caught_where_boto3s_are() -> None:
    assert issubclass(TransferError, botocore.exceptions.BotoCoreError)
    assert str(TransferError("text with {braces}")) == "text with {braces}"


def test_config_and_client_show_no_secret(server: Server) -> None:
    config = config_of(server)
    client = make_s3_client(config)
    for shown in (repr(config), str(config), repr(client), str(client), repr(client.options), f"{client}"):
        assert server.secret_key not in shown
