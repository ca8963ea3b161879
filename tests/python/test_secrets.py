"""CONTRACT.md, "No secrets, ever": not in what is logged, shown, raised or pickled, whatever works or fails."""

from __future__ import annotations

import logging
import pickle
import shutil
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import botocore.session
import pytest
import s3bulk
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from s3bulk import Client, S3ClientConfig, TransferOptions, make_s3_client, with_options

from tests.python.canned_server import Answer, canned_server
from tests.python.certificates import self_signed
from tests.python.conftest import CALLS, REGION, Wrapper, boto3_client, new_bucket, put_all
from tests.servers import Server

_SECRET = "SECRET/of+these/tests"
_TOKEN = "TOKEN/of+these/tests=="
_NEEDLES = [
    *(form for text in (_SECRET, _TOKEN) for form in (text, quote(text, safe=""), repr(text.encode())[2:-1])),
    "Signature=",
    "Authorization:",
    "authorization:",
    "'Authorization'",
    "AWS4-HMAC-SHA256",
]
# What these write at DEBUG is boto3's, for whoever turns it on: signatures and tokens among it.
_BOTO3S = ("botocore", "boto3", "s3transfer", "urllib3", "moto")
_PACKAGE = str(Path(s3bulk.__file__).parent)
_KINDS = ("own", "own of the environment", "own of a session", "boto3", "wrapper")


@pytest.fixture(params=["works", "refused", "rejected", "reset", "certificate"])
def endpoint(request: pytest.FixtureRequest, moto: Server, refused_endpoint: str, tmp_path: Path) -> Iterator[str]:
    """Where calls end in the way that the name says."""
    if request.param in ("works", "refused"):
        yield moto.endpoint_url if request.param == "works" else refused_endpoint
        return
    with canned_server(self_signed(tmp_path) if request.param == "certificate" else None) as server:
        document = b"<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>"
        server.answer = lambda method, path: Answer(403, document, reset=request.param == "reset")
        yield server.endpoint_url


def _client(kind: str, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    if kind == "own":
        config = S3ClientConfig(endpoint, REGION, "auto", "key", _SECRET)
        return make_s3_client(config).with_options(TransferOptions(max_attempts=1))
    if kind == "own of the environment":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", _SECRET)
        monkeypatch.setenv("AWS_SESSION_TOKEN", _TOKEN)
        return make_s3_client(S3ClientConfig(endpoint, REGION)).with_options(TransferOptions(max_attempts=1))
    if kind == "own of a session":
        keys = {"access_key": "key", "secret_key": _SECRET, "token": _TOKEN, "expiry_time": "2999-01-01T00:00:00Z"}
        inner = botocore.session.get_session()
        given = RefreshableCredentials.create_from_metadata(keys, lambda: keys, "test")
        inner._credentials = given  # type: ignore[attr-defined] # as applications do
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3.session.Session(botocore_session=inner))
        return make_s3_client(S3ClientConfig(endpoint, REGION)).with_options(TransferOptions(max_attempts=1))
    once = Config(signature_version="s3v4", retries={"total_max_attempts": 1})
    server = Server("any", endpoint, "key", _SECRET)
    client = boto3_client(server, config=once, aws_session_token=_TOKEN)
    return with_options(client, TransferOptions(max_attempts=1)) if kind == "boto3" else Wrapper(client)


def _shown_of(client: Any) -> Iterator[str]:
    yield from (repr(client), str(client), f"{client}")
    if isinstance(client, Client):
        yield from (repr(client.config), str(client.config), repr(client.options), repr(vars(client)))
        half = client._boto3_half
        yield from (repr(half), repr(half._environment), repr(vars(half)))
        if client.config.secret_key is None:
            yield pickle.dumps(client).decode("latin-1")


def _shown_of_error(error: BaseException, ours: bool) -> Iterator[str]:
    yield from (str(error), repr(error), repr(getattr(error, "response", None)))
    yield from getattr(error, "__notes__", [])
    yield "".join(traceback.format_exception(error))
    # Errors that boto3 raises itself may hold the request, headers and all.
    if ours:
        yield from (repr(vars(error)), pickle.dumps(error).decode("latin-1"))
    for frame in traceback.TracebackException.from_exception(error, capture_locals=True).stack:
        # As a crash reporter would send it; of other packages' frames we are no master.
        if frame.filename.startswith(_PACKAGE):
            yield repr(frame.locals)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("kind", _KINDS)
def test_no_secret_is_shown(
    kind: str,
    endpoint: str,
    moto: Server,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    works = endpoint == moto.endpoint_url
    bucket = "any-bucket"
    if works:
        judge = boto3_client(moto)
        bucket = new_bucket(judge)
        put_all(judge, bucket, {"k": b"body", "p/f": b"body"})
    caplog.set_level(logging.DEBUG)
    client = _client(kind, endpoint, monkeypatch)
    shown = list(_shown_of(client))
    for call in CALLS.values():
        if works:
            shown.append(repr(call(client, bucket, folder)))
            _remove(folder / "new")
        else:
            with pytest.raises(Exception) as caught:  # noqa: PT011 - every error there is
                call(client, bucket, folder)
            shown += _shown_of_error(caught.value, kind.startswith("own"))
    if isinstance(client, Client):
        # Its methods report, and boto3's are there too.
        for method, arguments in (
            (client.upload_folder, (folder, bucket, "q")),
            (client.upload_file, (str(folder / "f"), bucket, "k")),
            (client.download_file, (bucket, "k", str(folder / "other"))),
        ):
            try:
                shown.append(repr(method(*arguments)))
            except Exception as error:
                shown += _shown_of_error(error, True)
        shown += _shown_of(client)
    records = [record for record in caplog.records if record.name.split(".")[0] not in _BOTO3S]
    assert any(record.name == "s3bulk" for record in records)
    for record in records:
        shown += [logging.Formatter().format(record), repr(record.args)]
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    found = [(needle, text) for text in shown for needle in _NEEDLES if needle in text]
    assert not found, found[:3]


def test_the_search_finds_what_it_looks_for(monkeypatch: pytest.MonkeyPatch, moto: Server) -> None:
    # The static keys of a config do go into a pickle, which has to make the client again.
    config = S3ClientConfig(moto.endpoint_url, REGION, "auto", "key", _SECRET)
    text = pickle.dumps(make_s3_client(config)).decode("latin-1")
    assert any(needle in text for needle in _NEEDLES)
