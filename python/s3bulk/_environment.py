"""What boto3 would read from the environment, read once when a client is made.

Both halves of a client get the result passed on explicitly, so that they are the same identity.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from s3bulk._default_session import read_default_session
from s3bulk._identity import Files, StaticKeys, WebIdentity, find_identity, is_file


@dataclass(frozen=True)
class Environment:
    """Settings that a config leaves to the environment.

    Attributes:
        access_key: Static key of the environment or its files; `None` where the config has a pair of its own or there
            is none.
        secret_key: See `access_key`.
        session_token: Token of temporary keys.
        web_identity: Role to assume with a token from a file, in place of keys.
        profile: Named profile; `None` is the default one.
        region: Region of a config that has none.
        session: boto3's default session, where there was one.
        credentials: Credentials of that session that refresh themselves, in place of keys.
        endpoint_url: Endpoint of a config that has none.
        other_endpoints: Without any endpoint, AWS's for FIPS, for dual-stack or for acceleration are asked.
        ca_bundle: PEM file that replaces the trusted certificates.
        proxies: Proxies by scheme, and under `no` the hosts that are asked directly.
        max_attempts: Requests that one operation may cost.
    """

    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    web_identity: WebIdentity | None = None
    profile: str | None = None
    region: str | None = None
    session: Any = field(default=None, repr=False)
    credentials: Any = field(default=None, repr=False)
    endpoint_url: str | None = None
    other_endpoints: bool = False
    ca_bundle: str | None = None
    proxies: dict[str, str] = field(default_factory=dict, repr=False)
    max_attempts: int | None = None


def read_environment(*, static_keys: bool, own_endpoint: bool) -> Environment:
    """Reads what boto3 reads, in boto3's order.

    Args:
        static_keys: The config has a pair of keys; those of the environment are not looked at.
        own_endpoint: The config has an endpoint; those of the environment are not looked at.

    Raises:
        botocore.exceptions.PartialCredentialsError: An access key without its secret.
        ValueError: A number of attempts that is none.
        botocore.exceptions.ProfileNotFound: A named profile that no file has.
        botocore.exceptions.InvalidConfigError: An empty CA bundle.
    """
    session = read_default_session()
    profile = _first("AWS_DEFAULT_PROFILE", "AWS_PROFILE") if session.profile is None else session.profile
    files = _shared_files()
    settings = _profile_settings(files, profile)
    identity: StaticKeys | WebIdentity | None = None
    if not static_keys and session.credentials is None:
        named = session.profile is not None
        identity = session.keys or find_identity(files, profile or "default", profile_was_named=named)
    endpoint_url = None if own_endpoint else _endpoint(files, settings)
    keys = identity if isinstance(identity, StaticKeys) else None
    return Environment(
        access_key=None if keys is None else keys.access_key,
        secret_key=None if keys is None else keys.secret_key,
        session_token=None if keys is None else keys.session_token,
        web_identity=identity if isinstance(identity, WebIdentity) else None,
        profile=profile,
        region=_first_of(session.region, os.environ.get("AWS_DEFAULT_REGION"), settings.get("region")),
        session=session.session,
        credentials=None if static_keys else session.credentials,
        endpoint_url=endpoint_url,
        other_endpoints=not own_endpoint and endpoint_url is None and _wants_other_endpoints(settings),
        ca_bundle=_ca_bundle(settings),
        proxies=_proxies(),
        max_attempts=_max_attempts(settings),
    )


def _first(*names: str) -> str | None:
    return next((os.environ[name] for name in names if name in os.environ), None)


def _first_of(*values: str | None) -> str | None:
    return next((value for value in values if value is not None), None)


def _shared_files() -> Files:
    config = os.environ.get("AWS_CONFIG_FILE", "~/.aws/config")
    credentials = os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
    # In a container there usually are none, and a parser need not be imported.
    return _parsed(config, credentials) if is_file(config) or is_file(credentials) else Files()


def _parsed(config: str, credentials: str) -> Files:
    """The files as botocore parses them."""
    import configparser

    by_file: tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]] = ({}, {})
    services: dict[str, str] = {}
    for path, is_config, profiles in ((config, True, by_file[0]), (credentials, False, by_file[1])):
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
    both = {name: {**by_file[0].get(name, {}), **by_file[1].get(name, {})} for profiles in by_file for name in profiles}
    return Files(both, *by_file, services)


def _profile_settings(files: Files, profile: str | None) -> dict[str, str]:
    if profile is not None and profile not in files.profiles:
        from botocore.exceptions import ProfileNotFound

        raise ProfileNotFound(profile=profile)
    return files.profiles.get(profile or "default", {})


def _endpoint(files: Files, settings: dict[str, str]) -> str | None:
    # Generic environment variables come before the file's service-specific key, as in botocore.
    ignored = os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", settings.get("ignore_configured_endpoint_urls", ""))
    if ignored.lower() == "true":
        return None
    named = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if named:
        return named
    for line in files.services.get(settings.get("services", ""), "").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "endpoint_url":
            return value.strip() or None
    return settings.get("endpoint_url") or None


def _wants_other_endpoints(settings: dict[str, str]) -> bool:
    of_s3 = (line.partition("=") for line in settings.get("s3", "").splitlines())
    wanted = [
        value for name, _, value in of_s3 if name.strip() in ("use_accelerate_endpoint", "use_dualstack_endpoint")
    ]
    for name in ("use_fips_endpoint", "use_dualstack_endpoint"):
        wanted.append(os.environ.get(f"AWS_{name.upper()}", settings.get(name, "")))
    return any(value.strip().lower() == "true" for value in wanted)


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


def _max_attempts(settings: dict[str, str]) -> int | None:
    # The first one counts, as in botocore's standard mode; there a 0 or less still means one request.
    value = os.environ.get("AWS_MAX_ATTEMPTS", settings.get("max_attempts"))
    return None if value is None else max(1, int(value))
