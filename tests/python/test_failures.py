"""CONTRACT.md, "Several files, one failure", and the report that a failed bulk call carries."""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from s3bulk import Report, TransferOptions, download_prefix_to_folder, logger, upload_folder

from tests.python.conftest import files_below, put_all, stored, write_all

_COUNT = 300


def _names(count: int = _COUNT) -> list[str]:
    return [f"{number:03}" for number in range(count)]


@pytest.fixture
def failing_upload(own: Any, tmp_path: Path) -> Any:
    """A client beside a folder whose files have no bucket to go to."""
    write_all(tmp_path, dict.fromkeys(_names(), b"x"))
    return own


def test_the_earliest_error_is_raised_and_every_file_is_accounted_for(failing_upload: Any, tmp_path: Path) -> None:
    with pytest.raises(ClientError) as caught:
        upload_folder(failing_upload, tmp_path, "no-such-bucket", "p")
    report: Report = caught.value.report  # type: ignore[attr-defined]
    assert isinstance(report, Report)
    failed = [name for name, _ in report.failed]
    assert failed
    assert failed == sorted(failed)
    assert any(f"key: {failed[0]}," in note for note in caught.value.__notes__)
    assert report.failed[0][1].response["Error"]["Code"] == "NoSuchBucket"  # type: ignore[attr-defined]
    assert sorted([*report.done, *failed, *report.not_begun]) == [f"p/{name}" for name in _names()]
    assert report.not_begun, "the first error stops the rest"


def test_the_error_says_how_many(failing_upload: Any, tmp_path: Path) -> None:
    with pytest.raises(ClientError) as caught:
        upload_folder(failing_upload, tmp_path, "no-such-bucket", "p")
    report: Report = caught.value.report  # type: ignore[attr-defined]
    notes = "\n".join(caught.value.__notes__)
    assert f"{len(report.done)} done, {len(report.failed)} failed, {len(report.not_begun)} not begun" in notes


def test_a_file_in_the_way_fails_alone(own: Any, bucket: str, judge: Any, tmp_path: Path) -> None:
    put_all(judge, bucket, {f"p/{name}": b"x" for name in _names()})
    (tmp_path / "150").mkdir()
    one_at_a_time = own.with_options(TransferOptions(max_concurrency=1))
    with pytest.raises(IsADirectoryError) as caught:
        download_prefix_to_folder(one_at_a_time, bucket, "p", tmp_path)
    report: Report = caught.value.report  # type: ignore[attr-defined]
    assert [name for name, _ in report.failed] == ["150"]
    # One or two may be under way already when the disk says no.
    assert report.done[:150] == _names()[:150]
    assert len(report.not_begun) > 100
    assert sorted([*report.done, "150", *report.not_begun]) == _names()
    assert files_below(tmp_path) == dict.fromkeys(report.done, b"x")


def test_what_was_done_stays_done_and_nothing_half_is_left(own: Any, bucket: str, judge: Any, tmp_path: Path) -> None:
    put_all(judge, bucket, {f"p/{name}": b"x" for name in _names()})
    (tmp_path / "010").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        download_prefix_to_folder(own, bucket, "p", tmp_path)
    report: Report = caught.value.report  # type: ignore[attr-defined]
    assert files_below(tmp_path) == dict.fromkeys(report.done, b"x")
    failed = [name for name, _ in report.failed]
    assert "010" in failed
    assert sorted([*report.done, *failed, *report.not_begun]) == _names(), "those in flight may have been cancelled"


def test_the_methods_report(own: Any, bucket: str, judge: Any, tmp_path: Path) -> None:
    write_all(tmp_path / "up", {"a": b"12", "b/c": b"345"})
    assert own.upload_folder(tmp_path / "up", bucket, "p") == Report(["p/a", "p/b/c"], [], [], 5)
    assert own.download_prefix(bucket, "p", tmp_path / "down") == Report(["a", "b/c"], [], [], 5)
    assert stored(judge, bucket) == {"p/a": b"12", "p/b/c": b"345"}


def test_an_error_with_a_report_pickles(own: Any, bucket: str, judge: Any, tmp_path: Path) -> None:
    put_all(judge, bucket, {"p/a": b"x"})
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        download_prefix_to_folder(own, bucket, "p", tmp_path)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (IsADirectoryError, str(caught.value))
    assert [name for name, _ in again.report.failed] == ["a"]


def test_an_error_of_boto3s_keeps_its_report_and_notes_from_process_to_process(
    failing_upload: Any, tmp_path: Path
) -> None:
    with pytest.raises(ClientError) as caught:
        upload_folder(failing_upload, tmp_path, "no-such-bucket", "p")
    error: Any = caught.value
    again: Any = error
    for _ in range(2):
        again = pickle.loads(pickle.dumps(again))
        assert (type(again), again.response, again.__notes__) == (ClientError, error.response, error.__notes__)
        assert [name for name, _ in again.report.failed] == [name for name, _ in error.report.failed]
        assert again.report.not_begun == error.report.not_begun
    assert copy.copy(error).report is error.report


def test_errors_of_boto3_that_are_not_ours_pickle_as_they_did(failing_upload: Any, tmp_path: Path) -> None:
    with pytest.raises(ClientError):
        upload_folder(failing_upload, tmp_path, "no-such-bucket", "p")
    other = ClientError({"Error": {"Code": "1"}}, "PutObject")
    assert b"s3bulk" not in pickle.dumps(other)
    assert pickle.loads(pickle.dumps(other)).response == other.response


def test_a_report_that_holds_the_error_that_carries_it_pickles(tmp_path: Path) -> None:
    write_all(tmp_path, {"f": b"x"})
    client = MagicMock()
    client.put_object.side_effect = EndpointConnectionError(endpoint_url="http://h")
    with pytest.raises(EndpointConnectionError) as caught:
        upload_folder(client, tmp_path, "b", "p")
    again: Any = pickle.loads(pickle.dumps(caught.value))
    assert again.report.failed == [("p/f", again)]
    assert str(again) == str(caught.value)


# A MagicMock is the third kind of client.


def test_plain_upload_stops_at_the_first_error(tmp_path: Path) -> None:
    write_all(tmp_path, dict.fromkeys(_names(5), b"xy"))
    client = MagicMock()
    error = RuntimeError("third")
    client.put_object.side_effect = [None, None, error]
    with pytest.raises(RuntimeError) as caught:
        upload_folder(client, tmp_path, "b", "p")
    assert caught.value is error
    report: Report = caught.value.report  # type: ignore[attr-defined]
    assert report == Report(["p/000", "p/001"], [("p/002", error)], ["p/003", "p/004"], 4)
    assert "s3bulk: 2 done, 1 failed, 2 not begun" in caught.value.__notes__[0]


def test_plain_download_stops_at_the_first_error(tmp_path: Path) -> None:
    client = MagicMock()
    client.get_paginator.return_value.paginate.return_value = [{"Contents": [{"Key": name} for name in "abc"]}]
    error = RuntimeError("second")

    def download_fileobj(**arguments: Any) -> None:
        arguments["Fileobj"].write(b"12")
        if arguments["Key"] == "b":
            raise error

    client.download_fileobj.side_effect = download_fileobj
    with pytest.raises(RuntimeError) as caught:
        download_prefix_to_folder(client, "bucket", "", tmp_path)
    assert caught.value.report == Report(["a"], [("b", error)], ["c"], 2)  # type: ignore[attr-defined]
    assert files_below(tmp_path) == {"a": b"12"}


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_what_interrupts_a_call_carries_the_report(
    own: Any, bucket: str, tmp_path: Path, interruption: type[BaseException]
) -> None:
    write_all(tmp_path, dict.fromkeys(_names(), b"x"))

    class Interrupting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise interruption

    handler, level = Interrupting(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        with pytest.raises(interruption) as caught:
            upload_folder(own, tmp_path, bucket, "p")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    report: Report = caught.value.report  # type: ignore[attr-defined]
    assert isinstance(report, Report)
    assert report.done, "the first message was of a file that was done"
    failed = [name for name, _ in report.failed]
    assert {*report.done, *failed, *report.not_begun} <= {f"p/{name}" for name in _names()}
    assert any(f"{len(report.done)} done" in note for note in caught.value.__notes__)


def test_a_listing_that_breaks_reports_the_bytes_that_were_done(tmp_path: Path) -> None:
    def pages(**_: Any) -> Iterator[dict[str, Any]]:
        yield {"Contents": [{"Key": "p/a"}, {"Key": "p/b"}]}
        raise ConnectionError("the second page")

    client = MagicMock()
    client.get_paginator.return_value.paginate.side_effect = pages
    client.download_fileobj.side_effect = lambda Bucket, Key, Fileobj: Fileobj.write(b"12345")
    with pytest.raises(ConnectionError) as caught:
        download_prefix_to_folder(client, "bucket", "p", tmp_path)
    report: Any = getattr(caught.value, "report", None)
    assert (report.done, report.bytes, report.failed) == (["a", "b"], 10, [])
