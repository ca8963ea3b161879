"""What a failed bulk call adds to its error: the report, and a note for whoever reads the traceback."""

from __future__ import annotations

import contextlib

from s3bulk.report import Report


def attach_report(error: BaseException, report: Report) -> None:
    """Sets `error.report` and notes the counts, once."""
    if getattr(error, "report", None) is not None:
        return
    with contextlib.suppress(AttributeError, TypeError):  # a class with slots, from a fake client
        error.report = report  # type: ignore[attr-defined]
        add_note(error, f"s3bulk: {report.summary()}; see .report of this error")


def add_note(error: BaseException, note: str) -> None:
    """`BaseException.add_note` (PEP 678), on Python 3.10 too."""
    if hasattr(error, "add_note"):
        error.add_note(note)
    else:
        error.__notes__ = [*getattr(error, "__notes__", []), note]
