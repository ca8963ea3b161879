"""An S3 that stores nothing and writes down who signed: it takes uploads and lists buckets.

A request that is signed with keys of a ring is checked as S3 checks them: the right token, and not a moment too late.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.identities.keys import KeyRing
from tests.identities.loopback import Handler, serve

_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/")
_NOBODY = "<ListAllMyBucketsResult><Owner><ID>i</ID></Owner><Buckets/></ListAllMyBucketsResult>"


@dataclass(frozen=True)
class Request:
    """What was asked, with the access key that signed it and its session token; `None` where there is none."""

    method: str
    path: str
    access_key: str | None
    session_token: str | None


@dataclass
class Front:
    """The running server.

    Attributes:
        url: Where it is.
        requests: All requests so far.
        refused: Those with a token that is wrong or has expired.
    """

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    refused: list[Request] = field(default_factory=list)

    def of_bucket(self, bucket: str) -> list[Request]:
        """The requests for a bucket."""
        return [request for request in self.requests if request.path.startswith(f"/{bucket}/")]


@contextmanager
def front(ring: KeyRing | None = None, seconds: float = 0, *, broken: bool = False) -> Iterator[Front]:
    """Runs the server.

    Args:
        ring: Keys that are checked; others are taken as they are.
        seconds: How long each upload takes.
        broken: Everything is answered 500.
    """
    state = Front()
    lock = threading.Lock()

    class S3(Handler):
        def do_PUT(self) -> None:
            arrived = time.time()
            body = self.body()
            # The time that a slow network takes; no condition is waited for.
            time.sleep(seconds)
            if self._is_welcome(arrived):
                self.answer(200, ETag=f'"{hashlib.md5(body).hexdigest()}"')

        def do_GET(self) -> None:
            if self._is_welcome(time.time()):
                self.answer(200, _NOBODY.encode(), Content_Type="application/xml")

        def _is_welcome(self, arrived: float) -> bool:
            signed = _CREDENTIAL.match(self.headers.get("Authorization", ""))
            token = self.headers.get("x-amz-security-token")
            request = Request(self.command, urlsplit(self.path).path, signed and signed[1], token)
            known = ring.handed_out.get(request.access_key) if ring and request.access_key else None
            is_wrong = known is not None and token != known.session_token
            has_expired = known is not None and arrived >= known.expiry
            with lock:
                state.requests.append(request)
                if is_wrong or has_expired:
                    state.refused.append(request)
            if is_wrong or has_expired:
                self._refuse(400, "InvalidToken" if is_wrong else "ExpiredToken")
            elif broken:
                self._refuse(500, "InternalError")
            return not (is_wrong or has_expired or broken)

        def _refuse(self, status: int, code: str) -> None:
            self.answer(status, f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode())

    with serve(S3) as url:
        state.url = url
        yield state
