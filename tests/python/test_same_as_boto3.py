"""The same results as a loop over boto3: generated trees and keys go through both, and nothing differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import s3bulk
from botocore.exceptions import ClientError

from tests.python import boto3_reference
from tests.python.conftest import boto3_client, client_of, files_below, new_bucket, put_all
from tests.python.generated_trees import body_of, grow, names_of
from tests.servers import Server

_PREFIXES = ("", "p", "/p/", "p/q r+s", "//p//")
_SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.large) for seed in range(1, 8))]


def _kept(judge: Any, bucket: str) -> dict[str, tuple[bytes, str]]:
    """Bytes and content type of each object."""
    pages = judge.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    answers = {key: judge.get_object(Bucket=bucket, Key=key) for key in keys}
    return {key: (answer["Body"].read(), answer["ContentType"]) for key, answer in answers.items()}


def _outcome(call: Callable[[], Any]) -> tuple[Any, ...]:
    """What a call returns or raises, as a caller sees it."""
    try:
        return ("returned", call())
    except ClientError as error:
        return (type(error).__name__, error.response["Error"]["Code"], error.operation_name)
    except Exception as error:
        return (type(error).__name__, str(error))


@pytest.mark.parametrize("seed", _SEEDS)
def test_a_folder_goes_up_as_with_boto3(client: Any, judge: Any, tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    tree = tmp_path / "tree"
    grow(tree, random, 25)
    for prefix in random.sample(_PREFIXES, 2):
        expected, bucket = new_bucket(judge), new_bucket(judge)
        theirs = boto3_reference.upload_folder(judge, tree, expected, prefix)
        assert len(theirs) > 10
        assert s3bulk.upload_folder(client, tree, bucket, prefix) == theirs
        assert _kept(judge, bucket) == _kept(judge, expected)


@pytest.mark.parametrize("seed", _SEEDS)
def test_a_prefix_comes_down_as_with_boto3(client: Any, judge: Any, tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    bucket = new_bucket(judge)
    names = names_of(random, 25)
    beside = {f"{prefix.strip('/')}x/beside": b"beside" for prefix in _PREFIXES}
    for number, prefix in enumerate(random.sample(_PREFIXES, 2)):
        below = prefix.strip("/")
        objects = {f"{below}/{name}" if below else name: body_of(random) for name in names}
        folders = {f"{below}/of its own/" if below else "of its own/": b""}
        put_all(judge, bucket, objects | folders | beside)
        expected, target = tmp_path / f"expected{number}", tmp_path / f"target{number}"
        theirs = boto3_reference.download_prefix_to_folder(judge, bucket, prefix, expected)
        assert len(theirs) > 10
        assert s3bulk.download_prefix_to_folder(client, bucket, prefix, target) == theirs
        assert files_below(target) == files_below(expected)
        assert sorted(target.rglob("*")) == [
            target / path.relative_to(expected) for path in sorted(expected.rglob("*"))
        ]


def test_what_goes_wrong_goes_wrong_as_with_boto3(client: Any, judge: Any, bucket: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    grow(tree, Random(0), 5)
    new = tmp_path / "new"
    for function, arguments in (
        ("upload_folder", (tmp_path / "missing", bucket, "p")),
        ("upload_folder", (tree / "link2.txt", bucket, "p")),
        ("upload_folder", (tree, "no-such-bucket", "p")),
        ("upload_folder", (tree, "No Bucket", "p")),
        ("download_prefix_to_folder", ("no-such-bucket", "p", new)),
        ("download_prefix_to_folder", ("No Bucket", "p", new)),
        ("download_prefix_to_folder", (bucket, "nothing", new)),
    ):
        theirs = _outcome(lambda: getattr(boto3_reference, function)(judge, *arguments))  # noqa: B023
        ours = _outcome(lambda: getattr(s3bulk, function)(client, *arguments))  # noqa: B023
        assert ours == theirs, function


def test_a_key_that_leads_outside_is_refused_as_with_boto3(moto: Server, kind: str, tmp_path: Path) -> None:
    judge, client = boto3_client(moto), client_of(kind, moto)
    for key in ("p/../x", "p//x", "p/a/../../x", "p/."):
        bucket = new_bucket(judge)
        put_all(judge, bucket, {"p/a": b"a", key: b"x"})
        theirs = _outcome(lambda: boto3_reference.download_prefix_to_folder(judge, bucket, "p", tmp_path / "theirs"))  # noqa: B023
        ours = _outcome(lambda: s3bulk.download_prefix_to_folder(client, bucket, "p", tmp_path / "ours"))  # noqa: B023
        assert ours == theirs
        assert ours[0] == "ValueError"
