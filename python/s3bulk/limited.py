"""`with_options`: other limits for the transfers of any client."""

from __future__ import annotations

from typing import Any

from s3bulk._boto3_client import is_boto3_client
from s3bulk.client import is_own
from s3bulk.options import TransferOptions


class LimitedClient:
    """A caller's client with the limits of its transfers; everything else of it is the client's own."""

    _client: Any
    _options: TransferOptions

    def __init__(self, client: Any, options: TransferOptions) -> None:
        """Keeps both; `with_options` is what applications call."""
        object.__setattr__(self, "_client", client)
        object.__setattr__(self, "_options", options)

    @property
    def options(self) -> TransferOptions:
        """The limits of its transfers."""
        return self._options

    def __getattr__(self, name: str) -> Any:
        """Asks the client."""
        # Only what the class itself has not. Interpreter, debugger and copy ask for names with "_" in passing.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._client, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets it on the client."""
        setattr(self._client, name, value)

    def __delattr__(self, name: str) -> None:
        """Deletes it from the client."""
        delattr(self._client, name)

    def __dir__(self) -> list[str]:
        """Its own names and those of the client."""
        return sorted({*object.__dir__(self), *(name for name in dir(self._client) if not name.startswith("_"))})

    def __repr__(self) -> str:
        """The client and its options."""
        return f"<s3bulk.LimitedClient {self._client!r} {self._options!r}>"


def with_options(s3_client: Any, options: TransferOptions) -> Any:
    """The same client, connections and credentials, with other limits for the transfers made with what is returned.

    A boto3 client, or anything else with its methods, is taken as it is and not changed. Attempts, timeouts and payload
    signing that the options leave at their defaults are those that a boto3 client was made with. Where transfers are
    plain calls on a client, one at a time, the limits have nothing to act on, but for `durable`.

    Args:
        s3_client: Client of `make_s3_client`, a boto3 client, or anything with its methods.
        options: The limits.

    Returns:
        A client for the functions of this package, which is in everything else the client given.

    Raises:
        TypeError: `options` is no `TransferOptions`, or the client is asynchronous, or a resource.
    """
    if is_own(s3_client):
        return s3_client.with_options(options)
    if not isinstance(options, TransferOptions):
        raise TypeError(f"options must be TransferOptions, not {type(options).__name__}")
    client = unlimited(s3_client)
    is_boto3_client(client)  # a TypeError for what can't be called
    return LimitedClient(client, options)


def unlimited(s3_client: Any) -> Any:
    """The client itself, where this is one with limits."""
    return s3_client._client if issubclass(type(s3_client), LimitedClient) else s3_client


def is_durable(s3_client: Any) -> bool:
    """Whether its downloads wait for the disk."""
    ours = is_own(s3_client) or issubclass(type(s3_client), LimitedClient)
    return ours and bool(s3_client.options.durable)
