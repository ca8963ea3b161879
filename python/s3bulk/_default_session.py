"""What an application told `boto3.setup_default_session`: `boto3.client`, which ours stands for, is that session's."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from s3bulk._identity import StaticKeys


@dataclass(frozen=True, repr=False)
class DefaultSession:
    """The default session, as far as it was told something; `None` where it was not. Not shown: there are secrets.

    Attributes:
        session: The session itself.
        profile: Profile that was named. Keys and web identity of the environment then do not count.
        region: Region that was named.
        keys: Keys that were given.
        credentials: Credentials that refresh themselves: they were given, or are those of who asked before.
    """

    session: Any = None
    profile: str | None = None
    region: str | None = None
    keys: StaticKeys | None = None
    credentials: Any = None


def read_default_session() -> DefaultSession:
    """Looks, without importing boto3: who has not imported it has told it nothing."""
    session: Any = getattr(sys.modules.get("boto3"), "DEFAULT_SESSION", None)
    inner = getattr(session, "_session", None)
    if inner is None:
        return DefaultSession()
    named = inner.instance_variables()
    given = getattr(inner, "_credentials", None)
    if given is None and _finds_by_ways_of_its_own(inner):
        given = inner.get_credentials()
    keys = credentials = None
    if given is not None:
        from botocore.credentials import Credentials

        if type(given) is not Credentials:
            credentials = given
        # What a session has found by itself is in the same place as what it was given, and says where it comes from.
        elif given.method not in _FOUND:
            keys = StaticKeys(given.access_key, given.secret_key, given.token)
    return DefaultSession(session, named.get("profile"), named.get("region"), keys, credentials)


# The methods of botocore's providers of keys that do not change: what these found is read anew for each client.
_FOUND = ("env", "shared-credentials-file", "config-file", "ec2-credentials-file", "boto-config")


def _finds_by_ways_of_its_own(session: Any) -> bool:
    """Whether somebody has put a provider of his own among those of the default chain."""
    # Not asked for: that would make them, for a region that nobody has named yet.
    made = getattr(getattr(session, "_components", None), "_components", {}).get("credential_provider")
    providers = getattr(made, "providers", ())
    return any(type(provider).__module__ != "botocore.credentials" for provider in providers)
