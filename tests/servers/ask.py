"""What a test asks a server of its own, besides S3: over HTTP, on a connection of its own."""

from __future__ import annotations

import http.client
from contextlib import closing

PATIENCE = 30  # seconds until something that must happen has not


def ask(host: str, method: str, path: str, body: str | None = None) -> str:
    """Gives the answer's body; an answer that is an error is a `ValueError`."""
    with closing(http.client.HTTPConnection(host, timeout=PATIENCE)) as connection:
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read().decode()
    if answer.status >= 300:
        raise ValueError(f"{method} {path}: {answer.status} {text}")
    return text
