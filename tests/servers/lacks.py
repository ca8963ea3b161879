"""What S3 does and a server does not, each with what was seen.

A test that shows a promise only on a server that can do something says so: `@pytest.mark.needs("the words below")`.
"""

from __future__ import annotations

from collections.abc import Iterable

LACKS: dict[str, dict[str, str]] = {
    "moto": {
        "look at signatures": "it takes any",
        "let strangers read": "who may get an object may not ask for its head",
    },
    "minio": {
        "list uploads below a prefix": "it lists those of the one key that is the prefix",
    },
    "rclone": {
        "let strangers read": "it has no policies",
        "show that an object came in parts": "the ETag is the MD5 of the whole object, however it came",
        "say that a bucket is ours": "to create one that is there is BucketAlreadyExists, also for who made it",
    },
}


def reason_to_skip(server: str, needed: Iterable[str]) -> str | None:
    """Why a test that needs these can't run on a server; `None` where it can."""
    known = {need for lacks in LACKS.values() for need in lacks}
    for need in needed:
        if need not in known:
            raise ValueError(f"no server is known that can't {need}")
        if need in LACKS.get(server, {}):
            return f"{server} can't {need}: {LACKS[server][need]}"
    return None
