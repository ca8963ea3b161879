"""Content types by Python's own table."""

from __future__ import annotations

from collections.abc import Callable

DEFAULT_CONTENT_TYPE = "application/octet-stream"


def content_types() -> Callable[[str], str]:
    """`guess_content_type`, which from now on opens no file: there may be no descriptor for it during a transfer."""
    import mimetypes

    if not mimetypes.inited:
        mimetypes.init()  # as its first guess would do
    return guess_content_type


def guess_content_type(path: str) -> str:
    """The `Content-Type` of a path by `mimetypes`, so that `mimetypes.add_type` counts."""
    import mimetypes  # reads the system's tables: not needed to import s3bulk

    return mimetypes.guess_type(path)[0] or DEFAULT_CONTENT_TYPE
