"""A boto3 client's credentials stay its own: asked again in time, on the caller's thread, never kept longer."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError, NoCredentialsError
from s3bulk import S3ClientConfig, TransferOptions, make_s3_client, upload_file, upload_folder, with_options
from s3bulk._frozen import Credentials as Frozen
from s3bulk._settings import Refusal
from s3bulk._way import ways

from tests.python.conftest import boto3_client, write_all
from tests.servers import Server
from tests.servers.recording import RecordingServer, recording_server


@pytest.fixture
def recording() -> Iterator[RecordingServer]:
    with recording_server() as server:
        yield server


def _client(recording: RecordingServer, credentials: Any) -> Any:
    client = boto3_client(Server("recording", recording.endpoint_url, "key", "secret"))
    client._request_signer._credentials = credentials
    return client


class Counting:
    """Hands out keys `key1`, `key2`, ... that last for so long, and notes who asked."""

    def __init__(self, lifetime: float) -> None:
        self.lifetime = lifetime
        self.threads: list[int] = []
        self.failing: Exception | None = None

    def metadata(self) -> dict[str, str]:
        self.threads.append(threading.get_ident())
        if self.failing is not None:
            raise self.failing
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.lifetime)
        return {
            "access_key": f"key{len(self.threads)}",
            "secret_key": "secret",
            "token": "token",
            "expiry_time": end.isoformat(),
        }

    def credentials(self) -> RefreshableCredentials:
        return RefreshableCredentials.create_from_metadata(self.metadata(), self.metadata, "test")


def test_refreshing_credentials_that_last_are_asked_for_once(recording: RecordingServer, tmp_path: Path) -> None:
    counting = Counting(3600)
    client = _client(recording, counting.credentials())
    write_all(tmp_path, {str(number): b"x" for number in range(30)})
    upload_folder(client, tmp_path, "b", "p")
    assert {request.access_key for request in recording.requests} == {"key1"}
    assert {request.headers["x-amz-security-token"] for request in recording.requests} == {"token"}
    assert not any(request.is_from_botocore for request in recording.requests)


def test_credentials_are_refreshed_during_a_transfer_on_the_callers_thread(
    recording: RecordingServer, tmp_path: Path
) -> None:
    # botocore refreshes keys that end so soon whenever it is asked.
    counting = Counting(4)
    client = with_options(_client(recording, counting.credentials()), TransferOptions(max_concurrency=1))
    write_all(tmp_path, {str(number): b"x" for number in range(15)})
    recording.delay = 0.2
    upload_folder(client, tmp_path, "b", "p")
    keys = [request.access_key for request in recording.requests]
    assert len(keys) == 15
    assert len(set(keys)) > 2
    assert keys == sorted(keys, key=lambda key: int(key.removeprefix("key")))
    assert set(counting.threads) == {threading.get_ident()}


class Using(Counting):
    """Uses the client whenever it is asked for keys, as a wrapper that keeps a log of its refreshes in S3 would."""

    def __init__(self, first: float, later: float) -> None:
        super().__init__(first)
        self._later = later
        self.client: Any = None
        self.path = Path()
        self.in_another_thread = False
        self.failures: list[BaseException] = []

    def metadata(self) -> dict[str, str]:
        if self.client is not None:
            client, self.client, self.lifetime = self.client, None, self._later
            if self.in_another_thread:
                thread = threading.Thread(target=self._use, args=(client,))
                thread.start()
                thread.join()
            else:
                self._use(client)
        return super().metadata()

    def _use(self, client: Any) -> None:
        try:
            upload_file(client, self.path, "b", "log")
        except Exception as failure:
            self.failures.append(failure)


@pytest.mark.parametrize("in_another_thread", [False, True], ids=["same thread", "another thread"])
def test_a_refresh_may_use_the_client_itself(
    in_another_thread: bool, recording: RecordingServer, tmp_path: Path
) -> None:
    # So long before the end botocore gives out the old keys to who asks while others refresh.
    using = Using(800, 3600)
    client = _client(recording, using.credentials())
    write_all(tmp_path, {"log": b"x", **{f"folder/{number}": b"y" for number in range(3)}})
    using.client, using.path, using.in_another_thread = client, tmp_path / "log", in_another_thread
    one_lane = TransferOptions(max_concurrency=1)
    assert upload_folder(with_options(client, one_lane), tmp_path / "folder", "b", "p") == ["p/0", "p/1", "p/2"]
    assert using.failures == []
    assert sorted(recording.objects) == ["b/log", "b/p/0", "b/p/1", "b/p/2"]
    assert recording.requests[0].access_key == "key1"
    upload_folder(client, tmp_path / "folder", "b", "again")
    assert recording.requests[-1].access_key == "key2"


def test_a_refresh_that_waits_for_itself_is_an_error(recording: RecordingServer, tmp_path: Path) -> None:
    using = Using(300, 3600)  # botocore makes everybody wait for new keys: its own calls would do so for ever
    client = _client(recording, using.credentials())
    write_all(tmp_path, {"f": b"x"})
    using.client, using.path = client, tmp_path / "f"
    upload_file(client, tmp_path / "f", "b", "k")
    (failure,) = using.failures
    assert isinstance(failure, CredentialRetrievalError)
    assert "the client is used that waits for them" in str(failure)
    assert list(recording.objects) == ["b/k"]
    assert [request.access_key for request in recording.requests] == ["key2"]


def test_our_client_asks_the_default_sessions_credentials_again(
    recording: RecordingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(4)
    inner: Any = botocore.session.get_session()
    inner._credentials = counting.credentials()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3.session.Session(botocore_session=inner))
    client = make_s3_client(S3ClientConfig(recording.endpoint_url, "us-east-1"))
    write_all(tmp_path, {str(number): b"x" for number in range(8)})
    recording.delay = 0.2
    client.with_options(TransferOptions(max_concurrency=1)).upload_folder(tmp_path, "b", "p")
    keys = [request.access_key for request in recording.requests]
    assert len(set(keys)) > 1
    assert set(counting.threads) == {threading.get_ident()}
    assert not any(request.is_from_botocore for request in recording.requests)
    # Its refresh may use the client as well.
    using = Using(800, 3600)
    inner._credentials = using.credentials()
    make_s3_client.cache_clear()
    client = make_s3_client(S3ClientConfig(recording.endpoint_url, "us-east-1"))
    using.client, using.path = client, tmp_path / "0"
    client.upload_folder(tmp_path, "b", "p")
    assert using.failures == []
    assert recording.objects["b/log"] == b"x"


def test_an_expired_token_makes_the_client_refresh(recording: RecordingServer, tmp_path: Path) -> None:
    from tests.servers.recording import error

    counting = Counting(700)  # asked again, it has others
    client = _client(recording, counting.credentials())
    refused: list[str] = []

    def judge(request: Any) -> Any:
        if request.access_key in ("key1", "key2"):
            refused.append(request.access_key)
            return error(400, "ExpiredToken")
        return None

    recording.judge = judge
    write_all(tmp_path, {"f": b"x"})
    upload_file(client, tmp_path / "f", "b", "k")
    assert refused
    assert recording.objects == {"b/k": b"x"}


class Refused(Exception):
    """A refresh that fails, in the words of whoever made it."""


def test_what_a_refresh_raises_arrives_as_it_is(recording: RecordingServer, tmp_path: Path) -> None:
    counting = Counting(4)
    client = _client(recording, counting.credentials())
    write_all(tmp_path, {"f": b"x"})
    counting.failing = Refused("the session has ended")
    with pytest.raises(Refused, match="the session has ended") as caught:
        upload_folder(client, tmp_path, "b", "p")
    assert caught.value is counting.failing
    assert caught.value.report.done == []  # type: ignore[attr-defined]
    assert recording.requests == []
    counting.failing = None
    assert upload_folder(client, tmp_path, "b", "p") == ["p/f"]


def test_without_credentials_nothing_is_sent_and_other_errors_come_first(
    recording: RecordingServer, tmp_path: Path
) -> None:
    client = _client(recording, None)
    with pytest.raises(FileNotFoundError):
        upload_file(client, tmp_path / "f", "b", "k")
    assert upload_folder(client, tmp_path, "b", "p") == []
    write_all(tmp_path, {"f": b"x"})
    with pytest.raises(NoCredentialsError):
        upload_file(client, tmp_path / "f", "b", "k")
    assert recording.requests == []


def test_static_keys_are_those_of_the_moment(recording: RecordingServer, tmp_path: Path) -> None:
    client = boto3_client(Server("recording", recording.endpoint_url, "key", "secret"))
    write_all(tmp_path, {"f": b"x"})
    upload_file(client, tmp_path / "f", "b", "1")
    client._request_signer._credentials.access_key = "other"
    upload_file(client, tmp_path / "f", "b", "2")
    client._request_signer._credentials = Credentials("third", "secret", "token")
    upload_file(client, tmp_path / "f", "b", "3")
    assert [request.access_key for request in recording.requests] == ["key", "other", "third"]
    assert "x-amz-security-token" not in recording.requests[0].headers
    assert recording.requests[2].headers["x-amz-security-token"] == "token"
    assert not any(request.is_from_botocore for request in recording.requests)


def test_two_calls_at_once_on_one_client_get_keys_each(recording: RecordingServer, tmp_path: Path) -> None:
    counting = Counting(4)
    client = _client(recording, counting.credentials())
    recording.delay = 0.1
    failures: list[BaseException] = []

    def move(name: str) -> None:
        try:
            folder = write_all(tmp_path / name, {str(number): b"x" for number in range(20)})
            upload_folder(with_options(client, TransferOptions(max_concurrency=1)), folder, "b", name)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=move, args=(str(number),)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(recording.objects) == 40
    assert {thread.ident for thread in threads} | {threading.get_ident()} >= set(counting.threads)


class _Foreign:
    access_key, secret_key, token = "key", "secret", None

    def get_frozen_credentials(self) -> Any:
        return self


class _Asynchronous(Credentials):
    async def get_frozen_credentials(self) -> Any:  # type: ignore[override]
        return self


@pytest.mark.parametrize("make", [_Foreign, lambda: _Asynchronous("key", "secret")], ids=["foreign", "asynchronous"])
def test_credentials_of_an_unknown_kind_go_through_the_client(
    make: Callable[[], Any], recording: RecordingServer
) -> None:
    client = _client(recording, make())
    assert ways(client, "b", up=True) == (None, client)
    with pytest.raises(Refusal):
        Frozen(make())


@pytest.mark.parametrize(
    ("lifetime", "least", "most"), [(3600, 2600, 2701), (1000, 1, 101), (800, 5.0, 5.0), (8, 0, 2.0), (0, 0, 0)]
)
def test_keys_are_kept_until_botocore_would_refresh_them(lifetime: float, least: float, most: float) -> None:
    credentials = Frozen(Counting(lifetime).credentials())
    end = credentials.source._expiry_time
    kept = credentials._lasting(end, end)
    assert kept is not None
    assert least <= kept <= most
    assert credentials._lasting(None, end) == 60.0
    assert Frozen(Credentials("key", "secret"))._lasting(None, None) is None
