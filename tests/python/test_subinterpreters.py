"""Another interpreter in the same process is refused clearly, and harms nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.python.conftest import boto3_client, new_bucket, put_all
from tests.servers import FaultServer

# The module of them has had two names; neither is public.
_PROGRAM = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
from s3bulk import S3ClientConfig, download_prefix_to_folder, make_s3_client
endpoint, bucket, target = sys.argv[1:]
client = make_s3_client(S3ClientConfig(endpoint, "us-east-1", "auto", "key", "secret"))
download_prefix_to_folder(client, bucket, "p", target)
other = interpreters.create()
tried = interpreters.run_string(other, '''
try:
    import s3bulk
except ImportError as error:
    import os
    os.write(1, b"refused: %s" % str(error).encode() + bytes([10]))
''')
assert not tried, tried
interpreters.destroy(other)
print(download_prefix_to_folder(client, bucket, "p", target))
"""


def test_another_interpreter_is_refused_clearly_and_the_first_works_on(scripted: FaultServer, tmp_path: Path) -> None:
    judge = boto3_client(scripted.server)
    bucket = new_bucket(judge)
    put_all(judge, bucket, {"p/a": b"1"})
    command = [sys.executable, "-c", _PROGRAM, scripted.server.endpoint_url, bucket, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=40)
    assert (done.returncode, done.stderr) == (0, "")
    refused, worked_on = done.stdout.splitlines()
    assert refused.startswith("refused: ")
    assert "interpreter" in refused
    assert worked_on == "['a']"
