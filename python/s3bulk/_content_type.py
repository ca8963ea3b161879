"""Content types by Python's own table."""

from __future__ import annotations

DEFAULT_CONTENT_TYPE = "application/octet-stream"


def guess_content_type(path: str) -> str:
    """The `Content-Type` of a path by `mimetypes`, so that `mimetypes.add_type` counts."""
    import mimetypes  # reads the system's tables: not needed to import s3bulk

    return mimetypes.guess_type(path)[0] or DEFAULT_CONTENT_TYPE
