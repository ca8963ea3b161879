"""Finds what sits in a boto3 client's path and would not be seen by the native half: stubs, hooks, mocks, tracers.

The rule is "any doubt: through the client". What a fresh client of the same process has registered is botocore's own;
every handler more or less than that, and every function in the path that is not botocore's, is somebody's.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from types import FunctionType, MethodType
from typing import Any

_EVENTS = (
    "provide-client-params",
    "before-parameter-build",
    "before-endpoint-resolution",
    "before-call",
    "request-created",
    "choose-signer",
    "before-sign",
    "before-send",
    "response-received",
    "before-parse",
    "needs-retry",
    "after-call",
    "after-call-error",
)
_OPERATIONS = (
    "HeadBucket",
    "CreateBucket",
    "PutObject",
    "GetObject",
    "HeadObject",
    "ListObjectsV2",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
)
_METHODS = (
    "_make_api_call",
    "_make_request",
    "_convert_to_request_dict",
    "_emit_api_params",
    "head_bucket",
    "create_bucket",
    "put_object",
    "get_object",
    "head_object",
    "list_objects_v2",
    "get_paginator",
)
# boto3 adds these; a client of botocore's own has none.
_ADDED_METHODS = (
    "download_fileobj",
    "download_file",
    "upload_fileobj",
    "upload_file",
)
_ENDPOINT_METHODS = (
    "make_request",
    "create_request",
    "prepare_request",
    "_send_request",
    "_get_response",
    "_do_get_response",
    "_send",
)
_SIGNER_METHODS = ("handler", "sign", "get_auth_instance")
_SESSION_METHODS = ("send",)
_RESOLVER_METHODS = ("construct_endpoint",)
# What every client is made of, whichever it is: module, class and functions.
_CLASSES = (
    ("botocore.client", "BaseClient", _METHODS),
    ("botocore.endpoint", "Endpoint", _ENDPOINT_METHODS),
    ("botocore.httpsession", "URLLib3Session", _SESSION_METHODS),
    ("botocore.signers", "RequestSigner", _SIGNER_METHODS),
    ("botocore.regions", "EndpointRulesetResolver", _RESOLVER_METHODS),
    ("botocore.auth", "SigV4Auth", ("add_auth", "signature")),
    ("botocore.auth", "S3SigV4Auth", ("add_auth",)),
    ("botocore.hooks", "EventAliaser", ("emit", "emit_until_response")),
    ("botocore.hooks", "HierarchicalEmitter", ("_emit",)),
    ("botocore.awsrequest", "AWSConnection", ("request", "send")),
    ("urllib3.connection", "HTTPConnection", ("connect", "request")),
    ("urllib3.connectionpool", "HTTPConnectionPool", ("urlopen", "_make_request")),
)
# Whose functions those are.
_PATH = ("botocore", "boto3", "s3transfer", "urllib3")
_POOLS = ("AWSHTTPConnectionPool", "AWSHTTPSConnectionPool")
_VARYING = (
    # These depend on a client's Config.
    "botocore.retries.",
    "botocore.retryhandler.",
    "botocore.client.ClientCreator._default_s3_presign",
    # boto3's upload_fileobj and its kin leave these behind: they switch progress callbacks on and off.
    "s3transfer.utils.signal_",
)


def is_moto_on() -> bool:
    """Whether moto's `mock_aws` is active. moto is not imported to find out."""
    stubber = getattr(sys.modules.get("moto.core.models"), "botocore_stubber", None)
    return bool(getattr(stubber, "enabled", False))


def is_boto3_factory_replaced() -> bool:
    """Whether somebody has put another function in the place of `boto3.client`, or of its session's method.

    boto3 is not imported to find out.
    """
    boto3: Any = sys.modules.get("boto3")
    factory = getattr(boto3, "client", None)
    if factory is None:
        return False
    session = boto3.DEFAULT_SESSION
    method = getattr(boto3.Session if session is None else type(session), "client", None)
    return not _is_own(factory) or not _is_own(method) or "client" in getattr(session, "__dict__", {})


def is_botocore_patched() -> bool:
    """Whether something sits in the path of clients that are not made yet: among botocore's functions, or in Python's.

    botocore is not imported to find out. The wrapper of a tracer, which is no function itself (`wrapt` makes them),
    only looks on: for its sake no client is made.
    """
    if not _is_socket_pythons():
        return True
    if not all(map(_is_own_or_traced, _functions_of_every_client())):
        return True
    awsrequest = sys.modules.get("botocore.awsrequest")
    pools = [getattr(awsrequest, name) for name in _POOLS if hasattr(awsrequest, name)]
    return any(pool.ConnectionCls.__module__ != "botocore.awsrequest" for pool in pools)


def _functions_of_every_client() -> Iterator[Any]:
    pythons = getattr(sys.modules.get("http.client"), "HTTPConnection", None)
    for module, name, functions in _CLASSES:
        family = getattr(sys.modules.get(module), name, None)
        # Those of operations are in the classes that botocore makes; what a class inherits from Python stays Python's.
        for each in functions:
            function = getattr(family, each, None)
            if function is not None and function is not getattr(pythons, each, None):
                yield function


def _is_socket_pythons() -> bool:
    socket: Any = sys.modules.get("socket")
    return socket is None or (
        socket.socket.__module__ == "socket"
        and not any(name in vars(socket.socket) for name in ("connect", "connect_ex"))  # they are inherited from C
        and all(_is_own(getattr(socket, name), ("socket",)) for name in ("getaddrinfo", "create_connection"))
    )


def _is_own_or_traced(function: Any) -> bool:
    original = function if type(function) is FunctionType else getattr(function, "__wrapped__", None)
    return _is_own(original, _PATH)


def is_untouched(client: Any) -> bool:
    """Whether requests of this boto3 client run through nothing but botocore. Any doubt is a no."""
    try:
        return has_own_functions(client) and has_own_handlers(client)
    except Exception:  # Another botocore than those this was written for: the client itself is always right.
        return False


def _is_own(function: Any, packages: tuple[str, ...] = ("botocore", "boto3", "s3transfer")) -> bool:
    # `__globals__` can't be forged by functools.wraps, `__module__` can.
    return type(function) is FunctionType and function.__globals__.get("__name__", "").split(".")[0] in packages


def has_own_functions(client: Any) -> bool:
    """Whether every function in the client's path is botocore's."""
    import botocore.auth
    import botocore.client
    import botocore.endpoint
    import botocore.httpsession
    import botocore.regions
    import botocore.signers

    if type(client).__mro__[1:] != (botocore.client.BaseClient, object) or not _is_socket_pythons():
        return False
    endpoint = client._endpoint
    session = endpoint.http_session
    parts: tuple[tuple[Any, type, tuple[str, ...]], ...] = (
        (client, type(client), _METHODS),
        (client, type(client), tuple(name for name in _ADDED_METHODS if hasattr(client, name))),
        (endpoint, botocore.endpoint.Endpoint, _ENDPOINT_METHODS),
        (session, botocore.httpsession.URLLib3Session, _SESSION_METHODS),
        (client._ruleset_resolver, botocore.regions.EndpointRulesetResolver, _RESOLVER_METHODS),
        (client._request_signer, botocore.signers.RequestSigner, _SIGNER_METHODS),
    )
    for instance, expected, names in parts:
        if type(instance) is not expected:
            return False
        if any(name in vars(instance) or not _is_own(getattr(expected, name)) for name in names):
            return False
    pools = session._pool_classes_by_scheme.values()
    parts = (client._serializer, client._response_parser, session._manager)
    return (
        all(pool.ConnectionCls.__module__ == "botocore.awsrequest" for pool in pools)
        and all(type(part).__module__.startswith(("botocore.", "urllib3.")) for part in parts)
        # With awscrt installed botocore signs with that.
        and botocore.auth.AUTH_TYPE_MAPS["s3v4"].__module__ in ("botocore.auth", "botocore.crt.auth")
        and all(_is_own(function, _PATH) for function in _functions_of_every_client())
    )


def has_own_handlers(client: Any) -> bool:
    """Whether the client's events have the handlers of a new client, and no others."""
    now, fresh = _handlers(client), _fresh_handlers()
    # A fresh client has them too where they stand among botocore's built-in ones.
    if _has_somebodys(now):
        return False
    return all(label.startswith(_VARYING) for at in fresh for label in (now[at] - fresh[at]) + (fresh[at] - now[at]))


def has_hooks(session: Any) -> bool:
    """Whether a session of boto3's has handlers that are somebody's, which its next clients get. Any doubt is a yes."""
    try:
        return _has_somebodys(_registered(session.events))
    except Exception:  # Another botocore than those this was written for.
        return True


def _has_somebodys(handlers: dict[tuple[str, str], Counter[str]]) -> bool:
    return any("?" in labels for labels in handlers.values())


def _handlers(client: Any) -> dict[tuple[str, str], Counter[str]]:
    return _registered(client.meta.events)


def _registered(events: Any) -> dict[tuple[str, str], Counter[str]]:
    registered = events._emitter._handlers
    return {
        (event, operation): Counter(
            _label(handler)
            for handler in registered.prefix_search(f"{event}.s3.{operation}")
            if not type(handler).__module__.startswith("moto.")  # it stays registered; `is_moto_on` says if it acts
        )
        for event in _EVENTS
        for operation in _OPERATIONS
    }


def _label(handler: Any) -> str:
    """Names botocore's own handlers; everything else is `?`, which no fresh client has."""
    if type(handler) not in (MethodType, FunctionType):
        return f"{type(handler).__module__}.{type(handler).__qualname__}"
    function = getattr(handler, "__func__", handler)
    if not _is_own(function):
        return "?"
    if function is handler:
        return f"{function.__module__}.{function.__qualname__}"
    owner = type(handler.__self__)
    return f"{owner.__module__}.{owner.__qualname__}.{function.__name__}"


@lru_cache(maxsize=1)
def _fresh_handlers() -> dict[tuple[str, str], Counter[str]]:
    import botocore.session

    session: Any = botocore.session.Session()
    # Client-side monitoring, which the environment may have switched on, is not botocore's own business.
    session._internal_components.register_component("monitor", None)
    # Keys of no meaning: no request is made, and none must be looked for.
    fresh = session.create_client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    return _handlers(fresh)
