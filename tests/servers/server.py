"""Where a running S3 server is and how to sign for it."""

from dataclasses import dataclass
from pathlib import Path

ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key"


@dataclass(frozen=True)
class Server:
    """A running S3 server on this machine.

    Attributes:
        name: "moto", "seaweedfs", "rclone", "versitygw" or "minio": for test ids, and for `tests.servers.lacks`.
        endpoint_url: `http://127.0.0.1:<port>`, or `https`, without a slash at the end.
        access_key: The access key id that the server knows.
        secret_key: Its secret. moto takes any signature, the others check it.
        certificate: With `https`: the PEM file that a client has to trust.
    """

    name: str
    endpoint_url: str
    access_key: str
    secret_key: str
    certificate: Path | None = None
