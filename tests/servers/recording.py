"""A very small S3 in this process that remembers every request as it came, for what real servers don't tell.

It knows PutObject, GetObject, HeadObject, HeadBucket and ListObjectsV2 in path style, checks nothing unless told to,
and may be spoken to as an http proxy. Its threads hold the interpreter lock only for moments; native calls release it.
"""

from __future__ import annotations

import hashlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Request:
    """One request."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def access_key(self) -> str:
        """The access key that signed it; empty where nobody did."""
        return self._scope()[0]

    @property
    def region(self) -> str:
        """The region that it is signed for."""
        return self._scope()[2]

    @property
    def is_from_botocore(self) -> bool:
        """Whether botocore sent it, not the native half."""
        return "botocore/" in self.headers["user-agent"].lower() or "boto3/" in self.headers["user-agent"].lower()

    def _scope(self) -> list[str]:
        _, _, credential = self.headers.get("authorization", "").partition("Credential=")
        return (credential.split(",")[0].split("/") + [""] * 5)[:5]


@dataclass
class RecordingServer:
    """The server.

    Attributes:
        endpoint_url: Where it is.
        requests: What came, in order.
        objects: Path of bucket and key -> body.
        judge: May answer in the server's place; `None` leaves it to the server.
        delay: Seconds before each answer.
    """

    endpoint_url: str = ""
    requests: list[Request] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    judge: Callable[[Request], Answer | None] = lambda request: None
    delay: float = 0.0

    def answer(self, request: Request, body: bytes) -> Answer:
        """What the server says."""
        self.requests.append(request)
        time.sleep(self.delay)
        judged = self.judge(request)
        if judged is not None:
            return judged
        url = urlsplit(request.target)
        path = unquote(url.path).lstrip("/")
        bucket, _, key = path.partition("/")
        if request.method == "PUT":
            self.objects[path] = body
            return 200, {"ETag": _etag(body)}, b""
        if not key:
            return 200, {}, self._listing(bucket, parse_qs(url.query).get("prefix", [""])[0])
        if path not in self.objects:
            return error(404, "NoSuchKey")
        return 200, {"ETag": _etag(self.objects[path])}, self.objects[path]

    def _listing(self, bucket: str, prefix: str) -> bytes:
        keys = sorted(path.partition("/")[2] for path in self.objects if path.startswith(f"{bucket}/{prefix}"))
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.objects[f'{bucket}/{key}'])}</Size></Contents>"
            for key in keys
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>".encode()


def error(status: int, code: str, headers: dict[str, str] | None = None, more: str = "") -> Answer:
    """An error as S3 writes it."""
    return status, headers or {}, f"<Error><Code>{code}</Code><Message>{code}</Message>{more}</Error>".encode()


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listening

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, more, body = self.server.recording.answer(
            Request(self.command, self.path, headers), self.rfile.read(int(headers.get("content-length", 0)))
        )
        self.send_response(status)
        self.send_header("Connection", "close")  # and its thread ends
        for name, value in {"Content-Length": str(len(body)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _answer

    def log_message(self, *arguments: object) -> None:
        """Nothing: the test's output is the test's."""


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, recording: RecordingServer, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.recording = recording
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        scheme = "http" if context is None else "https"
        recording.endpoint_url = f"{scheme}://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a client that refuses the certificate, or is gone, is what some tests are about."""


@contextmanager
def recording_server(context: ssl.SSLContext | None = None) -> Iterator[RecordingServer]:
    """Serves on a free port of the loopback interface; over TLS where there is a context."""
    recording = RecordingServer()
    with _Listening(recording, context) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield recording
        finally:
            listening.shutdown()
            thread.join()
