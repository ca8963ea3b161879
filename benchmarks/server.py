"""The endpoint in memory (benchmarks/endpoint), and what it holds."""

from __future__ import annotations

import subprocess
import urllib.parse
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

from benchmarks.bucket import BUCKET

_TARGET = Path(__file__).resolve().parent.parent / "target"
_BINARY = _TARGET / "bench-endpoint"
_TLS_FRONT = _TARGET / "daily" / "examples" / "tls_front"


class Endpoint:
    """A running endpoint. Its own requests bear no signature, so they are answered without the latency.

    `public_url` is where peers find it; behind TLS `ca_bundle` is the certificate that they have to trust.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.public_url = url
        self.ca_bundle: Path | None = None

    def listed(self, prefix: str) -> dict[str, int]:
        """Gives the size of each key below `prefix`, without the prefix."""
        found: dict[str, int] = {}
        token = ""
        with self._connection() as connection:
            while True:
                query = {"list-type": "2", "prefix": f"{prefix}/", "continuation-token": token}
                pairs = urllib.parse.urlencode({name: value for name, value in query.items() if value})
                page = ElementTree.fromstring(_sent(connection, "GET", f"/{BUCKET}?{pairs}").read())
                for listed in page.iter("Contents"):
                    found[listed.findtext("Key", "").removeprefix(f"{prefix}/")] = int(listed.findtext("Size", "-1"))
                if page.findtext("IsTruncated") != "true":
                    return found
                token = page.findtext("NextContinuationToken", "")

    def contents(self, prefix: str, names: Iterator[str]) -> Iterator[tuple[str, HTTPResponse]]:
        """Gives the body of each object; each has to be read before the next is asked for."""
        with self._connection() as connection:
            for name in names:
                yield name, _sent(connection, "GET", f"/{BUCKET}/{prefix}/{urllib.parse.quote(name)}")

    def create_bucket(self) -> None:
        with self._connection() as connection:
            _sent(connection, "PUT", f"/{BUCKET}").read()

    def _connection(self) -> closing[HTTPConnection]:
        return closing(HTTPConnection(self.url.removeprefix("http://"), timeout=60))


def _sent(connection: HTTPConnection, method: str, target: str) -> HTTPResponse:
    connection.request(method, target)
    response = connection.getresponse()
    if response.status != 200:
        raise RuntimeError(f"{method} {target}: {response.status} {response.read()!r}")
    return response


@contextmanager
def running_endpoint(latency_ms: int, discard: bool, certificate: Path | None = None) -> Iterator[Endpoint]:
    """Runs an empty endpoint with one bucket until the block ends; behind TLS where its certificate has a path."""
    command = [str(_BINARY), "--latency-ms", str(latency_ms), *(["--discard"] if discard else [])]
    with ExitStack() as held:
        endpoint = Endpoint(held.enter_context(_running(command)))
        endpoint.create_bucket()
        if certificate is not None:
            front = [str(_TLS_FRONT), endpoint.url.removeprefix("http://"), str(certificate)]
            endpoint.public_url = held.enter_context(_running(front))
            endpoint.ca_bundle = certificate
        yield endpoint


@contextmanager
def _running(command: list[str]) -> Iterator[str]:
    """Runs a server and gives the URL that it prints."""
    # It ends when the pipe to it closes, however this process ends.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin:
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"{command[0]} did not start")
            yield url
