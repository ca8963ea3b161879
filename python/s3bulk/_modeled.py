"""S3's errors in the classes of the client that the caller has: `except client.exceptions.NoSuchKey` finds them.

botocore makes these classes for each session, so that only those of the caller's own client will do.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from s3bulk._failures import pickle_with_what_was_added


def use_classes_of(client: Any, error: BaseException) -> None:
    """Gives an error, and those in its report, the class that the client's own calls would have raised."""
    for each in _with_reported(error):
        if type(each) is ClientError:
            each.__class__ = client.exceptions.from_code(_code(each))
            pickle_with_what_was_added(type(each))


def may_have_class(error: BaseException) -> bool:
    """Whether a client may have a class for it: the code of a HEAD without a body is its status, which has none."""
    return any(type(each) is ClientError and not _code(each).isdigit() for each in _with_reported(error))


def names_region(error: BaseException) -> bool:
    """Whether S3 may mean that the bucket is in another region, as botocore.utils.S3RegionRedirectorv2 sees it."""
    if not isinstance(error, ClientError):
        return False
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return (
        status in (301, 302, 307)
        or _code(error) in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
        # HEAD has no body that could say more.
        or (status == 400 and error.operation_name == "HeadObject")
    )


def _with_reported(error: BaseException) -> list[BaseException]:
    failed = getattr(getattr(error, "report", None), "failed", ())
    return [error, *(reason for _, reason in failed)]


def _code(error: ClientError) -> str:
    return error.response["Error"]["Code"]
