"""MinIO: a Go program that `make servers` builds.

It checks signatures and checksums and keeps connections alive. It refuses keys with `//` or dot segments, and a key
beside one that it is a folder of.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.ports import DISTANCE
from tests.servers.program import program, program_server
from tests.servers.server import ACCESS_KEY, SECRET_KEY, Server


@contextmanager
def minio_server(directory: Path) -> Iterator[Server]:
    """Serves S3 on a free port of the loopback interface, empty at first, with everything below `directory`."""
    minio = program("minio", "make servers")

    def command(port: int) -> list[str]:
        console = port + DISTANCE  # looked at together with the port: both are free
        return [
            minio,
            "server",
            f"--address=127.0.0.1:{port}",
            f"--console-address=127.0.0.1:{console}",
            f"--config-dir={directory / 'config'}",
            str(directory / "data"),
        ]

    environment = {
        "MINIO_ROOT_USER": ACCESS_KEY,
        "MINIO_ROOT_PASSWORD": SECRET_KEY,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",  # no calls home
        "MINIO_CALLHOME_ENABLE": "off",
    }
    with program_server("minio", directory, command, environment) as server:
        yield server
