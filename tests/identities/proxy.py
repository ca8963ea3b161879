"""A proxy that makes tunnels, all of them to one server."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.identities.loopback import Handler, serve


@dataclass
class TunnelProxy:
    """The running proxy: where it is, and which names it was asked for."""

    url: str = ""
    asked: list[str] = field(default_factory=list)


@contextmanager
def tunnel_proxy(port: int) -> Iterator[TunnelProxy]:
    """Runs a proxy; whatever name it is asked for, its tunnels lead to this port of this machine."""
    state = TunnelProxy()

    class Tunnels(Handler):
        def do_CONNECT(self) -> None:
            state.asked.append(self.path)
            with socket.create_connection(("127.0.0.1", port)) as server:
                self.send_response(200)
                self.end_headers()
                _join(self.connection, server)
            self.close_connection = True

    with serve(Tunnels) as url:
        state.url = url
        yield state


def _join(client: socket.socket, server: socket.socket) -> None:
    """Passes bytes on both ways until one side ends."""
    other = {client: server, server: client}
    while True:
        for ready in select.select([client, server], [], [])[0]:
            data = ready.recv(1 << 16)
            if not data:
                return
            other[ready].sendall(data)
