"""Which identity boto3 would find in files and variables: the order is that of its default chain.

What holds until the process ends is read here and given to both halves of a client. What has to be asked for (a role, a
container, the instance) is left to both: `None` means that.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class StaticKeys:
    """Keys that do not change, with the token of temporary ones."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(repr=False)


@dataclass(frozen=True)
class WebIdentity:
    """A role that is assumed with a token from a file.

    Attributes:
        token_file: The file, read again for each session.
        role_arn: The role.
        session_name: Name of the session; `None`: one is made up.
    """

    token_file: str
    role_arn: str
    session_name: str | None = None

    def parts(self) -> tuple[str, str, str | None]:
        """What the native half is given."""
        return self.token_file, self.role_arn, self.session_name


@dataclass(frozen=True, repr=False)
class Files:
    """The shared files, parsed. Not shown: there are secrets in it.

    Attributes:
        profiles: Profiles of both files, put together; the credentials file wins.
        config: Profiles of the config file.
        credentials: Profiles of the credentials file.
        services: What the config file's `services` sections say of S3, by their names.
    """

    profiles: Mapping[str, dict[str, str]] = field(default_factory=dict)
    config: Mapping[str, dict[str, str]] = field(default_factory=dict)
    credentials: Mapping[str, dict[str, str]] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)


def find_identity(files: Files, profile: str, *, profile_was_named: bool) -> StaticKeys | WebIdentity | None:
    """The identity of this process's environment; `None` where the default chain of the profile has to be asked.

    Args:
        files: The shared files.
        profile: The profile that counts.
        profile_was_named: By the application itself: then keys and web identity of the environment do not count.

    Raises:
        botocore.exceptions.PartialCredentialsError: An access key without its secret.
        botocore.exceptions.InvalidConfigError: A web identity without a role.
    """
    settings = files.profiles.get(profile, {})
    keys = None if profile_was_named else _keys_of_environment()
    if keys is not None:
        return keys
    # Roles with a source: botocore.credentials.AssumeRoleProvider comes before all that follows.
    if "role_arn" in settings and "web_identity_token_file" not in settings:
        return None
    web_identity = _web_identity(settings, {} if profile_was_named else os.environ)
    if web_identity is not None:
        return web_identity
    if "sso_role_name" in settings or "sso_account_id" in settings:
        return None
    keys = _keys(files.credentials.get(profile, {}), "shared-credentials-file")
    if keys is not None:
        return keys
    if "login_session" in settings or "credential_process" in settings:
        return None
    return _keys(files.config.get(profile, {}), "config-file") or _keys_of_old_tools()


def _keys_of_environment() -> StaticKeys | None:
    # botocore.credentials.EnvProvider: an empty variable is none.
    access_key = os.environ.get("AWS_ACCESS_KEY_ID")
    if not access_key:
        return None
    secret_key = os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not secret_key:
        raise _partial("env", "AWS_SECRET_ACCESS_KEY")
    token = os.environ.get("AWS_SECURITY_TOKEN") or os.environ.get("AWS_SESSION_TOKEN")
    return StaticKeys(access_key, secret_key, token or None)


def _keys(settings: Mapping[str, str], provider: str) -> StaticKeys | None:
    if "aws_access_key_id" not in settings:
        return None
    if "aws_secret_access_key" not in settings:
        raise _partial(provider, "aws_secret_access_key")
    token = settings.get("aws_security_token", settings.get("aws_session_token"))
    return StaticKeys(settings["aws_access_key_id"], settings["aws_secret_access_key"], token)


def _web_identity(settings: Mapping[str, str], variables: Mapping[str, str]) -> WebIdentity | None:
    def setting(variable: str, name: str) -> str | None:
        return variables.get(variable, settings.get(name))

    token_file = setting("AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file")
    if not token_file:
        return None
    role_arn = setting("AWS_ROLE_ARN", "role_arn")
    if not role_arn:
        from botocore.exceptions import InvalidConfigError

        raise InvalidConfigError(error_msg="A web identity needs a role: set AWS_ROLE_ARN, or role_arn in the profile")
    return WebIdentity(token_file, role_arn, setting("AWS_ROLE_SESSION_NAME", "role_session_name"))


def _keys_of_old_tools() -> StaticKeys | None:
    """Keys of the first EC2 tools and of boto 2: boto3 still reads their files, and is asked where there are some."""
    boto2 = [os.environ["BOTO_CONFIG"]] if "BOTO_CONFIG" in os.environ else ["/etc/boto.cfg", "~/.boto"]
    if "AWS_CREDENTIAL_FILE" not in os.environ and not any(is_file(path) for path in boto2):
        return None
    from botocore.credentials import BotoProvider, OriginalEC2Provider

    found: Any = OriginalEC2Provider().load() or BotoProvider().load()
    return None if found is None else StaticKeys(found.access_key, found.secret_key, found.token)


def is_file(path: str) -> bool:
    """Whether a path of the environment, with variables and `~` in it, is a file."""
    return os.path.isfile(os.path.expanduser(os.path.expandvars(path)))


def _partial(provider: str, missing: str) -> Exception:
    from botocore.exceptions import PartialCredentialsError

    return PartialCredentialsError(provider=provider, cred_var=missing)
