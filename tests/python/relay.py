"""A way to a server on which something happens while bytes pass."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

_PIECE = 64 << 10


@contextmanager
def relay_to(endpoint_url: str, when_sent: Callable[[int], None]) -> Iterator[str]:
    """Gives an endpoint that leads to another one; `when_sent` hears of every piece from the client first."""
    to = urlsplit(endpoint_url)
    threads: list[threading.Thread] = []
    sockets: list[socket.socket] = []

    def begin(work: Callable[..., None], *arguments: object) -> None:
        threads.append(threading.Thread(target=work, args=arguments))
        threads[-1].start()

    def carry(source: socket.socket, target: socket.socket, tell: Callable[[int], None]) -> None:
        try:
            while piece := source.recv(_PIECE):
                tell(len(piece))
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()  # the other side hears of it

    def accept() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:  # the end
                return
            server = socket.create_connection((to.hostname or "", to.port or 80))
            sockets.extend((client, server))
            begin(carry, client, server, when_sent)
            begin(carry, server, client, lambda _: None)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        begin(accept)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            threads[0].join()
            for one in sockets:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:  # it has ended already
                    continue
            for thread in threads[1:]:
                thread.join()
            for one in sockets:
                one.close()
