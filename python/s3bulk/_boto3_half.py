"""The boto3 client inside our own one: made when something that is not ours is asked of it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from s3bulk._failures import attach_report
from s3bulk._interception import has_hooks, is_boto3_factory_replaced, is_botocore_patched, is_moto_on, is_untouched
from s3bulk._parameters import is_botocores_business

if TYPE_CHECKING:
    from s3bulk._environment import Environment
    from s3bulk._frozen import Credentials
    from s3bulk._way import NativeWay
    from s3bulk.config import S3ClientConfig
    from s3bulk.options import TransferOptions


_halves: weakref.WeakSet[Boto3Half] = weakref.WeakSet()


def _unlock_in_child() -> None:
    """A thread that held a lock at the fork does not exist in the child."""
    for half in list(_halves):
        half._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_in_child)


class Boto3Half:
    """Holds the boto3 client of a config; shared by all clients that differ in their options only."""

    def __init__(self, config: S3ClientConfig, environment: Environment) -> None:
        self._config = config
        self._environment = environment
        self._client: Any = None
        self._moto_sees_it = False
        self._lock = threading.RLock()
        # What the native half asks where the keys are those of the application's session.
        self.credentials = None if environment.credentials is None else _asked(environment.credentials)
        self._has_hooks = environment.session is not None and has_hooks(environment.session)
        _halves.add(self)

    def get(self) -> Any:
        """The boto3 client, made now if need be."""
        if self._client is None:
            # Sessions of boto3 are not documented as thread-safe.
            with self._lock:
                if self._client is None:
                    self._client = self._make()
        if is_moto_on() and not self._moto_sees_it:
            _show_to_moto(self._client)
            self._moto_sees_it = True
        return self._client

    def in_the_way(self, bucket: Any = None) -> Any:
        """The boto3 client, where something sits in its path that the native half can't see; else `None`.

        Or where the native half does not know how to ask for the bucket.
        """
        if self._is_special(bucket):
            return self.get()
        if is_moto_on() or (self.credentials is not None and self.credentials.is_asked_here()):
            return self.get()
        client = self._client
        if client is None and (self._has_hooks or is_botocore_patched()):
            client = self.get()
        return None if client is None or is_untouched(client) else client

    def ways(self, bucket: str, options: TransferOptions | None, *, up: bool) -> tuple[NativeWay | None, Any]:
        """The way of a call: what plain calls are made on; neither, where it is that of the native half.

        Where AWS's other endpoints are asked it is that of a boto3 client, which knows them.
        """
        through = self.in_the_way(bucket)
        if through is None or not self._is_special(bucket):
            return None, through
        from s3bulk._way import ways
        from s3bulk.limited import with_options

        return ways(through if options is None else with_options(through, options), bucket, up=up)

    def _is_special(self, bucket: Any) -> bool:
        return self._environment.other_endpoints or is_botocores_business(bucket) or self._is_host_with_dots(bucket)

    def _is_host_with_dots(self, bucket: Any) -> bool:
        """On plain http, where no certificate minds, botocore puts dots into the host; the SDK does not."""
        url = self._config.endpoint_url or self._environment.endpoint_url or ""
        return (
            self._config.addressing_style == "virtual"
            and isinstance(bucket, str)
            and "." in bucket
            and url.lower().startswith("http:")
        )

    @contextlib.contextmanager
    def error_classes(self) -> Iterator[None]:
        """Errors of native calls have the classes of the boto3 client, which is made when there is a class of its own.

        `except client.exceptions.NoSuchBucket` looks the class up only after the error has been raised.
        """
        try:
            yield
        except Exception as error:
            from s3bulk._modeled import may_have_class, use_classes_of

            if may_have_class(error):
                with contextlib.suppress(Exception):  # nobody has classes of a client that can't be made
                    use_classes_of(self.get(), error)
            theirs = self._why_there_are_no_credentials(error)
            if theirs is None:
                raise
            if (report := getattr(error, "report", None)) is not None:
                attach_report(theirs, report)
            raise theirs from error

    def _why_there_are_no_credentials(self, error: Exception) -> Exception | None:
        """What botocore raises where credentials can't be loaded: it has a class for each reason."""
        from botocore.exceptions import CredentialRetrievalError, NoCredentialsError

        # Where the keys are those of the application's session the error is botocore's already.
        if self.credentials is not None or type(error) not in (CredentialRetrievalError, NoCredentialsError):
            return None
        try:
            credentials = self.get()._request_signer._credentials
            if credentials is None:
                return None if type(error) is NoCredentialsError else NoCredentialsError()
            credentials.get_frozen_credentials()
        except Exception as theirs:
            return theirs
        return None  # it has some: what is the matter only the native half knows

    def under(self, options: TransferOptions) -> TransferOptions:
        """Options, with the environment's attempts where they say nothing of attempts."""
        attempts = self._environment.max_attempts
        if attempts is None or options.max_attempts != type(options)().max_attempts:
            return options
        return dataclasses.replace(options, max_attempts=attempts)

    def _make(self) -> Any:
        import boto3
        from botocore.config import Config

        environment = self._environment
        arguments = boto3_arguments(self._config)
        if self._config.region is None:
            arguments["region_name"] = environment.region or "us-east-1"
        if self._config.endpoint_url is None:
            arguments["endpoint_url"] = environment.endpoint_url
            # The environment has been asked; it may say something else by now.
            arguments["config"] = arguments["config"].merge(Config(ignore_configured_endpoint_urls=True))
        if environment.ca_bundle is not None:
            arguments["verify"] = environment.ca_bundle
        if environment.access_key is not None:
            arguments["aws_access_key_id"] = environment.access_key
            arguments["aws_secret_access_key"] = environment.secret_key
            arguments["aws_session_token"] = environment.session_token
        if environment.session is not None:
            return environment.session.client("s3", **arguments)
        if "aws_access_key_id" in arguments:
            return boto3.client("s3", **arguments)
        return self._session(arguments["region_name"]).client("s3", **arguments)

    def _session(self, region: str | None) -> Any:
        """A session of the identity that was found when the native half was made."""
        import boto3
        import botocore.credentials
        import botocore.session

        session = botocore.session.Session(profile=self._environment.profile)
        resolver = botocore.credentials.create_credential_resolver(session, region_name=region)
        session.register_component("credential_provider", resolver)
        # There were no keys in the environment, and what stands there now does not count.
        resolver.remove(botocore.credentials.EnvProvider.METHOD)
        web_identity = self._environment.web_identity
        if web_identity is not None:
            settings = {"web_identity_token_file": web_identity.token_file, "role_arn": web_identity.role_arn}
            if web_identity.session_name is not None:
                settings["role_session_name"] = web_identity.session_name
            provider = botocore.credentials.AssumeRoleWithWebIdentityProvider(
                load_config=lambda: {"profiles": {"found": settings}},
                client_creator=partial(session.create_client, region_name=region),
                profile_name="found",
                disable_env_vars=True,  # they are in `settings` already, as they were
            )
            resolver.providers.insert(0, provider)
        return boto3.session.Session(botocore_session=session)


def _asked(credentials: Any) -> Credentials:
    from s3bulk._frozen import Credentials

    return Credentials(credentials)


def _show_to_moto(client: Any) -> None:
    """Lets moto see the requests of a client whose session is older than the import of moto.

    Without that its calls in a mock would go to the real service.
    """
    # moto's own way for clients that are made too early; it leaves alone those that it sees already.
    sys.modules["moto.core.models"].patch_client(client)


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
