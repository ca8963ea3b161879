"""CONTRACT.md, "Logging": which records there are, on which thread, and that no secret is in one."""

from __future__ import annotations

import logging
import pickle
import threading
import traceback
from pathlib import Path
from typing import Any

import pytest
import s3bulk
from s3bulk import TransferOptions, download_file_to_path, download_prefix_to_folder, upload_file, upload_folder

from tests.python.conftest import CALLS, client_of, config_of, write_all
from tests.servers import Server


def _messages(caplog: pytest.LogCaptureFixture, level: str) -> list[str]:
    return [each.getMessage() for each in caplog.records if (each.levelname, each.name) == (level, "s3bulk")]


def test_each_file_and_each_finished_folder_is_a_debug_record(
    client: Any, bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_all(tmp_path / "up", {"a": b"1", "b/c": b"2"})
    caplog.set_level(logging.DEBUG, "s3bulk")
    upload_folder(client, tmp_path / "up", bucket, "p")
    messages = _messages(caplog, "DEBUG")
    assert len(messages) == 3
    assert all(any(key in message for message in messages[:2]) for key in ("p/a", "p/b/c"))
    assert messages[2].startswith("Uploaded 2 file(s) ")
    caplog.clear()
    download_prefix_to_folder(client, bucket, "p", tmp_path / "down")
    messages = _messages(caplog, "DEBUG")
    assert len(messages) == 3
    assert all(any(key in message for message in messages[:2]) for key in ("p/a", "p/b/c"))
    assert messages[2].startswith("Downloaded 2 file(s) ")


def test_a_single_file_is_a_debug_record(
    client: Any, bucket: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "s3bulk")
    upload_file(client, folder / "f", bucket, "k")
    download_file_to_path(client, bucket, "k", folder / "g")
    up, down = _messages(caplog, "DEBUG")
    assert str(folder / "f") in up
    assert str(folder / "g") in down
    assert all(f"s3://{bucket}/k" in message for message in (up, down))


def test_no_record_is_built_when_its_level_is_off(
    client: Any, bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(tmp_path / "up", {"a": b"1", "b": b"2"})
    caplog.set_level(logging.INFO, "s3bulk")
    made: list[str] = []
    monkeypatch.setattr(s3bulk.logger, "makeRecord", lambda *arguments, **named: made.append(str(arguments)))
    upload_folder(client, tmp_path / "up", bucket, "p")
    download_prefix_to_folder(client, bucket, "p", tmp_path / "down")
    assert made == []


def test_records_come_from_the_callers_thread(
    own: Any, bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_all(tmp_path, {f"{number}": b"x" for number in range(50)})
    caplog.set_level(logging.DEBUG, "s3bulk")
    upload_folder(own, tmp_path, bucket, "p")
    assert {record.thread for record in caplog.records} == {threading.get_ident()}
    assert len(caplog.records) == 51


def test_an_error_of_a_handler_reaches_the_caller(own: Any, bucket: str, folder: Path) -> None:
    class Full(Exception):
        pass

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise Full

    handler = Handler()
    s3bulk.logger.addHandler(handler)
    s3bulk.logger.setLevel(logging.DEBUG)
    try:
        with pytest.raises(Full):
            upload_folder(own, folder, bucket, "p")
    finally:
        s3bulk.logger.removeHandler(handler)
        s3bulk.logger.setLevel(logging.NOTSET)


def test_no_secret_is_logged_shown_raised_or_pickled(
    seaweedfs: Server, kind: str, folder: Path, caplog: pytest.LogCaptureFixture, refused_endpoint: str
) -> None:
    secret = "SECRET/of+these~tests"
    caplog.set_level(logging.DEBUG)
    logging.getLogger("botocore").setLevel(logging.WARNING)  # what boto3 logs is boto3's
    shown: list[str] = []
    for endpoint in (seaweedfs.endpoint_url, refused_endpoint):
        server = Server("any", endpoint, seaweedfs.access_key, secret)
        client = client_of(kind, server)
        if kind == "own":
            client = client.with_options(TransferOptions(max_attempts=1))
        elif endpoint == refused_endpoint:
            continue
        shown += [repr(client), str(client), repr(config_of(server))]
        for call in CALLS.values():
            with pytest.raises(Exception) as caught:  # noqa: PT011
                call(client, "any-bucket", folder)
            shown.append("".join(traceback.format_exception(caught.value)))
            shown.append(repr(getattr(caught.value, "response", None)))
            shown.append(pickle.dumps(caught.value).decode("latin-1"))
    shown += [record.getMessage() for record in caplog.records]
    assert len(shown) > 20
    for text in shown:
        assert secret not in text
        assert "Signature=" not in text
