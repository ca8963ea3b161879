"""Errors for which botocore has no class. They are `BotoCoreError`s, so that existing handlers catch them.

Everything else arrives as in boto3: `ClientError`, `EndpointConnectionError`, `NoCredentialsError`, `OSError`, ...
"""

from __future__ import annotations

from botocore.exceptions import BotoCoreError


class TransferError(BotoCoreError):
    """A transfer that failed for a reason botocore has no class for.

    Attributes:
        message: What went wrong, where, and what can be done about it.
    """

    fmt = "{message}"

    def __init__(self, message: str) -> None:
        """Takes the whole text."""
        super().__init__(message=message)
        self.message = message


class SourceChangedError(TransferError):
    """A local file went on changing while it was read; nothing of it was stored."""


class ObjectChangedError(TransferError):
    """An object went on changing while it was read; the local file is as it was."""


class BadResponseError(TransferError):
    """The server's response makes no sense: wrong range, missing header, broken XML."""


class OutcomeUnknownError(TransferError):
    """The server may or may not have carried the operation out, and would not say which."""


class UnsupportedOperationError(TransferError):
    """The native path does not cover this; the message says why."""


class InvalidNameError(TransferError, ValueError):
    """A file name that can't be a key: it is not UTF-8."""


class CancelledError(TransferError):
    """The file was under way when the transfer was cancelled, or when another file had failed."""


class InternalError(TransferError):
    """A bug in s3bulk."""
