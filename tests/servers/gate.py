"""A gate before a real server: what a judge refuses never gets there, everything else does, as it was signed.

For errors that AWS gives and servers on one machine do not: regions, clocks, tokens that expire.
"""

from __future__ import annotations

import dataclasses
import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.identities.loopback import Handler, serve
from tests.servers.server import Server

# Of one connection each: not passed on.
_HOP_BY_HOP = ("connection", "content-length", "expect", "transfer-encoding")


@dataclass(frozen=True)
class Asked:
    """A request at the gate, as far as a judge looks at it: headers have names in lower case."""

    method: str
    headers: dict[str, str]

    @property
    def region(self) -> str:
        """The region that it is signed for."""
        _, _, scope = self.headers.get("authorization", "").partition("Credential=")
        return scope.split("/")[2] if scope else ""


@dataclass(frozen=True)
class Refusal:
    """What the gate answers in place of the server; a HEAD gets no document."""

    status: int
    code: str
    message: str
    details: dict[str, str] = dataclasses.field(default_factory=dict)
    headers: dict[str, str] = dataclasses.field(default_factory=dict)

    def document(self) -> bytes:
        """The error as S3 writes it."""
        more = "".join(f"<{name}>{value}</{name}>" for name, value in self.details.items())
        text = f"<Error><Code>{self.code}</Code><Message>{self.message}</Message>{more}</Error>"
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()


Judge = Callable[[Asked], Refusal | None]


@contextmanager
def gate(server: Server, judge: Judge) -> Iterator[Server]:
    """Runs a gate before a server that speaks http; it is a server of the same keys."""
    behind = urlsplit(server.endpoint_url)

    class Gate(Handler):
        def _pass(self) -> None:
            body = self.body()
            headers = {name.lower(): value for name, value in self.headers.items()}
            refusal = judge(Asked(self.command, headers))
            if refusal is not None:
                self.answer(refusal.status, refusal.document(), Content_Type="application/xml", **refusal.headers)
                return
            connection = http.client.HTTPConnection(behind.hostname or "", behind.port, timeout=20)
            try:
                # With the host that the client has signed.
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in _HOP_BY_HOP:
                        connection.putheader(name, value)
                connection.putheader("Content-Length", str(len(body)))
                connection.endheaders(body)
                answer = connection.getresponse()
                content = answer.read()
                kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
                # That of a HEAD is the object's.
                length = answer.getheader("Content-Length", str(len(content)))
                self.answer(answer.status, content, Content_Length=length, **kept)
            finally:
                connection.close()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass

    with serve(Gate) as url:
        yield dataclasses.replace(server, name=f"gate to {server.name}", endpoint_url=url)
