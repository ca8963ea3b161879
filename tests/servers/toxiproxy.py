"""Toxiproxy: connections to another server that are slow, cut, or silent. `make servers` builds it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.servers.ask import ask
from tests.servers.ports import free_port_pairs
from tests.servers.process import server_process
from tests.servers.program import program
from tests.servers.server import Server

PROGRAM = "toxiproxy-server"
_READY_WITHIN = 60  # seconds
_NAME = "s3"


class Toxiproxy:
    """A running one with one proxy.

    Attributes:
        server: The server behind it, by the way through it.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.server: Server

    def is_ready(self) -> bool:
        try:
            return bool(self._ask("GET", "/proxies") == {})
        except OSError:
            return False

    def lead_to(self, server: Server) -> None:
        upstream = urlsplit(server.endpoint_url).netloc
        proxy = self._ask("POST", "/proxies", {"name": _NAME, "listen": "127.0.0.1:0", "upstream": upstream})
        self.server = replace(server, endpoint_url=f"http://{proxy['listen']}")

    @contextmanager
    def toxic(self, kind: str, **attributes: int) -> Iterator[None]:
        """Every connection has it in both directions; the words are Toxiproxy's own."""
        names = {stream: f"{kind}_{stream}" for stream in ("upstream", "downstream")}
        for stream, name in names.items():
            toxic = {"name": name, "type": kind, "stream": stream, "toxicity": 1.0, "attributes": attributes}
            self._ask("POST", f"/proxies/{_NAME}/toxics", toxic)
        try:
            yield
        finally:
            for name in names.values():
                self._ask("DELETE", f"/proxies/{_NAME}/toxics/{name}")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        text = ask(f"127.0.0.1:{self._port}", method, path, None if body is None else json.dumps(body))
        return json.loads(text) if text else None


@contextmanager
def toxiproxy_to(server: Server, directory: Path) -> Iterator[Toxiproxy]:
    """Runs one before a server until the block ends; its log goes to `directory`."""
    (port,) = free_port_pairs(1)
    command = [program(PROGRAM, "make servers"), "-host=127.0.0.1", f"-port={port}"]
    with server_process("toxiproxy", command, directory / "log", os.environ) as process:
        toxiproxy = Toxiproxy(port)
        process.wait_until(toxiproxy.is_ready, _READY_WITHIN)
        toxiproxy.lead_to(server)
        yield toxiproxy
