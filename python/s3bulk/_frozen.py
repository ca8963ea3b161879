"""The credentials of a boto3 client, as they are at one moment."""

from __future__ import annotations

import datetime
import inspect
import threading
from typing import Any

from s3bulk._settings import Refusal

# botocore refreshes from 15 minutes before the end on (botocore.credentials.RefreshableCredentials).
_EARLY = 900.0
# With less than that left botocore refreshes whenever it is asked: asked less often, it does so once, not per request.
_BETWEEN_LATE_ASKS = 5.0
# Where nobody says when the keys end.
_BETWEEN_ASKS = 60.0

# Access key, secret key, session token, seconds until they are asked for again; `None`: not during one call.
Frozen = tuple[str, str, str | None, float | None]


class Credentials:
    """Gives the keys of a client whenever a native transfer asks, which it does on the thread that waits for it."""

    def __init__(self, credentials: Any) -> None:
        """Takes the credentials object of a client, which refreshes itself.

        Raises:
            Refusal: It is none of botocore's.
        """
        import botocore.credentials

        if credentials is not None and (
            not isinstance(credentials, botocore.credentials.Credentials)
            or inspect.iscoroutinefunction(credentials.get_frozen_credentials)
        ):
            raise Refusal("its credentials are none of botocore's")
        self.source: Any = credentials
        # Threads that are in `__call__` now.
        self._asking: set[int] = set()

    def is_asked_here(self) -> bool:
        """Whether this thread is just asking for the keys."""
        return threading.get_ident() in self._asking

    def check_not_asked_here(self) -> None:
        """Looks whether the client is used to find the keys that this thread is just asking for.

        A native transfer would need lanes that others keep until they have the keys.

        Raises:
            Refusal: It is. The client's own calls go on with the old keys.
            botocore.exceptions.CredentialRetrievalError: And those hold no longer: a call would wait for itself.
        """
        if not self.is_asked_here():
            return
        import botocore.credentials
        from botocore.exceptions import CredentialRetrievalError

        source = self.source
        refreshing = isinstance(source, botocore.credentials.RefreshableCredentials)
        if refreshing and source.refresh_needed(source._mandatory_refresh_timeout):
            raise CredentialRetrievalError(
                provider=source.method, error_msg="to refresh the credentials the client is used that waits for them"
            )
        raise Refusal("its credentials are being refreshed with it")

    def __call__(self) -> Frozen:
        """The keys now.

        Raises:
            botocore.exceptions.NoCredentialsError: There are none. What a refresh raises comes as it is.
        """
        if self.source is None:
            from botocore.exceptions import NoCredentialsError

            raise NoCredentialsError
        before = getattr(self.source, "_expiry_time", None)
        thread = threading.get_ident()
        is_outermost = thread not in self._asking
        self._asking.add(thread)
        try:
            frozen: Any = self.source.get_frozen_credentials()
        finally:
            if is_outermost:
                self._asking.discard(thread)
        after = getattr(self.source, "_expiry_time", None)
        return frozen.access_key, frozen.secret_key, frozen.token, self._lasting(before, after)

    def _lasting(self, before: Any, after: Any) -> float | None:
        import botocore.credentials

        if type(self.source) is botocore.credentials.Credentials:
            return None
        if before is None or after is None:
            return _BETWEEN_ASKS
        # The keys may be those from before a refresh that another thread has done meanwhile.
        end = min(before, after)
        left = float((end - datetime.datetime.now(end.tzinfo)).total_seconds())
        return left - _EARLY if left > _EARLY else min(_BETWEEN_LATE_ASKS, max(left, 0.0) / 4)
