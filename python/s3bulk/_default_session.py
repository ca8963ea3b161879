"""What an application told `boto3.setup_default_session`: `boto3.client`, which ours stands for, is that session's."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from s3bulk._identity import StaticKeys


@dataclass(frozen=True)
class DefaultSession:
    """The default session, as far as it was told something; `None` where it was not.

    Attributes:
        profile: Profile that was named. Keys and web identity of the environment then do not count.
        keys: Keys that were given.
    """

    profile: str | None = None
    keys: StaticKeys | None = None


def read_default_session() -> DefaultSession:
    """Looks, without importing boto3: who has not imported it has told it nothing."""
    session: Any = getattr(sys.modules.get("boto3"), "DEFAULT_SESSION", None)
    inner = getattr(session, "_session", None)
    if inner is None:
        return DefaultSession()
    # What a session has found by itself is in the same place as what it was given, and says where it comes from.
    given = getattr(inner, "_credentials", None)
    is_given = getattr(given, "method", None) == "explicit"
    keys = StaticKeys(given.access_key, given.secret_key, given.token) if given is not None and is_given else None
    return DefaultSession(inner.instance_variables().get("profile"), keys)
