"""Where a running S3 server is and how to sign for it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    """A running S3 server on this machine.

    Attributes:
        name: "moto" or "seaweedfs", for test ids and for the few promises that one of them cannot show.
        endpoint_url: `http://127.0.0.1:<port>`, without a slash at the end.
        access_key: The access key id that the server knows.
        secret_key: Its secret. moto takes any signature, SeaweedFS checks it.
    """

    name: str
    endpoint_url: str
    access_key: str
    secret_key: str
