"""What a failed call adds to its error: the report, and a note for whoever reads the traceback."""

from __future__ import annotations

import contextlib
import copyreg
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s3bulk.report import Report

_ADDED = ("report", "__notes__")


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
    _pickle_with_what_was_added(type(error))


def _pickle_with_what_was_added(error_class: type[BaseException]) -> None:
    """The classes of botocore pickle by methods of their own, which leave out what is not botocore's.

    The modeled ones (`client.exceptions.NoSuchKey`) are left alone: they are made for each client, and the table of
    `copyreg` would keep them for ever.
    """
    module = sys.modules.get(error_class.__module__)
    can_be_found = getattr(module, error_class.__name__, None) is error_class
    if can_be_found and error_class.__reduce__ is not BaseException.__reduce__ and _is_botocores(error_class):
        copyreg.pickle(error_class, _reduced)


def _is_botocores(error_class: type[BaseException]) -> bool:
    return any(parent.__module__ == "botocore.exceptions" for parent in error_class.__mro__)


def _reduced(error: BaseException) -> Any:
    reduced = error.__reduce__()
    added = {name: value for name, value in vars(error).items() if name in _ADDED}
    # As state, which is read last: a report may hold the error that carries it.
    return (_rebuilt, reduced[:2], added) if added and isinstance(reduced, tuple) else reduced


def _rebuilt(make: Any, arguments: tuple[Any, ...]) -> Any:
    error = make(*arguments)
    _pickle_with_what_was_added(type(error))  # it may be sent on
    return error
