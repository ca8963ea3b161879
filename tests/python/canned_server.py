"""A server that gives the answers it is told, for errors that no real server can be made to give."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        status: HTTP status.
        body: Body; a HEAD gets none of it.
        headers: Headers beside `Content-Length`.
        missing: Bytes that are announced beyond the body and never sent.
        reset: No answer at all: the connection is reset.
        hangs: Where the answer stops until the client hangs up: before its "head", or after the "body" that there is.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    missing: int = 0
    reset: bool = False
    hangs: str = ""


class CannedServer:
    """A server of `answer`, which may be set anew at any time.

    Attributes:
        endpoint_url: Its URL.
        answer: Gives the answer for a method and a path with query.
        requests: What was asked: method, path and headers (names in lower case).
    """

    def __init__(self, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url
        self.answer: Callable[[str, str], Answer] = lambda method, path: Answer()
        self.requests: list[tuple[str, str, dict[str, str]]] = []


@contextmanager
def canned_server(tls: ssl.SSLContext | None = None) -> Iterator[CannedServer]:
    """Serves on a free port of the loopback interface until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20  # seconds; a client that says nothing must not keep the server

        def _answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.requests.append((self.command, self.path, headers))
            self.rfile.read(int(headers.get("content-length", 0)))
            answer = server.answer(self.command, self.path)
            # Kept alive, its thread would wait for the client to hang up, and the server for its thread.
            self.close_connection = True
            if answer.reset:
                # SO_LINGER with no time: RST in the place of FIN.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if answer.hangs == "head":
                self.rfile.read(1)
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if "Content-Length" not in answer.headers:
                self.send_header("Content-Length", str(len(answer.body) + answer.missing))
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
                if answer.hangs == "body":
                    self.rfile.read(1)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_CONNECT = _answer

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    class Listening(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that hangs up, or refuses the certificate

    with Listening(("127.0.0.1", 0), Handler) as listening:
        if tls is not None:
            listening.socket = tls.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
        scheme = "http" if tls is None else "https"
        server = CannedServer(f"{scheme}://127.0.0.1:{listening.server_port}")
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()
