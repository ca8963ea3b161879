"""CONTRACT.md, "Public names": what can be imported, how it is called, what importing it costs."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import os
import subprocess
import sys
import time
import typing
from pathlib import Path
from typing import Any

import pytest
import s3bulk
from s3bulk import S3ClientConfig

# Issue 3, for all that `import s3bulk` brings in. Five sixths of it are the standard library's: a dataclass, a logger,
# `Path` and `Any` in annotations are the contract's.
_IMPORT_MILLISECONDS = 30
# What the bare interpreter takes where that was measured. On a slower machine both take longer.
_BARE_MILLISECONDS = 8


def _shape(function: Any) -> tuple[list[tuple[str, Any, Any]], Any]:
    signature = inspect.signature(function, eval_str=True)
    parameters = [(name, each.annotation, each.default) for name, each in signature.parameters.items()]
    assert all(each.kind is each.POSITIONAL_OR_KEYWORD for each in signature.parameters.values())
    return parameters, signature.return_annotation


_REQUIRED = inspect.Parameter.empty
_CLIENT = ("s3_client", Any, _REQUIRED)
_BUCKET = ("bucket", str, _REQUIRED)
_KEY = ("key", str, _REQUIRED)
_PREFIX = ("key_prefix", str, _REQUIRED)
_PATH = ("local_path", str | Path, _REQUIRED)
_DIRECTORY = ("local_dir", str | Path, _REQUIRED)


@pytest.mark.parametrize(
    ("name", "parameters", "returns"),
    [
        ("make_s3_client", [("config", S3ClientConfig, _REQUIRED)], Any),
        ("ensure_bucket_exists", [_CLIENT, _BUCKET, ("region", str, _REQUIRED)], None),
        ("upload_file", [_CLIENT, _PATH, _BUCKET, _KEY, ("content_type", str | None, None)], None),
        ("download_file_to_path", [_CLIENT, _BUCKET, _KEY, _PATH], None),
        ("upload_folder", [_CLIENT, _DIRECTORY, _BUCKET, _PREFIX], list[str]),
        ("download_prefix_to_folder", [_CLIENT, _BUCKET, _PREFIX, _DIRECTORY], list[str]),
    ],
)
def test_signatures_are_those_of_the_contract(name: str, parameters: list[Any], returns: Any) -> None:
    assert _shape(getattr(s3bulk, name)) == (parameters, returns)


def test_the_logger_is_named_s3bulk() -> None:
    assert isinstance(s3bulk.logger, logging.Logger)
    assert s3bulk.logger.name == "s3bulk"


def test_addressing_style_is_the_literal() -> None:
    assert s3bulk.AddressingStyle == typing.Literal["auto", "path", "virtual"]


def test_the_config_has_the_fields_of_the_contract() -> None:
    hints = typing.get_type_hints(S3ClientConfig)
    fields = [(field.name, hints[field.name], field.default) for field in dataclasses.fields(S3ClientConfig)]
    assert fields == [
        ("endpoint_url", str, dataclasses.MISSING),
        ("region", str, dataclasses.MISSING),
        ("addressing_style", s3bulk.AddressingStyle, "auto"),
        ("access_key", str | None, None),
        ("secret_key", str | None, None),
    ]


def test_a_config_is_frozen_and_hashable() -> None:
    config = S3ClientConfig("http://h", "r")
    assert hash(config) == hash(S3ClientConfig(endpoint_url="http://h", region="r"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.region = "other"  # type: ignore[misc]


def test_everything_in_all_can_be_imported() -> None:
    for name in s3bulk.__all__:
        assert getattr(s3bulk, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        s3bulk.no_such_name  # noqa: B018


def _run(program: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def test_importing_the_package_imports_neither_boto3_nor_what_is_slow() -> None:
    slow = ("boto3", "botocore", "s3transfer", "urllib3", "asyncio", "socket", "ssl", "json", "mimetypes", "email")
    program = f"import sys, s3bulk; print([name for name in {slow!r} if name in sys.modules])"
    assert _run(program).strip() == "[]"


def _processor_milliseconds(program: str) -> float:
    """What a fresh interpreter takes to run a program; on a busy machine a clock would count the others' work too."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return (usage.ru_utime + usage.ru_stime) * 1000


@pytest.mark.timeout(120)
def test_importing_the_package_is_quick() -> None:
    _run("import s3bulk")  # writes the byte code
    bare, whole = [], []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        bare.append(_processor_milliseconds("pass"))
        whole.append(_processor_milliseconds("import s3bulk"))
        # The least of each: who shares the machine and its caches can only make it longer.
        if len(whole) >= 5 and min(whole) - min(bare) < _allowed(min(bare)):
            break
    assert min(whole) - min(bare) < _allowed(min(bare))


def _allowed(bare: float) -> float:
    return _IMPORT_MILLISECONDS * max(1.0, bare / _BARE_MILLISECONDS)


def test_neither_a_client_nor_a_working_transfer_imports_boto3(moto: Any, moto_bucket: str, tmp_path: Path) -> None:
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "a").write_bytes(b"body")
    program = f"""
import sys
from s3bulk import S3ClientConfig, download_prefix_to_folder, ensure_bucket_exists, make_s3_client, upload_folder
client = make_s3_client(S3ClientConfig({moto.endpoint_url!r}, "us-east-1", "auto", "key", "secret"))
ensure_bucket_exists(client, {moto_bucket!r}, "us-east-1")
assert upload_folder(client, {str(tmp_path / "up")!r}, {moto_bucket!r}, "p") == ["p/a"]
assert download_prefix_to_folder(client, {moto_bucket!r}, "p", {str(tmp_path / "down")!r}) == ["a"]
print([name for name in sys.modules if name.startswith("boto")])
"""
    assert _run(program).strip() == "[]"
    assert (tmp_path / "down" / "a").read_bytes() == b"body"


def test_boto3_comes_in_with_the_first_error_and_not_before(moto: Any, moto_bucket: str, folder: Path) -> None:
    program = f"""
import sys
from s3bulk import (
    S3ClientConfig, TransferOptions, download_file_to_path, download_prefix_to_folder, ensure_bucket_exists,
    make_s3_client, upload_file, upload_folder,
)
def imported():
    return [name for name in sys.modules if name.startswith(("boto", "s3transfer", "urllib3"))]
config = S3ClientConfig({moto.endpoint_url!r}, "us-east-1", "auto", "key", "secret")
client, bucket, folder = make_s3_client(config), {moto_bucket!r}, {str(folder)!r}
for call in (
    lambda: ensure_bucket_exists(client, bucket, "us-east-1"),
    lambda: upload_file(client, folder + "/f", bucket, "k"),
    lambda: download_file_to_path(client, bucket, "k", folder + "/g"),
    lambda: upload_folder(client, folder, bucket, "p"),
    lambda: download_prefix_to_folder(client, bucket, "p", folder + "/down"),
    lambda: client.upload_file(folder + "/f", bucket, "k"),
    lambda: client.download_file(bucket, "k", folder + "/g"),
    lambda: make_s3_client(config).with_options(TransferOptions()).upload_folder(folder, bucket, "p"),
):
    call()
    assert imported() == [], (call, imported())
try:
    upload_file(client, folder + "/f", "no-such-bucket", "k")
except Exception as error:
    assert "botocore.exceptions" in sys.modules
    from botocore.exceptions import ClientError
    assert isinstance(error, ClientError), error
    print(error.response["Error"]["Code"])
"""
    assert _run(program).strip() == "NoSuchBucket"


def test_nothing_with_an_underscore_makes_the_boto3_half() -> None:
    program = """
import sys, copy, pickle
from s3bulk import S3ClientConfig, make_s3_client
client = make_s3_client(S3ClientConfig("http://127.0.0.1:1", "us-east-1", "auto", "key", "secret"))
assert not hasattr(client, "__array__") and not hasattr(client, "_ipython_display_")
copy.copy(client), copy.deepcopy(client), pickle.dumps(client), repr(client), hash(client), client == client
print("botocore" in sys.modules)
"""
    assert _run(program).strip() == "False"
