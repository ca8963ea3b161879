"""The boto3 client inside our own one: made when something that is not ours is asked of it."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from s3bulk._interception import is_boto3_factory_replaced, is_moto_on, is_untouched

if TYPE_CHECKING:
    from s3bulk._environment import Environment
    from s3bulk.config import S3ClientConfig


class Boto3Half:
    """Holds the boto3 client of a config; shared by all clients that differ in their options only."""

    def __init__(self, config: S3ClientConfig, environment: Environment) -> None:
        self._config = config
        self._environment = environment
        self._client: Any = None
        self._lock = threading.RLock()

    def get(self) -> Any:
        """The boto3 client, made now if need be."""
        if self._client is None:
            # Sessions of boto3 are not documented as thread-safe.
            with self._lock:
                if self._client is None:
                    self._client = self._make()
        return self._client

    def in_the_way(self) -> Any:
        """The boto3 client, where something sits in its path that the native half can't see; else `None`."""
        if is_moto_on():
            return self.get()
        client = self._client
        return None if client is None or is_untouched(client) else client

    @contextlib.contextmanager
    def error_classes(self) -> Iterator[None]:
        """Errors of native calls have the classes of the boto3 client, once there is one whose classes somebody has."""
        try:
            yield
        except Exception as error:
            if self._client is not None:
                from s3bulk._modeled import use_classes_of

                use_classes_of(self._client, error)
            raise

    def _make(self) -> Any:
        import boto3

        environment = self._environment
        arguments = boto3_arguments(self._config)
        arguments["endpoint_url"] = self._config.endpoint_url or environment.endpoint_url
        if environment.ca_bundle is not None:
            arguments["verify"] = environment.ca_bundle
        if environment.access_key is not None:
            arguments["aws_access_key_id"] = environment.access_key
            arguments["aws_secret_access_key"] = environment.secret_key
            arguments["aws_session_token"] = environment.session_token
        elif environment.profile is not None and "aws_access_key_id" not in arguments:
            return boto3.session.Session(profile_name=environment.profile).client("s3", **arguments)
        return boto3.client("s3", **arguments)


def boto3_arguments(config: S3ClientConfig) -> dict[str, Any]:
    """What the original module gave to `boto3.client("s3", ...)` for a config."""
    from botocore.config import Config

    arguments: dict[str, Any] = {
        "region_name": config.region,
        "endpoint_url": config.endpoint_url,
        "config": Config(signature_version="s3v4", s3={"addressing_style": config.addressing_style}),
    }
    if config.access_key and config.secret_key:
        arguments["aws_access_key_id"] = config.access_key
        arguments["aws_secret_access_key"] = config.secret_key
    return arguments


def replaced_factory_client(config: S3ClientConfig) -> Any:
    """What a `boto3.client` gives that the application has replaced, in a test usually; `None` where it has not."""
    if not is_boto3_factory_replaced():
        return None
    return sys.modules["boto3"].client("s3", **boto3_arguments(config))
