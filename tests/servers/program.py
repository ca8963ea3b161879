"""A server that is one program on one port, and where its program is."""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.servers.ports import free_port_pairs
from tests.servers.process import ServerDied, server_process
from tests.servers.server import ACCESS_KEY, SECRET_KEY, Server

_READY_WITHIN = 60  # seconds; each of them takes 1 s on an idle machine
_STARTS = 3


def find_program(name: str) -> str | None:
    """The program of this Python environment, which need not be activated, else the one on the PATH."""
    return shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)


def program(name: str, package: str) -> str:
    """The path of a program, or an error that says where it comes from."""
    found = find_program(name)
    if found is None:
        raise FileNotFoundError(f"no `{name}` found: {package}")
    return found


@contextmanager
def program_server(
    name: str,
    directory: Path,
    command: Callable[[int], Sequence[str]],
    environment: Mapping[str, str],
    certificate: Path | None = None,
) -> Iterator[Server]:
    """Runs a program that serves S3 on one port of the loopback interface, until the block ends.

    Args:
        name: What the server is called.
        directory: An existing folder for its log; removing it is the caller's business.
        command: What to run, given the port.
        environment: Variables on top of this process's. Those that would configure a server or a client stay away.
        certificate: What a client has to trust, where the program speaks TLS.
    """
    foreign = ("AWS_", "S3_", "RCLONE_", "MINIO_", "VGW_", "ROOT_")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    with ExitStack() as running:
        # Between finding a free port and binding it another process may be quicker: then again with another port.
        for attempts_left in reversed(range(_STARTS)):
            (port,) = free_port_pairs(1)
            scheme = "http" if certificate is None else "https"
            server = Server(name, f"{scheme}://127.0.0.1:{port}", ACCESS_KEY, SECRET_KEY, certificate)
            starting = server_process(name, command(port), directory / "log", {**inherited, **environment})
            try:
                with ExitStack() as attempt:
                    process = attempt.enter_context(starting)
                    process.wait_until(partial(stores_an_object, server), _READY_WITHIN)
                    running.push(attempt.pop_all())
                break
            except ServerDied as error:
                if not attempts_left or "address already in use" not in str(error):
                    raise
        yield server


def stores_an_object(server: Server) -> bool:
    """Ready is when an object can be stored: health checks answer before that."""
    config = Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1})
    if server.certificate is not None:
        # Over https boto3 sends checksums behind bodies without a length, which not every server takes.
        config = config.merge(Config(request_checksum_calculation="when_required"))
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        verify=None if server.certificate is None else str(server.certificate),
        config=config,
    )
    try:
        with suppress(client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
            client.create_bucket(Bucket="readiness")
        client.put_object(Bucket="readiness", Key="object", Body=b"ready")
        client.delete_object(Bucket="readiness", Key="object")
        client.delete_bucket(Bucket="readiness")
    except (BotoCoreError, ClientError):
        return False
    finally:
        client.close()
    return True
