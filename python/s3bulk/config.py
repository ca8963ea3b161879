"""What a client is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

AddressingStyle = Literal["auto", "path", "virtual"]
"""How bucket names go into URLs, in botocore's words."""


@dataclass(frozen=True)
class S3ClientConfig:
    """Endpoint, region and credentials of a client. Frozen and hashable: it is the key of `make_s3_client`'s cache.

    Attributes:
        endpoint_url: Endpoint with scheme, `http://localhost:9000` for example. `None` means AWS's own for the region.
        region: Region that requests are signed for, `eu-central-1` for example. `None` means that of the environment or
            its profile, as in boto3, else `us-east-1`.
        addressing_style: `"path"`, `"virtual"` (bucket in the host name) or `"auto"`: botocore's rule, which is path
            style wherever an endpoint is given.
        access_key: Static access key; used only together with `secret_key`. Without the two the default chain is asked:
            environment, shared files, web identity, container, instance metadata.
        secret_key: Static secret key. It never stands in a repr.
    """

    endpoint_url: str
    region: str
    addressing_style: AddressingStyle = "auto"
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        """Everything but the secret key, and a password that somebody wrote into the endpoint."""
        endpoint = self.endpoint_url
        if "@" in (endpoint or ""):
            endpoint = "***@" + endpoint.rpartition("@")[2]
        return (
            f"{type(self).__name__}(endpoint_url={endpoint!r}, region={self.region!r}, "
            f"addressing_style={self.addressing_style!r}, access_key={self.access_key!r})"
        )
