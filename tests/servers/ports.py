"""Free TCP ports for servers that cannot be given port 0."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

# Above the ports of well-known services and, with the distance added, below the range from which kernels take ports
# of outgoing connections (Linux from 32768: ip(7), ip_local_port_range; macOS from 49152): none of ours is taken
# between looking and starting.
_FIRST, _LAST = 11_000, 22_000
DISTANCE = 10_000


def free_port_pairs(count: int) -> list[int]:
    """Gives `count` ports that are free on 127.0.0.1 together with the port `DISTANCE` above each."""
    pairs: list[int] = []
    with ExitStack() as held:
        for port in random.sample(range(_FIRST, _LAST), _LAST - _FIRST):
            try:
                for number in (port, port + DISTANCE):
                    held.enter_context(socket.create_server(("127.0.0.1", number)))
            except OSError:
                continue
            pairs.append(port)
            if len(pairs) == count:
                return pairs
    raise RuntimeError(f"no {count} free pairs of ports between {_FIRST} and {_LAST}")
