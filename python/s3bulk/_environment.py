"""What boto3 would read from the environment, read once when a client is made.

Both halves of a client get the result passed on explicitly, so that they are the same identity.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Environment:
    """Settings that a config leaves to the environment.

    Attributes:
        access_key: Static key of the environment; `None` where the config has a pair of its own or there is none.
        secret_key: See `access_key`.
        session_token: Token of temporary keys.
        profile: Named profile; `None` is the default one.
        endpoint_url: Endpoint of a config that has none.
        ca_bundle: PEM file that replaces the trusted certificates.
        proxies: Proxies by scheme, and under `no` the hosts that are asked directly.
    """

    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    profile: str | None = None
    endpoint_url: str | None = None
    ca_bundle: str | None = None
    proxies: dict[str, str] = field(default_factory=dict, repr=False)


def read_environment(*, static_keys: bool, own_endpoint: bool) -> Environment:
    """Reads what boto3 reads, in boto3's order.

    Args:
        static_keys: The config has a pair of keys; those of the environment are not looked at.
        own_endpoint: The config has an endpoint; those of the environment are not looked at.

    Raises:
        botocore.exceptions.PartialCredentialsError: An access key without its secret.
        botocore.exceptions.ProfileNotFound: A named profile that no file has.
        botocore.exceptions.InvalidConfigError: An empty CA bundle.
    """
    profile = _first("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
    files = _shared_files()
    settings = _profile_settings(files, profile)
    access_key, secret_key, session_token = (None, None, None) if static_keys else _keys()
    return Environment(
        access_key=access_key,
        secret_key=secret_key,
        session_token=session_token,
        profile=profile,
        endpoint_url=None if own_endpoint else _endpoint(files, settings),
        ca_bundle=_ca_bundle(settings),
        proxies=_proxies(),
    )


def _first(*names: str) -> str | None:
    return next((os.environ[name] for name in names if name in os.environ), None)


def _keys() -> tuple[str | None, str | None, str | None]:
    # botocore.credentials.EnvProvider: an empty variable is none.
    access_key = os.environ.get("AWS_ACCESS_KEY_ID")
    if not access_key:
        return None, None, None
    secret_key = os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not secret_key:
        from botocore.exceptions import PartialCredentialsError

        raise PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY")
    token = os.environ.get("AWS_SECURITY_TOKEN") or os.environ.get("AWS_SESSION_TOKEN")
    return access_key, secret_key, token or None


def _shared_files() -> dict[str, Any] | None:
    """The shared files as botocore parses them; `None` where there are none, the usual case in a container."""
    config = os.environ.get("AWS_CONFIG_FILE", "~/.aws/config")
    credentials = os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
    if not any(os.path.isfile(os.path.expanduser(os.path.expandvars(path))) for path in (config, credentials)):
        return None
    return _parsed(config, credentials)


def _parsed(config: str, credentials: str) -> dict[str, Any]:
    import configparser

    profiles: dict[str, dict[str, str]] = {}
    services: dict[str, str] = {}
    for path, is_config in ((config, True), (credentials, False)):
        parser = configparser.RawConfigParser()
        try:
            parser.read([os.path.expanduser(os.path.expandvars(path))])
        except (configparser.Error, UnicodeDecodeError) as error:
            from botocore.exceptions import ConfigParseError

            raise ConfigParseError(path=path, error=error) from None
        for section in parser.sections():
            kind, _, name = section.partition(" ")
            name = name.strip().strip("\"'")
            if is_config and kind == "services":
                services[name] = parser.get(section, "s3", fallback="")
            elif is_config and kind == "profile" and name:
                profiles.setdefault(name, {}).update(parser.items(section))
            elif not is_config or section == "default":
                profiles.setdefault(section, {}).update(parser.items(section))
    return {"profiles": profiles, "services": services}


def _profile_settings(files: dict[str, Any] | None, profile: str | None) -> dict[str, str]:
    profiles: dict[str, dict[str, str]] = files["profiles"] if files else {}
    if profile is not None and profile not in profiles:
        from botocore.exceptions import ProfileNotFound

        raise ProfileNotFound(profile=profile)
    return profiles.get(profile or "default", {})


def _endpoint(files: dict[str, Any] | None, settings: dict[str, str]) -> str | None:
    # Generic environment variables come before the file's service-specific key, as in botocore.
    ignored = os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", settings.get("ignore_configured_endpoint_urls", ""))
    if ignored.lower() == "true":
        return None
    named = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if named or files is None:
        return named or None
    for line in files["services"].get(settings.get("services", ""), "").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "endpoint_url":
            return value.strip() or None
    return settings.get("endpoint_url") or None


def _ca_bundle(settings: dict[str, str]) -> str | None:
    bundle = os.environ.get("AWS_CA_BUNDLE", settings.get("ca_bundle", os.environ.get("REQUESTS_CA_BUNDLE")))
    if bundle is not None and not bundle.strip():
        from botocore.exceptions import InvalidConfigError

        # Older versions of botocore switch verification off here; newer ones refuse, and so do we.
        raise InvalidConfigError(error_msg="Invalid CA bundle: AWS_CA_BUNDLE or REQUESTS_CA_BUNDLE is empty")
    return bundle


def _proxies() -> dict[str, str]:
    # What urllib.request.getproxies_environment finds, without the import. Lower case wins, even when it is empty; a
    # CGI server puts its client's `Proxy` header into HTTP_PROXY.
    proxies = {}
    for name in ("http", "https", "no"):
        is_foreign = name == "http" and "REQUEST_METHOD" in os.environ
        upper = "" if is_foreign else os.environ.get(f"{name.upper()}_PROXY", "")
        value = os.environ.get(f"{name}_proxy", upper)
        if value.strip():
            proxies[name] = value
    return proxies
