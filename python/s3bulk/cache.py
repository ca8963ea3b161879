"""`make_s3_client`: builds clients and keeps the last four."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from s3bulk._core import ClientCache, NativeClient
from s3bulk.client import Client
from s3bulk.config import S3ClientConfig
from s3bulk.options import TransferOptions

# The original's bound; an application has one or two configs, a test suite many.
MAXIMUM_CLIENTS = 4

# botocore.utils.validate_region_name and is_valid_endpoint_url. `re` compiles and keeps them when they are first used.
# A line break at the end of a region, which botocore finds out when it sends a header, is none here.
_REGION = r"^(?![0-9]+$)(?!-)[a-zA-Z0-9-]{,63}(?<!-)\Z"
_USER_INFO = r"^[^/]*//[^/?#]*@"
_ENDPOINT = r"^https?://[^/?#\s]"


class CacheInfo(NamedTuple):
    """Statistics of a cache, as `functools.lru_cache` gives them."""

    hits: int
    misses: int
    maxsize: int
    currsize: int


class CachedFactory:
    """A function of one config, cached: callable like it, with the methods of `functools.lru_cache`'s."""

    def __init__(self, build: Callable[[S3ClientConfig], Any], maxsize: int) -> None:
        """Makes an empty cache of at most `maxsize` results of `build`."""
        self._build = build
        self._cache = ClientCache(build, maxsize)
        self._maxsize = maxsize
        functools.update_wrapper(self, build)

    def __call__(self, config: S3ClientConfig) -> Any:
        """Gives the result for a config; see the function itself."""
        hash(config)  # a TypeError here, as from lru_cache, for a config that can change under the cache
        return self._cache.get(config)

    def cache_clear(self) -> None:
        """Forgets all clients and the statistics. Clients in use go on working."""
        self._cache.clear()

    def cache_info(self) -> CacheInfo:
        """Hits, misses, maxsize and currsize."""
        return CacheInfo(*self._cache.info())

    def cache_parameters(self) -> dict[str, Any]:
        """What the cache was made with."""
        return {"maxsize": self._maxsize, "typed": False}

    def __repr__(self) -> str:
        """The function's name."""
        return f"<cached function {self._build.__module__}.{self._build.__qualname__}>"

    def __reduce__(self) -> str:
        """Pickles by name, as a function does."""
        return self._build.__qualname__

    def __copy__(self) -> CachedFactory:
        """Itself, as a function's copy is."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> CachedFactory:
        """Itself, as a function's copy is."""
        return self


def cached(maxsize: int) -> Callable[[Callable[[S3ClientConfig], Any]], CachedFactory]:
    """Caches a function of one config, as `functools.lru_cache(maxsize)` does."""
    return lambda build: CachedFactory(build, maxsize)


@cached(maxsize=MAXIMUM_CLIENTS)
def make_s3_client(config: S3ClientConfig) -> Any:
    """Builds a client for a config, or gives back the one built before; the four used last are kept.

    Credentials and settings of the environment are read now, as boto3 reads them; no request is made. Static keys are
    used only when both stand in the config. Where the application has replaced `boto3.client`, as tests do, the client
    is what that returns.

    Args:
        config: Endpoint, region, addressing style, credentials: anything hashable with these five attributes.

    Returns:
        A `Client`. Beside its own methods it has those of the boto3 client of the same config.

    Raises:
        ValueError: An endpoint without scheme or host.
        botocore.exceptions.InvalidRegionError: A region that is no host label.
        botocore.exceptions.InvalidS3AddressingStyleError: An addressing style that botocore does not know.
        botocore.exceptions.PartialCredentialsError: The environment or a file has an access key without its secret.
        botocore.exceptions.ProfileNotFound: `AWS_PROFILE` names a profile that no file has.
    """
    # Not needed to import s3bulk, which command-line tools do for every `--help`.
    from s3bulk._boto3_half import Boto3Half, replaced_factory_client
    from s3bulk._environment import read_environment

    config = _own_config(config)
    replaced = replaced_factory_client(config)
    if replaced is not None:
        return replaced
    _check_endpoint(config.endpoint_url)
    _check_style(config.addressing_style)
    static_keys = bool(config.access_key and config.secret_key)
    endpoint_url: str | None = config.endpoint_url
    environment = read_environment(static_keys=static_keys, own_endpoint=endpoint_url is not None)
    region: str | None = config.region
    region = environment.region if region is None else region
    _check_region(region)
    half = Boto3Half(config, environment)
    web_identity = environment.web_identity
    native = NativeClient(
        endpoint_url=environment.endpoint_url if endpoint_url is None else endpoint_url,
        region=region or "us-east-1",
        addressing_style=config.addressing_style or "auto",
        access_key=config.access_key if static_keys else environment.access_key,
        secret_key=config.secret_key if static_keys else environment.secret_key,
        session_token=environment.session_token,
        web_identity=None if web_identity is None else web_identity.parts(),
        profile=environment.profile,
        credentials=half.credentials,
        ca_bundle=environment.ca_bundle,
        proxies=environment.proxies,
    )
    client = Client(config, None, native, half)
    return client if environment.max_attempts is None else client.with_options(TransferOptions())


def rebuild_client(config: S3ClientConfig, options: Any) -> Any:
    """What a pickled client becomes: the cached one of its config, with its options."""
    client = make_s3_client(config)
    return client if options is None or options == client.options else client.with_options(options)


def _own_config(config: Any) -> S3ClientConfig:
    # Anything hashable with the five attributes is a config; what a client keeps and pickles is ours.
    return S3ClientConfig(
        config.endpoint_url, config.region, config.addressing_style, config.access_key, config.secret_key
    )


# boto3 refuses these when it makes a client, whatever the annotations of the config say.


def _check_style(style: str | None) -> None:
    if style not in ("auto", "path", "virtual", None):
        from botocore.exceptions import InvalidS3AddressingStyleError

        raise InvalidS3AddressingStyleError(s3_addressing_style=style)


def _check_region(region: str | None) -> None:
    if region is not None and not re.match(_REGION, region):
        from botocore.exceptions import InvalidRegionError

        raise InvalidRegionError(region_name=region)


def _check_endpoint(url: str | None) -> None:
    if url is not None and (re.match(_USER_INFO, url) or not re.match(_ENDPOINT, url, re.IGNORECASE)):
        if "@" in url:  # Not shown: it may be a password.
            raise ValueError(
                "Invalid endpoint: a user name or password in it is not used; give access_key and secret_key"
            )
        raise ValueError(f"Invalid endpoint: {url}")
