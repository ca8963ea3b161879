"""The one mapping from the engine's errors to the exceptions that boto3 would raise.

The engine imports this module when its first error is raised, and botocore comes in with it.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Callable
from typing import Any

import botocore.exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError

from s3bulk import errors
from s3bulk._failures import add_note, attach_report
from s3bulk.report import Report

Failure = dict[str, Any]


def exception_from(failure: Failure) -> BaseException:
    """Builds the exception for a failure of the engine.

    Args:
        failure: `kind`, `message`, `text` (message and context), `operation`, `bucket`, `key`, `path`, `endpoint`,
            `attempts`, `attempts_used_up`; of the kind `service` also `status`, `code`,
            `service_message`, `request_id`, `host_id`, `headers`, `details`; of the kind `io` also `errno`; of a folder
            or prefix `report`.

    Returns:
        An exception to raise. It pickles, holds no secret, and carries the context as a note where its own text,
        which is botocore's, has no place for it.
    """
    exception = _MAPPING.get(failure["kind"], _internal)(failure)
    if failure["text"] not in str(exception):
        add_note(exception, f"s3bulk: {failure['text']}")
    report = failure.get("report")
    if report is not None:
        attach_report(exception, Report.of(report))
    return exception


def _service(failure: Failure) -> BaseException:
    metadata: Any = {
        "RequestId": failure.get("request_id") or "",
        "HostId": failure.get("host_id") or "",
        "HTTPStatusCode": failure["status"],
        "HTTPHeaders": dict(failure.get("headers") or {}),
        "RetryAttempts": max((failure.get("attempts") or 0) - 1, 0),
    }
    if failure.get("attempts_used_up"):
        metadata["MaxAttemptsReached"] = True
    error: Any = {**(failure.get("details") or {}), "Code": failure["code"]}
    if failure["code"] == str(failure["status"]):
        # No document: botocore takes the reason phrases of Python, which differ from version to version.
        error["Message"] = http.client.responses.get(failure["status"], "")
    elif failure.get("service_message"):
        error["Message"] = failure["service_message"]
    return ClientError({"Error": error, "ResponseMetadata": metadata}, failure.get("operation") or "Unknown")


def _at_endpoint(error_class: Callable[..., BaseException]) -> Callable[[Failure], BaseException]:
    def build(failure: Failure) -> BaseException:
        error = error_class(endpoint_url=_endpoint(failure), error=failure["message"])
        error._s3bulk_operation = failure.get("operation")  # type: ignore[attr-defined] # botocore says it nowhere
        return error

    return build


def _proxy(failure: Failure) -> BaseException:
    message = str(failure["message"])
    url = next((word.strip(":;,") for word in message.split() if "://" in word), message)
    return boto.ProxyConnectionError(proxy_url=url, error=message)


def _endpoint(failure: Failure) -> str:
    return str(failure.get("endpoint") or "None")


def _local(failure: Failure) -> BaseException:
    number = failure.get("errno")
    if number is None:
        return OSError(failure["text"])
    path = failure.get("path")
    # The subclass (PermissionError, IsADirectoryError, ...) comes with the number.
    return OSError(number, os.strerror(number)) if path is None else OSError(number, os.strerror(number), path)


def _checksum_mismatch(failure: Failure) -> BaseException:
    # botocore has had the class since 1.36.
    error_class: type[BotoCoreError] | None = getattr(boto, "FlexibleChecksumError", None)
    return errors.BadResponseError(failure["text"]) if error_class is None else error_class(error_msg=failure["text"])


def _invalid_region(failure: Failure) -> BaseException:
    return boto.InvalidRegionError(region_name=failure.get("region") or failure["message"])


def _text(error_class: Callable[[str], BaseException]) -> Callable[[Failure], BaseException]:
    return lambda failure: error_class(failure["text"])


def _internal(failure: Failure) -> BaseException:
    return errors.InternalError(failure["text"])


_MAPPING: dict[str, Callable[[Failure], BaseException]] = {
    "service": _service,
    "invalid_parameter": lambda failure: boto.ParamValidationError(report=failure["message"]),
    "invalid_configuration": _text(ValueError),
    "invalid_region": _invalid_region,
    "connect": _at_endpoint(boto.EndpointConnectionError),
    "connect_timeout": _at_endpoint(boto.ConnectTimeoutError),
    "read_timeout": _at_endpoint(boto.ReadTimeoutError),
    "connection_closed": _at_endpoint(boto.ConnectionClosedError),
    "tls": _at_endpoint(boto.SSLError),
    "proxy": _proxy,
    "body_cut": lambda failure: boto.ResponseStreamingError(error=failure["text"]),
    "checksum_mismatch": _checksum_mismatch,
    "bad_response": _text(errors.BadResponseError),
    "no_credentials": lambda failure: boto.NoCredentialsError(),
    "credentials": lambda failure: boto.CredentialRetrievalError(
        provider="the default chain", error_msg=failure["message"]
    ),
    "io": _local,
    "not_a_file": _text(FileNotFoundError),
    "not_a_directory": _text(ValueError),
    "source_changed": _text(errors.SourceChangedError),
    "object_changed": _text(errors.ObjectChangedError),
    "suspicious_key": _text(ValueError),
    "key_collision": _text(ValueError),
    "invalid_name": _text(errors.InvalidNameError),
    "outcome_unknown": _text(errors.OutcomeUnknownError),
    "unsupported": _text(errors.UnsupportedOperationError),
    "cancelled": _text(errors.CancelledError),
    "internal": _internal,
}
