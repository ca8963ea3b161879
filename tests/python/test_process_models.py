"""Fork, spawn, threads and the end of a process: transfers are whole, nothing hangs, nothing is left behind."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.python.conftest import boto3_client, new_bucket, put_all, write_all
from tests.python.process_models import MODELS, ONCE_IN_A_PROCESS
from tests.servers import FaultServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks in every way there is")

# `make test-all` plays each of them a hundred times.
_ROUNDS = int(os.environ.get("S3BULK_MATRIX", "1"))
# With spawn a round takes three seconds; what hangs shows itself sooner (`watch` of the models).
_SECONDS = 20 + 10 * _ROUNDS
_ROOT = Path(__file__).parents[2]

# An exit handler that is registered before the package is imported runs after the package's own.
_PROGRAM = """
import atexit, json, sys
words = []
atexit.register(lambda: [say() for say in words])
from tests.python import process_models
process_models.last_words = words
process_models.main(**json.loads(sys.argv[1]))
"""


@pytest.fixture
def case(scripted: FaultServer, tmp_path: Path) -> dict[str, Any]:
    """What a program transfers, and where."""
    judge = boto3_client(scripted.server)
    bucket = new_bucket(judge)
    files = {f"{number % 3}/{number}": random.Random(number).randbytes(3_000) for number in range(12)}
    files["parts"] = random.Random(99).randbytes((5 << 20) + 1)
    source = write_all(tmp_path / "source", files)
    put_all(judge, bucket, {f"p/{name}": body for name, body in files.items()})
    (tmp_path / "folder").mkdir()
    where = {"endpoint": scripted.server.endpoint_url, "bucket": bucket}
    return {**where, "source": str(source), "folder": str(tmp_path / "folder")}


def _play(model: str, rounds: int, case: dict[str, Any]) -> str:
    arguments = json.dumps({"model": model, "rounds": rounds, **case})
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _PROGRAM, arguments]
    # A program of which a child hangs would keep the pipe open: the limit is for that.
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=_SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.timeout(_SECONDS + 10)
@pytest.mark.parametrize("model", MODELS)
def test_transfers_are_whole_in_every_process_model(scripted: FaultServer, case: dict[str, Any], model: str) -> None:
    assert _play(model, _ROUNDS, case) == f"{_ROUNDS} rounds\n"
    scripted.wait_until("no upload is left", lambda stats: stats["uploads_open"] == 0)
    # A worker that was killed leaves the whole files of its last load, and no other.
    assert model == "loader" or list(Path(case["folder"]).iterdir()) == []


@pytest.mark.timeout(_SECONDS + 10)
@pytest.mark.parametrize("model", ONCE_IN_A_PROCESS)
def test_transfers_are_whole_or_cleaned_up_when_a_process_begins_and_ends(
    scripted: FaultServer, case: dict[str, Any], model: str
) -> None:
    for _ in range(_ROUNDS):
        said = _play(model, 1, case)
        assert said == ("whole\n" if "exit" in model and "daemon" not in model else "")
        scripted.wait_until("no upload is left", lambda stats: stats["uploads_open"] == 0)
    for path in Path(case["folder"]).rglob("*"):
        assert not path.name.startswith(".s3bulk"), "a temporary file is left"
