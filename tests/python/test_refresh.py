"""CONTRACT.md, "Credentials": refreshed while a transfer runs, and never used after their end."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.identities import Authority, authority, front
from tests.identities.authority import ROLE

_LANES = 4
_SECONDS_EACH = 0.04

# One call: the client is not asked in between.
_PROGRAM = f"""
import sys
from s3bulk import S3ClientConfig, TransferOptions, make_s3_client

endpoint, folder = sys.argv[1:]
client = make_s3_client(S3ClientConfig(endpoint, "us-east-1"))
report = client.with_options(TransferOptions(max_concurrency={_LANES})).upload_folder(folder, "bucket", "p")
print(len(report.done), len(report.failed), len(report.not_begun))
"""


def _environments(services: Authority, folder: Path) -> dict[str, dict[str, str]]:
    (folder / "web-token").write_text(services.web_token)
    (folder / "container-token").write_text(services.container_token)
    return {
        "metadata": {"AWS_EC2_METADATA_SERVICE_ENDPOINT": services.url, "AWS_EC2_METADATA_DISABLED": "false"},
        "container": {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": services.container_url,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(folder / "container-token"),
        },
        "web": {
            "AWS_ENDPOINT_URL_STS": services.url,
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(folder / "web-token"),
            "AWS_ROLE_ARN": ROLE,
        },
    }


@pytest.mark.parametrize(
    ("lifetime", "seconds"),
    [
        pytest.param(2, 5, id="seconds"),
        pytest.param(20, 90, marks=[pytest.mark.large, pytest.mark.timeout(300)], id="a minute and a half"),
    ],
)
def test_a_transfer_outlives_its_credentials_and_never_sends_old_ones(
    lifetime: int, seconds: int, tmp_path: Path
) -> None:
    files = int(seconds / _SECONDS_EACH * _LANES)
    (tmp_path / "folder").mkdir()
    for number in range(files):
        (tmp_path / "folder" / f"{number:05}").write_bytes(b"%d" % number)
    with ExitStack() as running:
        services = running.enter_context(authority(lifetime))
        s3 = running.enter_context(front(services.ring, _SECONDS_EACH))
        # All sources at once: what takes time is the waiting.
        transfers = {
            source: running.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _PROGRAM, s3.url, str(tmp_path / "folder")],
                    env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment},
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for source, environment in _environments(services, tmp_path).items()
        }
        found = {source: transfer.communicate()[0] for source, transfer in transfers.items()}
    assert found == dict.fromkeys(transfers, f"{files} 0 0\n")
    assert not s3.refused
    assert len(s3.requests) == files * len(transfers)
    for source in transfers:
        handed_out = services.ring.of(source)
        used = {request.access_key for request in s3.requests if (request.access_key or "").startswith(f"{source}-")}
        # It took that long: no set of keys could have lasted, and most were needed.
        assert len(used) >= math.ceil(seconds / (lifetime + 1)), source
        # Not a look-up for each request (PITFALLS 2.8): one in time for each set of keys.
        assert len(handed_out) <= len(used) + 1, source
