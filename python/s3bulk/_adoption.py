"""The native client that stands in for a caller's boto3 client: one for each, for as long as that lives."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

from botocore.exceptions import CredentialRetrievalError

from s3bulk._core import NativeClient
from s3bulk._frozen import Credentials
from s3bulk._interception import has_own_functions, has_own_handlers, is_moto_on
from s3bulk._log import logger
from s3bulk._settings import Refusal, Settings, read_settings
from s3bulk.options import TransferOptions

Place = tuple[str, str]


class Adoption:
    """What is known of one boto3 client. It holds no reference to the client."""

    def __init__(self, client: Any) -> None:
        """Reads the client's settings.

        Raises:
            Refusal: The client must do its work itself.
        """
        if client.meta.service_model.service_name != "s3":
            raise Refusal("it is no client of S3")
        self.credentials = Credentials(client._request_signer._credentials)
        self._settings = settings = read_settings(client)
        self._native = _native(settings, self.credentials)
        self._limited = functools.lru_cache(maxsize=8)(self._native.with_options)

    def native(self, options: TransferOptions | None) -> NativeClient:
        """The native client, under other limits where there are some."""
        return self._native if options is None else self._limited(self._settings.under(options))

    def __repr__(self) -> str:
        """No settings: a proxy may have a password."""
        return "<s3bulk Adoption>"


# Entries come and go by single operations of a dictionary, so that there is no lock that a fork could leave locked.
_adoptions: weakref.WeakKeyDictionary[Any, Adoption] = weakref.WeakKeyDictionary()
_told: weakref.WeakSet[Any] = weakref.WeakSet()


def adopt(client: Any) -> Adoption | None:
    """What is known of a boto3 client in whose path nothing is; `None` where it must do its work itself.

    Raises:
        botocore.exceptions.CredentialRetrievalError: A refresh of its credentials needs the client, which waits for it.
    """
    try:
        adoption = _adoptions.get(client)
        _check_path(client)
        if adoption is None:
            adoption = _adoptions.setdefault(client, Adoption(client))
        elif adoption.credentials.source is not client._request_signer._credentials:
            adoption = _adoptions[client] = Adoption(client)
        adoption.credentials.check_not_asked_here()
    except CredentialRetrievalError:
        raise
    except Exception as error:  # Another botocore than those this was written for: the client itself is always right.
        tell_why(client, error)
        return None
    return adoption


def _check_path(client: Any) -> None:
    """Looks whether something sits in the path of a client's requests.

    Raises:
        Refusal: Something does.
    """
    if is_moto_on():
        raise Refusal("moto is active")
    if not has_own_functions(client):
        raise Refusal("a function in its path is not botocore's")
    # It is replaced whenever a handler is registered or taken away (botocore.hooks.HierarchicalEmitter).
    emitter = client.meta.events._emitter
    handlers = emitter._lookup_cache
    if vars(emitter).get("_s3bulk_looked_at") is handlers:
        return
    if not has_own_handlers(client):
        raise Refusal("its events have other handlers than those of a new client")
    # Kept with the client: a handler that holds its client would otherwise keep it alive from here.
    emitter._s3bulk_looked_at = handlers


def place_of(client: Any, bucket: str, operations: tuple[str, ...]) -> Place:
    """Where a boto3 client sends requests of a bucket, and the region that it signs them for.

    Raises:
        Refusal: A place or a signature that has no counterpart here.
    """
    places = {_place(client, bucket, operation) for operation in operations}
    if len(places) != 1:
        raise Refusal("its operations go to several places")
    return places.pop()


def _place(client: Any, bucket: str, operation: str) -> Place:
    found = client._ruleset_resolver.construct_endpoint(
        operation_model=client.meta.service_model.operation_model(operation),
        call_args={"Bucket": bucket, "Key": "key"},
        request_context={},
    )
    scheme = found.properties["authSchemes"][0]
    if found.headers or (scheme["name"], scheme["signingName"]) != ("sigv4", "s3"):
        raise Refusal(f"bucket {bucket} needs {scheme['name']} signatures")
    return found.url, scheme["signingRegion"]


def tell_why(client: Any, reason: Exception) -> None:
    """Says once for each client why it does its work itself."""
    if client not in _told:
        _told.add(client)
        why = reason if isinstance(reason, Refusal) else f"{type(reason).__name__} while looking at it"
        logger.debug("Transfers of a boto3 client go through the client itself: %s", why)


def _native(settings: Settings, credentials: Callable[[], Any]) -> NativeClient:
    if not settings.verify:
        logger.warning("Certificates are not verified: the boto3 client was made with verify=False")
    return NativeClient.adopt(
        credentials=None if settings.anonymous else credentials,
        verify=settings.verify,
        ca_bundle=settings.ca_bundle,
        proxies=settings.proxies,
        request_checksums=settings.request_checksums,
        response_checksums=settings.response_checksums,
        user_agent_extra=settings.user_agent_extra,
        options=settings.limits,
    )
