"""Keys that were handed out, and until when they hold."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import datetime, timezone


@dataclass(frozen=True)
class Keys:
    """Keys as an identity service hands them out.

    Attributes:
        access_key: `<source>-<number>`: says who handed it out.
        secret_key: Its secret.
        session_token: Its token.
        expiry: When it ends, in whole seconds since the epoch: that is what the services' answers can say.
    """

    access_key: str
    secret_key: str
    session_token: str
    expiry: int

    @property
    def expiration(self) -> str:
        """The expiry as AWS writes it."""
        return datetime.fromtimestamp(self.expiry, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class KeyRing:
    """Makes keys that hold for some seconds, and remembers them. Safe under threads."""

    def __init__(self, lifetime: int) -> None:
        self._lifetime = lifetime
        self._lock = threading.Lock()
        self.handed_out: dict[str, Keys] = {}

    def new(self, source: str) -> Keys:
        """The next keys of a source. They hold for the lifetime, rounded up to a whole second."""
        with self._lock:
            number = len(self.handed_out)
            expiry = int(time.time() + self._lifetime) + 1
            keys = Keys(f"{source}-{number}", f"secret-{number}", f"token-{number}", expiry)
            self.handed_out[keys.access_key] = keys
            return keys

    def of(self, source: str) -> list[Keys]:
        """All that a source has handed out."""
        with self._lock:
            return [keys for name, keys in self.handed_out.items() if name.startswith(f"{source}-")]
