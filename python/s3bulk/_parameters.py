"""Arguments are checked as boto3 checks them, before a file is opened or a request is made."""

from __future__ import annotations

import os
import re
from typing import Any, NoReturn

# The patterns of botocore.handlers, word for word: they stand in the message that callers see. `re` compiles and keeps
# them when they are first used, which is not when the package is imported.
_BUCKET = r"^[a-zA-Z0-9.\-_]{1,255}$"
_ACCESS_POINT_ARN = (
    r"^arn:(aws).*:(s3|s3-object-lambda):[a-z\-0-9]*:[0-9]{12}:accesspoint[/:]"
    r"[a-zA-Z0-9\-.]{1,63}$"
)
_OUTPOST_ARN = (
    r"^arn:(aws).*:s3-outposts:[a-z\-0-9]+:[0-9]{12}:outpost[/:]"
    r"[a-zA-Z0-9\-]{1,63}[/:]accesspoint[/:][a-zA-Z0-9\-]{1,63}$"
)
_ARN = f"{_ACCESS_POINT_ARN}|{_OUTPOST_ARN}"


def check_bucket(bucket: Any) -> None:
    """Refuses a bucket name or ARN that boto3 refuses.

    Raises:
        botocore.exceptions.ParamValidationError: The name matches neither pattern.
        TypeError: It is no string.
    """
    if not isinstance(bucket, str):
        raise TypeError(f"bucket must be a str, not {type(bucket).__name__}")
    if not re.search(_BUCKET, bucket) and not re.search(_ARN, bucket):
        _refuse(
            f'Invalid bucket name "{bucket}": Bucket name must match the regex "{_BUCKET}" '
            f'or be an ARN matching the regex "{_ARN}"'
        )


def is_plain_bucket(bucket: Any) -> bool:
    """Whether it is the name of a bucket, and no ARN."""
    return isinstance(bucket, str) and re.search(_BUCKET, bucket) is not None


# Directory buckets have signatures of their own, as have some kinds of ARN. Which host and region any ARN means, beside
# an endpoint of one's own too, are botocore's rules.
_BOTOCORES_BUSINESS = r"--x-s3$|^arn:"


def is_botocores_business(bucket: Any) -> bool:
    """Whether the native half alone does not know where and how to ask for the bucket."""
    return isinstance(bucket, str) and re.search(_BOTOCORES_BUSINESS, bucket) is not None


def check_key(key: Any) -> None:
    """Refuses what is no key; one that is too long is left to the server.

    Raises:
        botocore.exceptions.ParamValidationError: It is empty or no string.
    """
    if not isinstance(key, str):
        _refuse(f"Invalid type for parameter Key, value: {key}, type: {type(key)}, valid types: {str}")
    if not key:
        _refuse("Invalid length for parameter Key, value: 0, valid min length: 1")


def path_of(path: str | os.PathLike[str]) -> str:
    """The path as text, as it stands: `~` is an ordinary character.

    Raises:
        TypeError: It is bytes, or no path.
    """
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"path must be str or os.PathLike[str], not {type(path).__name__}")
    return text or "."  # as `pathlib.Path("")`


def _refuse(report: str) -> NoReturn:
    from botocore.exceptions import ParamValidationError

    raise ParamValidationError(report=report)
