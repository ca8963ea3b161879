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
    """Sets `error.report` and notes the counts. One exception may be raised by several calls: the last one counts."""
    with contextlib.suppress(AttributeError, TypeError):  # a class with slots, from a fake client
        error.report = report  # type: ignore[attr-defined]
        add_note(error, f"s3bulk: {report.summary()}; see .report of this error")


def add_note(error: BaseException, note: str) -> None:
    """`BaseException.add_note` (PEP 678), on Python 3.10 too."""
    if hasattr(error, "add_note"):
        error.add_note(note)
    else:
        error.__notes__ = [*getattr(error, "__notes__", []), note]
    pickle_with_what_was_added(type(error))


def pickle_with_what_was_added(error_class: type[BaseException]) -> None:
    """The classes of botocore pickle by methods of their own, which leave out what is not botocore's.

    The modeled ones (`client.exceptions.NoSuchKey`) are made for each session, and the table of `copyreg` would keep
    them for ever: they get a method instead.
    """
    if error_class.__reduce__ is BaseException.__reduce__ or not _is_botocores(error_class):
        return
    module = sys.modules.get(error_class.__module__)
    if getattr(module, error_class.__name__, None) is error_class:
        copyreg.pickle(error_class, _reduced)
    elif error_class.__module__ == "botocore.errorfactory" and "__reduce__" not in vars(error_class):
        error_class.__reduce__ = _reduced_modeled  # type: ignore[method-assign, assignment]


def _is_botocores(error_class: type[BaseException]) -> bool:
    return any(parent.__module__ == "botocore.exceptions" for parent in error_class.__mro__)


def _reduced(error: BaseException) -> Any:
    return _with_what_was_added(error, error.__reduce__())


def _with_what_was_added(error: BaseException, reduced: Any) -> Any:
    added = {name: value for name, value in vars(error).items() if name in _ADDED}
    # As state, which is read last: a report may hold the error that carries it.
    return (_rebuilt, reduced[:2], added) if added and isinstance(reduced, tuple) else reduced


def _reduced_modeled(error: BaseException) -> Any:
    # As the ClientError that botocore makes of it: nobody finds its own class again.
    from botocore.exceptions import ClientError

    reduced = ClientError.__reduce__(error)
    return _with_what_was_added(error, reduced)


def _rebuilt(make: Any, arguments: tuple[Any, ...]) -> Any:
    error = make(*arguments)
    pickle_with_what_was_added(type(error))  # it may be sent on
    return error
