"""CONTRACT.md, "Errors": on real servers both our client and a boto3 client end as plain boto3 calls end.

Each row of the table is a mistake, with the places that show it, two or more. What no server on one machine can do (it
has one region, its clock is ours, its tokens do not expire) a gate before a real server does, in AWS's words.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from s3bulk import S3ClientConfig, TransferOptions, make_s3_client, with_options

from tests.python.canned_server import canned_server
from tests.python.certificates import self_signed
from tests.python.conftest import CALLS, Wrapper, boto3_client, new_bucket, put_all
from tests.servers import Server, rclone_server
from tests.servers.gate import Asked, Refusal, gate

# In every `make test`; the others where `--servers` names them.
_ALWAYS = ("moto", "seaweedfs", "rclone")
_CHECKING = ("seaweedfs", "rclone", "versitygw", "minio")  # moto takes any signature
_EVERYWHERE = ("moto", *_CHECKING)
_GATES = ("gate to seaweedfs", "gate to rclone")


@dataclasses.dataclass
class Row:
    """A mistake.

    Attributes:
        places: Where it is made.
        code: What S3 says, where there is a document; "" where nothing is refused.
        bucket: The bucket; `None` is one that is there and has an object `k`.
        key: The key.
        calls: The functions that make it.
        changes: What is wrong about the client: `secret_key`, `region`, `token`.
        refuse: What a gate says.
    """

    places: tuple[str, ...]
    code: str
    bucket: str | None = None
    calls: tuple[str, ...] = tuple(CALLS)
    changes: dict[str, str] = dataclasses.field(default_factory=dict)
    refuse: Callable[[Asked], Refusal | None] = lambda asked: None


_TRANSFERS = tuple(name for name in CALLS if name != "ensure_bucket_exists")  # which would make it
_SKEWED = Refusal(
    403,
    "RequestTimeTooSkewed",
    "The difference between the request time and the current time is too large.",
    {"RequestTime": "20240101T000000Z", "ServerTime": "2024-01-02T00:00:00Z", "MaxAllowedSkewMilliseconds": "900000"},
)
_EXPIRED = Refusal(400, "ExpiredToken", "The provided token has expired.", {"Token-0": "expired"})
_DENIED = Refusal(403, "AccessDenied", "User: arn:aws:iam::1:user/u is not authorized to perform: this")


def _elsewhere(asked: Asked) -> Refusal | None:
    """A bucket in eu-west-3."""
    if asked.region == "eu-west-3":
        return None
    message = f"The authorization header is malformed; the region '{asked.region}' is wrong; expecting 'eu-west-3'"
    told = {"x-amz-bucket-region": "eu-west-3"}
    return Refusal(400, "AuthorizationHeaderMalformed", message, {"Region": "eu-west-3"}, told)


def _nowhere(asked: Asked) -> Refusal:
    """No region is right, and none is named."""
    return Refusal(400, "AuthorizationHeaderMalformed", "The authorization header is malformed; the region is wrong")


_ROWS: dict[str, Row] = {
    "missing bucket": Row(_EVERYWHERE, "NoSuchBucket", bucket="there-is-none", calls=_TRANSFERS),
    "missing key": Row(_EVERYWHERE, "404", calls=("download_file_to_path",)),
    "wrong secret": Row(_CHECKING, "SignatureDoesNotMatch", changes={"secret_key": "wrong"}),
    "unknown key": Row(("seaweedfs", "rclone", "minio"), "InvalidAccessKeyId", changes={"access_key": "wrong"}),
    "wrong region": Row(_GATES, "AuthorizationHeaderMalformed", refuse=_nowhere),
    "wrong region, and the right one is told": Row(_GATES, "", refuse=_elsewhere),
    "no permission": Row(_GATES, "AccessDenied", refuse=lambda asked: _DENIED),
    "clock skew": Row(_GATES, "RequestTimeTooSkewed", refuse=lambda asked: _SKEWED),
    "expired token": Row(_GATES, "ExpiredToken", changes={"token": "expired"}, refuse=lambda asked: _EXPIRED),
    "a token that is none": Row(("seaweedfs", "versitygw", "minio"), "", changes={"token": "none"}),
    "empty bucket name": Row(_EVERYWHERE, "", bucket=""),
}
_ROWS_WITHOUT_AN_ANSWER = {
    "no server": ("a port where nobody listens", "a server that has gone", "a name that nobody has"),
    "bad certificate": ("rclone", "a server that says what it is told"),
}


def test_every_row_is_shown_at_two_places_at_least() -> None:
    wanted = (
        "missing bucket",
        "missing key",
        "wrong secret",
        "wrong region",
        "no permission",
        "no server",
        "bad certificate",
        "clock skew",
        "expired token",
        "empty bucket name",
        "key too long",  # tests/python/test_errors_like_boto3.py, on every server
    )
    for name in wanted:
        if name in _ROWS:
            places: tuple[str, ...] = tuple(place for place in _ROWS[name].places if place in (*_ALWAYS, *_GATES))
        else:
            places = _ALWAYS if name == "key too long" else _ROWS_WITHOUT_AN_ANSWER[name]
        assert len(set(places)) >= 2, name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "place" in metafunc.fixturenames:
        asked_for = metafunc.config.getoption("--servers").split(",")
        found = [
            pytest.param(name, place, id=f"{name}-{place}")
            for name, row in _ROWS.items()
            for place in row.places
            if place in (*_ALWAYS, *_GATES, *asked_for)
        ]
        metafunc.parametrize(("row", "place"), found)


class _Seen:
    """How a call ends, as far as it does not differ from request to request."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.error: Any = None
        try:
            call()
        except Exception as error:
            self.error = error

    def facts(self) -> Any:
        error = self.error
        if not isinstance(error, ClientError):
            return type(error).__name__, str(error)
        told: Any = {name: value for name, value in error.response["Error"].items() if name not in _OF_THE_REQUEST}
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return type(error).__name__, str(error), error.operation_name, told, status


# What S3 tells of the one request that failed.
_OF_THE_REQUEST = (
    "RequestId",
    "HostId",
    "Resource",
    "StringToSign",
    "StringToSignBytes",
    "CanonicalRequest",
    "CanonicalRequestBytes",
    "SignatureProvided",
)


def _clients(server: Server, row: Row, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, dict[str, Any]]:
    """Plain boto3 calls, and who has to end as they do; one attempt each where there may be several."""
    access_key, secret_key = (row.changes.get(name, getattr(server, name)) for name in ("access_key", "secret_key"))
    token = row.changes.get("token")
    arguments: dict[str, Any] = {
        "aws_access_key_id": access_key,
        "aws_secret_access_key": secret_key,
        "aws_session_token": token,
    }
    once: Any = {"total_max_attempts": 1, "mode": "legacy"}
    arguments["config"] = Config(signature_version="s3v4", retries=once)
    config = S3ClientConfig(server.endpoint_url, "us-east-1", "auto", access_key, secret_key)
    if token is not None:
        # A config has no token: temporary keys come from the environment.
        config = S3ClientConfig(server.endpoint_url, "us-east-1")
        for name, value in (("ACCESS_KEY_ID", access_key), ("SECRET_ACCESS_KEY", secret_key), ("SESSION_TOKEN", token)):
            monkeypatch.setenv(f"AWS_{name}", value)
    ours = {
        # To follow a bucket is a second attempt: where one is told where to.
        "own": with_options(make_s3_client(config), TransferOptions(max_attempts=1 if row.code else 2)),
        "boto3": boto3_client(server, **arguments),
    }
    return Wrapper(boto3_client(server, **arguments)), ours


@pytest.fixture
def at(request: pytest.FixtureRequest, row: str, place: str) -> Iterator[tuple[Server, Server]]:
    """The server itself, and the place where the mistake is made."""
    server: Server = request.getfixturevalue(place.removeprefix("gate to "))
    if server.name == place:
        yield server, server
        return
    with gate(server, _ROWS[row].refuse) as guarded:
        yield server, guarded
        make_s3_client.cache_clear()


def test_a_mistake_ends_as_in_boto3(
    row: str,
    place: str,
    at: tuple[Server, Server],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, shown = at
    told = _ROWS[row]
    judge = boto3_client(server)
    bucket = new_bucket(judge) if told.bucket is None else told.bucket
    if told.bucket is None and row != "missing key":
        put_all(judge, bucket, {"k": b"body", "p/f": b"body"})
    theirs, ours = _clients(shown, told, monkeypatch)
    codes = set()
    for name in told.calls:
        expected = _Seen(lambda n=name: CALLS[n](theirs, bucket, folder))  # type: ignore[misc]
        codes.add(expected.error.response["Error"]["Code"] if isinstance(expected.error, ClientError) else "")
        for kind, client in ours.items():
            found = _Seen(lambda n=name, c=client: CALLS[n](c, bucket, folder))  # type: ignore[misc]
            assert (name, kind, found.facts()) == (name, kind, expected.facts())
    if told.code:
        assert told.code in codes, "the mistake was made"


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with rclone_server(tmp_path_factory.mktemp("https"), tls=True) as server:
        yield server


@contextlib.contextmanager
def _endpoint(where: str, refused: str, https: Server, folder: Path) -> Iterator[str]:
    if where == "a port where nobody listens":
        yield refused
    elif where == "a server that has gone":
        with canned_server() as server:
            gone = server.endpoint_url
        yield gone
    elif where == "a name that nobody has":
        yield "http://s3.test.invalid:1"
    elif where == "rclone":
        yield https.endpoint_url
    else:
        with canned_server(self_signed(folder)) as server:
            yield server.endpoint_url


@pytest.mark.parametrize(
    ("row", "where"),
    [(row, where) for row, places in _ROWS_WITHOUT_AN_ANSWER.items() for where in places],
)
@pytest.mark.parametrize("name", CALLS)
def test_no_answer_ends_as_in_boto3(
    name: str,
    row: str,
    where: str,
    refused_endpoint: str,
    https: Server,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with _endpoint(where, refused_endpoint, https, tmp_path) as endpoint:
        theirs, ours = _clients(Server("none", endpoint, "key", "secret"), Row((), ""), monkeypatch)
        expected = _Seen(lambda: CALLS[name](theirs, "bucket", folder)).error
        assert type(expected).__name__ == {"no server": "EndpointConnectionError"}.get(row, "SSLError")
        for client in ours.values():
            found = _Seen(lambda c=client: CALLS[name](c, "bucket", folder)).error  # type: ignore[misc]
            assert type(found) is type(expected)
            # What follows is in the words of whoever speaks TCP or TLS.
            assert str(found).partition(endpoint)[:2] == str(expected).partition(endpoint)[:2]
