"""Versity's S3 gateway over a folder: a Go program that `make servers` builds.

It checks signatures and checksums and keeps connections alive. A key is a path of the folder, as in rclone's server,
but one that ends in a slash can be stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.program import program, program_server
from tests.servers.server import ACCESS_KEY, SECRET_KEY, Server


@contextmanager
def versitygw_server(directory: Path) -> Iterator[Server]:
    """Serves S3 on a free port of the loopback interface, empty at first, with everything below `directory`."""
    data, metadata = directory / "data", directory / "metadata"
    for folder in (data, metadata):
        folder.mkdir(exist_ok=True)
    versitygw = program("versitygw", "make servers")

    def command(port: int) -> list[str]:
        # Metadata in files of its own: a folder for tests need not be on a file system with extended attributes.
        return [versitygw, f"--port=127.0.0.1:{port}", "posix", f"--sidecar={metadata}", str(data)]

    keys = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    with program_server("versitygw", directory, command, keys) as server:
        yield server
