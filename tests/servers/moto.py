"""moto's S3 server, in a process of its own.

In this process it would share our interpreter lock, and a call of ours that forgot to release it would hang instead of
failing.

moto stores any key as it is, so hostile keys are tested here. It takes every signature and every wrong checksum, so
neither is. It closes the connection after each answer: werkzeug sends `Connection: close` whatever the request says.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import server_process
from tests.servers.server import ACCESS_KEY, SECRET_KEY, Server

_PROGRAM = Path(__file__).with_name("moto_process.py")
_READY_WITHIN = 60  # seconds; importing moto takes 1 to 2 s on an idle machine


@contextmanager
def moto_server() -> Iterator[Server]:
    """Serves S3 on a free port of the loopback interface, empty at first, everything in memory."""
    with tempfile.TemporaryDirectory(prefix="moto-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        port_file = directory / "port"
        # -I: neither PYTHONPATH nor the folder of the program, whose `moto.py` would hide the real one.
        command = [sys.executable, "-I", str(_PROGRAM), str(port_file)]
        # moto makes boto3 clients of its own for some operations; they must never find real credentials.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        with server_process("moto", command, directory / "log", environment) as process:
            process.wait_until(port_file.exists, _READY_WITHIN)
            yield Server("moto", f"http://127.0.0.1:{port_file.read_text()}", ACCESS_KEY, SECRET_KEY)
