"""The scripted server of the Rust tests (tests/fault_server) as a program: it stops where a test wants it to."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from tests.servers.server import ACCESS_KEY, SECRET_KEY, Server

_PROGRAM = Path(__file__).resolve().parents[2] / "target" / "debug" / "examples" / "fault_server"
_PATIENCE = 30  # seconds until something that must happen has not


class FaultServer:
    """A running one.

    Attributes:
        server: Where it is. It takes any signature.
    """

    def __init__(self, endpoint_url: str) -> None:
        self.server = Server("fault_server", endpoint_url, ACCESS_KEY, SECRET_KEY)

    def add_rules(self, *rules: str) -> None:
        """Adds rules; tests/fault_server/rule_text.rs has the words."""
        self._ask("POST", "/_rules", "\n".join(rules))

    def forget_rules(self) -> None:
        """From now on it does what S3 does."""
        self._ask("DELETE", "/_rules")

    def stats(self) -> Mapping[str, int]:
        """Counters by name, `fired.<id>` and `operations.<name>` among them; what is not there has not happened."""
        counters = map(json.loads, self._ask("GET", "/_stats").splitlines())
        return {counter["name"]: counter["value"] for counter in counters}

    def wait_until(self, what: str, happened: Callable[[Mapping[str, int]], bool]) -> None:
        """Asks for the counters until they say so."""
        deadline = time.monotonic() + _PATIENCE
        while not happened(stats := self.stats()):
            assert time.monotonic() < deadline, f"{what}: {stats}"
            time.sleep(0.005)

    def _ask(self, method: str, path: str, body: str | None = None) -> str:
        host = self.server.endpoint_url.removeprefix("http://")
        with closing(http.client.HTTPConnection(host, timeout=_PATIENCE)) as connection:
            connection.request(method, path, body)
            answer = connection.getresponse()
            text = answer.read().decode()
        if answer.status >= 300:
            raise ValueError(f"{method} {path}: {answer.status} {text}")
        return text


@contextmanager
def fault_server(*arguments: str) -> Iterator[FaultServer]:
    """Runs one with these arguments (`fault_server --help`) until the block ends."""
    if not _PROGRAM.exists():
        raise FileNotFoundError(f"no {_PROGRAM}: `make test-python` and `cargo build --example fault_server` build it")
    # It ends when the pipe to it closes, however this process ends.
    command = [str(_PROGRAM), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin:
            endpoint = process.stdout.readline().strip()
            if not endpoint.startswith("http"):
                raise ValueError(f"{endpoint}\n{process.stdout.read()}")
            yield FaultServer(endpoint)
