"""The scripted server of the Rust tests (tests/fault_server) as a program: it stops where a test wants it to."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers.ask import PATIENCE, ask
from tests.servers.server import ACCESS_KEY, SECRET_KEY, Server

_PROGRAM = Path(__file__).resolve().parents[2] / "target" / "debug" / "examples" / "fault_server"


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
        deadline = time.monotonic() + PATIENCE
        while not happened(stats := self.stats()):
            assert time.monotonic() < deadline, f"{what}: {stats}"
            time.sleep(0.005)

    def _ask(self, method: str, path: str, body: str | None = None) -> str:
        return ask(self.server.endpoint_url.removeprefix("http://"), method, path, body)


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
