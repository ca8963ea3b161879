# The native half of s3bulk. Applications use `s3bulk`; this page is for whoever works on the package.
#
# Every blocking call releases the GIL, waits in slices of at most 50 ms and reacts to signals. Errors are built by
# `s3bulk._errors.exception_from`; that module is imported when the first one is raised. `logger` gets its records on
# the calling thread, and only when its level is on.

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any, final

from s3bulk.options import TransferOptions

__all__ = [
    "ClientCache",
    "KeyCheck",
    "NativeClient",
    "NewFile",
    "Report",
    "Root",
    "UploadsUnderWay",
    "__version__",
    "remove_stale_files",
    "walk_folder",
]

__version__: str

@final
class NativeClient:
    """A connection pool with an endpoint, a region and credentials. Weakly referable, safe under threads."""

    def __new__(
        cls,
        *,
        endpoint_url: str | None,
        region: str,
        addressing_style: str,
        access_key: str | None,
        secret_key: str | None,
        session_token: str | None,
        web_identity: tuple[str, str, str | None] | None,
        profile: str | None,
        credentials: Callable[[], tuple[str, str, str | None, float | None]] | None,
        ca_bundle: str | None,
        proxies: dict[str, str],
    ) -> NativeClient:
        """Makes a client; no network I/O.

        Args:
            endpoint_url: Endpoint with scheme; `None` is AWS's own.
            region: Region that requests are signed for.
            addressing_style: `auto`, `path` or `virtual`.
            access_key: Used together with `secret_key`; else `profile`, container and instance metadata are asked.
            secret_key: See `access_key`.
            session_token: Token of temporary keys.
            web_identity: Token file, role and session name of a role to assume, where there are no keys.
            profile: Profile of the shared files; `None` is `default`.
            credentials: Asked in place of all these, as in `adopt`.
            ca_bundle: PEM file that replaces the trusted certificates.
            proxies: URLs of the proxies for `http` and `https`, and under `no` the hosts that are asked directly.

        Raises:
            ValueError: An endpoint, PEM file or proxy that can't be used.
        """

    @staticmethod
    def adopt(
        *,
        credentials: Callable[[], tuple[str, str, str | None, float | None]] | None,
        verify: bool,
        ca_bundle: str | None,
        proxies: dict[str, str],
        request_checksums: bool,
        response_checksums: bool,
        user_agent_extra: str | None,
        options: TransferOptions,
    ) -> NativeClient:
        """Makes a client that stands in for a boto3 client; no network I/O. `aim` comes before each call.

        Args:
            credentials: Gives access key, secret key, session token, and the seconds until it wants to be asked again
                (`None`: not during this call). Only a thread that waits for a transfer calls it; what it raises ends
                the transfer. `None` sends requests unsigned.
            verify: Whether certificates are checked.
            ca_bundle: PEM file with the certificates that are trusted.
            proxies: URLs of the proxies for `http` and `https`, for every host.
            request_checksums: Whether uploads carry a checksum.
            response_checksums: Whether checksums are asked for in downloads.
            user_agent_extra: What stands at the end of `User-Agent`.
            options: Limits.

        Raises:
            ValueError: A PEM file or proxy that can't be used.
        """

    def aim(self, bucket: str, url: str, region: str) -> None:
        """Says where requests of a bucket go from now on (`url` is without a key), and has keys asked for again."""

    def with_options(self, options: TransferOptions) -> NativeClient:
        """The same pool and credentials with other limits."""

    def ensure_bucket(self, bucket: str, region: str, logger: logging.Logger) -> bool:
        """Creates the bucket where HeadBucket does not find it; `True` when it was created."""

    def upload_file(self, path: str, bucket: str, key: str, content_type: str, logger: logging.Logger) -> None:
        """Stores one regular file: a PutObject, or a multipart upload from `multipart_threshold` on.

        With an empty `content_type` none is sent, and the server has its own.
        """

    def download_file(self, bucket: str, key: str, path: str, logger: logging.Logger) -> None:
        """Fetches one object, HeadObject first. Makes missing parent folders."""

    def upload_folder(
        self,
        local_dir: str,
        bucket: str,
        key_prefix: str,
        guess_content_type: Callable[[str], str],
        logger: logging.Logger,
    ) -> Report:
        """Stores the files below a folder.

        `guess_content_type` gets a path; it is called on the calling thread, once for each kind of name.
        """

    def download_prefix(self, bucket: str, key_prefix: str, local_dir: str, logger: logging.Logger) -> Report:
        """Fetches the objects below a prefix. Makes `local_dir` even when there are none."""

    def abort_incomplete_uploads(
        self, bucket: str, key_prefix: str, older_than: timedelta, dry_run: bool, logger: logging.Logger
    ) -> list[tuple[str, str, float]]:
        """Key, id and beginning (seconds since 1970) of the uploads under a prefix that nobody here has under way."""

    def in_use(self) -> tuple[int, int]:
        """Bytes of buffers in use and units in flight: both zero when nothing is under way."""

@final
class Report:
    """What became of a folder or prefix. Pickles; `s3bulk.Report` is what applications get."""

    def __new__(
        cls, done: list[str], failed: list[tuple[str, BaseException]], not_begun: list[str], bytes: int
    ) -> Report:
        """Puts a report together, for pickle."""

    @property
    def done(self) -> list[str]:
        """Keys (upload) or relative paths (download), in contract order."""

    @property
    def failed(self) -> list[tuple[str, BaseException]]:
        """The same names with the reason of each, in contract order."""

    @property
    def not_begun(self) -> list[str]:
        """Names that were known when the first error stopped the call."""

    @property
    def bytes(self) -> int:
        """Bytes of the files that were done."""

@final
class ClientCache:
    """A cache of clients, least recently used out first. Concurrent first calls for one config get one object.

    The key is the config's five attributes: endpoint_url, region, addressing_style, access_key, secret_key.
    """

    def __new__(cls, build: Callable[[Any], Any], maxsize: int) -> ClientCache:
        """Makes an empty cache of at most `maxsize` entries, filled by `build(config)`."""

    def get(self, config: Any) -> Any:
        """The object for this config. Where `build` raises nothing is kept."""

    def clear(self) -> None:
        """Forgets entries and statistics; objects in use go on working."""

    def info(self) -> tuple[int, int, int, int]:
        """Hits, misses, maxsize, currsize."""

@final
class Root:
    """A folder for the files of one download: none leads outside, by links either, or takes another one's place."""

    def __new__(cls, directory: str, key_prefix: str, durable: bool) -> Root:
        """Makes the folder, unless it is there.

        Args:
            directory: The folder; it may be a link to one.
            key_prefix: As for `download_prefix`; what stands before the names in errors.
            durable: `commit` of a file waits until content and name are on the disk.

        Raises:
            OSError: The folder can't be made.
        """

    def new_file(self, relative: str) -> NewFile:
        """Begins a file at a path below the folder.

        Its `commit` is a `ValueError` where another key of this download has the place, by a link or folded case, and
        holds other bytes: a folder with links to files has several keys for one, and may be fetched into itself.

        Raises:
            IsADirectoryError: A folder is there.
            ValueError: A link leads outside.
            OSError: The folder can't take the file.
        """

@final
class NewFile:
    """A local file that appears whole under its name, or not at all.

    A replaced file keeps its mode, a link stays a link, a device or FIFO is written straight.
    """

    def __new__(cls, path: str, durable: bool = False) -> NewFile:
        """Begins a file.

        Args:
            path: Where it will appear. Missing parent folders are made.
            durable: `commit` waits until content and name are on the disk.

        Raises:
            IsADirectoryError: `path` is a folder.
            OSError: The folder can't take the file.
        """

    def fileno(self) -> int:
        """Descriptor to write through; it belongs to this object, so `os.dup` it for a file object of one's own."""

    def commit(self) -> None:
        """Lets the file appear under its name."""

    def discard(self) -> None:
        """Leaves everything as it was. Does nothing after `commit`."""

def walk_folder(local_dir: str) -> list[tuple[str, str]]:
    """The regular files below a folder, as relative path with `/` and path, component by component in order.

    Raises:
        ValueError: `local_dir` is not a directory, or a file name is not UTF-8.
        OSError: A directory can't be read.
    """

def remove_stale_files(local_dir: str, unwritten_for: timedelta | None, remove: bool) -> list[str]:
    """Temporary files below a folder whose process is gone, or that can't be known and were not written to for so long.

    Raises:
        ValueError: `local_dir` is not a directory.
        OSError: A directory can't be read, or a file not removed.
    """

@final
class UploadsUnderWay:
    """The multipart uploads that native clients of this process had under way when this was made."""

    def __new__(cls) -> UploadsUnderWay:
        """Looks now."""

    def includes(self, bucket: str, key: str, upload_id: str) -> bool:
        """Whether this upload was under way, or one of its key was just beginning that may be it."""

@final
class KeyCheck:
    """Checks listed keys a page at a time, for escape and for collisions with all keys seen so far."""

    def __new__(cls, key_prefix: str) -> KeyCheck:
        """Begins a check of what a listing of `key_prefix` (ends in `/`, or is empty) returns."""

    def check_page(self, keys: list[str]) -> list[str | None]:
        """The remainder of each key; `None` for one that is passed over because it ends in `/`.

        Raises:
            ValueError: A key that would lead outside the folder, or two keys that need the same place on disk.
        """
