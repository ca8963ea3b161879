"""Our client's `upload_file` and `download_file` are boto3's: the same arguments, results and errors."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest
from boto3.exceptions import RetriesExceededError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.stub import ANY, Stubber
from s3bulk import Client, TransferOptions

from tests.python.canned_server import Answer, canned_server
from tests.python.conftest import boto3_client, client_of, files_below, put_all, stored, write_all
from tests.servers import Server

_NAMES = ("upload_file", "download_file")


def _went_natively(client: Client) -> bool:
    return client._boto3_half._client is None


def _outcome(call: Callable[[], Any]) -> Any:
    """What a call returns or raises."""
    try:
        return call()
    except Exception as error:
        # The name of a temporary file of boto3's is another one each time.
        return type(error), getattr(error, "errno", None) or str(error)


@pytest.mark.parametrize("name", _NAMES)
def test_the_signature_is_boto3s(name: str, moto: Server) -> None:
    expected = inspect.signature(getattr(boto3_client(moto), name)).parameters.values()
    found = inspect.signature(getattr(client_of("own", moto), name)).parameters.values()
    assert [(each.name, each.default, each.kind) for each in found] == [
        (each.name, each.default, each.kind) for each in expected
    ]


@pytest.mark.parametrize("extra", [None, {}, {"ContentType": "text/x-test"}], ids=["none", "empty", "type"])
@pytest.mark.parametrize("size", [5, 17 << 20], ids=["small", "parts"])
def test_a_file_goes_up_natively_with_boto3s_content_type(
    extra: Any, size: int, own: Any, judge: Any, bucket: str, tmp_path: Path
) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(os.urandom(size))
    own.upload_file(path, bucket, "ours", extra)
    assert _went_natively(own)
    judge.upload_file(str(path), bucket, "boto3s", extra)
    found, expected = (judge.get_object(Bucket=bucket, Key=key) for key in ("ours", "boto3s"))
    assert found["Body"].read() == expected["Body"].read() == path.read_bytes()
    assert found.get("ContentType") == expected.get("ContentType")


def test_an_object_comes_down_natively(own: Any, judge: Any, bucket: str, tmp_path: Path) -> None:
    put_all(judge, bucket, {"k": b"body", "other": b"2"})
    assert own.download_file(bucket, "k", str(tmp_path / "f")) is None
    assert own.download_file(Bucket=bucket, Key="other", Filename=tmp_path / "f") is None
    assert own.download_file(Bucket=bucket, Key="k", Filename=tmp_path / "g", ExtraArgs={}) is None
    assert _went_natively(own)
    assert files_below(tmp_path) == {"f": b"2", "g": b"body"}


def test_a_file_in_the_working_directory_needs_no_folder(
    own: Any, judge: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_all(judge, bucket, {"k": b"body"})
    monkeypatch.chdir(tmp_path)
    own.download_file(bucket, "k", "f")
    own.upload_file("f", bucket, "again")
    assert _went_natively(own)
    assert files_below(tmp_path) == {"f": b"body"}
    assert stored(judge, bucket)["again"] == b"body"


# (file name, bucket or "" for none, key, extra arguments); {} stands for the test's bucket and folder.
_UPLOADS: dict[str, tuple[Any, ...]] = {
    "no file": ("{}/none", "{}", "k"),
    "a folder": ("{}", "{}", "k"),
    "bytes": (b"f", "{}", "k"),
    "a number": (7, "{}", "k"),
    "no bucket": ("{}/f", "no-such-bucket", "k"),
    "an empty bucket": ("{}/f", "", "k"),
    "a bucket that is none": ("{}/f", "a b", "k"),
    "an ARN of another kind": ("{}/f", "arn:aws:s3-object-lambda:us-east-1:123456789012:accesspoint/x", "k"),
    "no key": ("{}/f", "{}", ""),
    "a number as key": ("{}/f", "{}", 7),
    "an unknown argument": ("{}/f", "{}", "k", {"NoSuchArgument": "x"}),
    "a type that is none": ("{}/f", "{}", "k", {"ContentType": 7}),
    "metadata": ("{}/f", "{}", "k", {"Metadata": {"a": "b"}, "ContentType": "a/b"}),
}


@pytest.mark.parametrize("case", _UPLOADS)
def test_what_is_special_about_an_upload_is_as_in_boto3(
    case: str, own: Any, judge: Any, bucket: str, folder: Path
) -> None:
    path, name, key, *extra = _UPLOADS[case]
    path = path.format(folder) if isinstance(path, str) else path
    arguments = (path, name.format(bucket), key, *extra)
    expected = _outcome(lambda: judge.upload_file(*arguments))
    put = judge.head_object(Bucket=bucket, Key="k") if expected is None else None
    assert _outcome(lambda: own.upload_file(*arguments)) == expected
    if put is not None:
        again = judge.head_object(Bucket=bucket, Key="k")
        assert (again["Metadata"], again["ContentType"]) == (put["Metadata"], put["ContentType"])


# (bucket, key, file name, extra arguments)
_DOWNLOADS: dict[str, tuple[Any, ...]] = {
    "no object": ("{}", "none", "{}/new"),
    "no bucket": ("no-such-bucket", "k", "{}/new"),
    "an empty bucket": ("", "k", "{}/new"),
    "no key": ("{}", "", "{}/new"),
    "no folder": ("{}", "k", "{}/no/new"),
    "a file as folder": ("{}", "k", "{}/f/new"),
    "a folder": ("{}", "k", "{}/d"),
    "a link": ("{}", "k", "{}/link"),
    "a broken link": ("{}", "k", "{}/broken"),
    "a device": ("{}", "k", "/dev/null"),
    "bytes": ("{}", "k", b"f"),
    "an unknown argument": ("{}", "k", "{}/new", {"ContentType": "x"}),
    "another argument": ("{}", "k", "{}/new", {"RequestPayer": "requester"}),
}


@pytest.mark.parametrize("case", _DOWNLOADS)
def test_what_is_special_about_a_download_is_as_in_boto3(
    case: str, own: Any, judge: Any, bucket: str, tmp_path: Path
) -> None:
    put_all(judge, bucket, {"k": b"body"})
    name, key, path, *extra = _DOWNLOADS[case]
    found = []
    for client, below in ((judge, tmp_path / "boto3s"), (own, tmp_path / "ours")):
        write_all(below, {"f": b"old", "d/x": b""})
        (below / "link").symlink_to("f")
        (below / "broken").symlink_to("nowhere")
        file_name = path.format(below) if isinstance(path, str) else path
        outcome = _outcome(lambda c=client, f=file_name: c.download_file(name.format(bucket), key, f, *extra))  # type: ignore[misc]
        links = [each.name for each in below.iterdir() if each.is_symlink()]
        found.append((outcome, files_below(below), sorted(links)))
    assert found[1] == found[0]


@pytest.mark.needs("show that an object came in parts")
def test_a_callback_and_a_transfer_config_are_boto3s(own: Any, judge: Any, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(6 << 20))
    config, lock = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20), threading.Lock()
    seen: dict[str, int] = {"up": 0, "down": 0}

    def count(name: str) -> Callable[[int], None]:
        def counted(size: int) -> None:
            with lock:
                seen[name] += size

        return counted

    own.upload_file(str(tmp_path / "f"), bucket, "k", Callback=count("up"), Config=config)
    own.download_file(bucket, "k", str(tmp_path / "g"), Callback=count("down"), Config=config)
    assert seen == {"up": 6 << 20, "down": 6 << 20}
    assert judge.head_object(Bucket=bucket, Key="k")["ETag"].endswith('-2"'), "in two parts, as the config says"
    assert (tmp_path / "g").read_bytes() == bytes(6 << 20)


def test_a_refused_upload_is_boto3s_error_and_names_ours(own: Any, folder: Path) -> None:
    with pytest.raises(boto3.exceptions.S3UploadFailedError, match="NoSuchBucket") as caught:
        own.upload_file(folder / "f", "no-such-bucket", "k")
    assert _went_natively(own)
    assert any("PutObject" in note for note in getattr(caught.value.__cause__, "__notes__", []))


def test_a_body_that_stays_cut_is_boto3s_error(tmp_path: Path) -> None:
    with canned_server() as canned:
        headers = {"ETag": '"e"', "Content-Length": "10"}
        canned.answer = lambda method, path: Answer(200, b"123", headers, missing=7)
        server = Server("canned", canned.endpoint_url, "key", "secret")
        own = client_of("own", server).with_options(TransferOptions(max_attempts=2))
        found = []
        for client in (boto3_client(server), own):
            with pytest.raises(RetriesExceededError) as caught:
                client.download_file("bucket", "k", str(tmp_path / "f"))
            error: Any = caught.value
            found.append(type(error.last_exception).__name__)
        assert found[1] == "ResponseStreamingError"
        assert _went_natively(own)
        assert any(method == "GET" for method, _, _ in canned.requests), "it was the body that was cut"
    assert files_below(tmp_path) == {}


_OBJECT = {"ETag": '"e"', "Content-Length": "10"}
# What goes wrong: the answers to HEAD and to GET.
_BROKEN: dict[str, tuple[Answer, Answer]] = {
    "HEAD unanswered": (Answer(hangs="head"), Answer()),
    "GET unanswered": (Answer(200, b"", _OBJECT), Answer(hangs="head")),
    "a body that stops": (Answer(200, b"", _OBJECT), Answer(200, b"123", _OBJECT, hangs="body")),
    "a body that is cut": (Answer(200, b"", _OBJECT), Answer(200, b"123", _OBJECT, missing=7)),
    "HEAD reset": (Answer(reset=True), Answer()),
    "GET reset": (Answer(200, b"", _OBJECT), Answer(reset=True)),
}


@pytest.mark.parametrize("case", _BROKEN)
def test_a_download_that_breaks_off_is_boto3s_error(case: str, tmp_path: Path) -> None:
    head, get = _BROKEN[case]
    once = TransferConfig(num_download_attempts=1)
    with canned_server() as canned:
        canned.answer = lambda method, path: head if method == "HEAD" else get
        server = Server("canned", canned.endpoint_url, "key", "secret")
        retries: Any = {"total_max_attempts": 1, "mode": "legacy"}
        theirs = boto3_client(server, config=Config(read_timeout=0.3, retries=retries))
        ours = client_of("own", server).with_options(TransferOptions(max_attempts=1, read_timeout=0.3))
        with pytest.raises(Exception) as expected:  # noqa: PT011 - which one it is is what is compared
            theirs.download_file("bucket", "k", str(tmp_path / "f"), Config=once)
        asked = len(canned.requests)
        with pytest.raises(type(expected.value)) as caught:
            ours.download_file("bucket", "k", str(tmp_path / "f"))
        assert type(caught.value) is type(expected.value)
        assert [method for method, _, _ in canned.requests[asked:]] == [each for each, _, _ in canned.requests[:asked]]
        assert _went_natively(ours)
    assert files_below(tmp_path) == {}


def test_a_stubber_sees_them(own: Any, folder: Path) -> None:
    with Stubber(own) as stubber:
        stubber.add_response("put_object", {}, {"Bucket": "b", "Key": "k", "Body": ANY, "ChecksumAlgorithm": "CRC32"})
        own.upload_file(str(folder / "f"), "b", "k")
        stubber.assert_no_pending_responses()


@pytest.mark.parametrize("name", _NAMES)
def test_they_can_be_replaced_and_put_back(name: str, own: Any) -> None:
    with mock.patch.object(own, name) as fake:
        getattr(own, name)("a", "b", "c")
    fake.assert_called_once_with("a", "b", "c")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own, name, fake)
        assert getattr(own, name) is fake
    assert getattr(own, name).__func__ is getattr(Client, name)
    assert name not in vars(own), "a client that holds itself is freed late"
