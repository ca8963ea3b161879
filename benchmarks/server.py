"""The endpoint in memory (benchmarks/endpoint), and what it holds."""

from __future__ import annotations

import subprocess
import urllib.parse
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

from benchmarks.bucket import BUCKET

_BINARY = Path(__file__).resolve().parent.parent / "target" / "bench-endpoint"


class Endpoint:
    """A running endpoint. Its own requests bear no signature, so they are answered without the latency."""

    def __init__(self, url: str) -> None:
        self.url = url

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
def running_endpoint(latency_ms: int, discard: bool) -> Iterator[Endpoint]:
    """Runs an empty endpoint with one bucket until the block ends."""
    command = [str(_BINARY), "--latency-ms", str(latency_ms), *(["--discard"] if discard else [])]
    # It ends when the pipe to it closes, however this process ends.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin:
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"{_BINARY} did not start")
            endpoint = Endpoint(url)
            endpoint.create_bucket()
            yield endpoint
