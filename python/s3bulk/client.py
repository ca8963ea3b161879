"""The package's own client: works natively, and is the boto3 client it replaces in everything else."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeGuard

from s3bulk import _core, plain
from s3bulk._content_type import content_types
from s3bulk._log import DOWNLOADED_PREFIX, UPLOADED_FOLDER, logger
from s3bulk._parameters import check_bucket, path_of
from s3bulk.config import S3ClientConfig
from s3bulk.options import TransferOptions
from s3bulk.report import Report

if TYPE_CHECKING:
    from s3bulk._boto3_half import Boto3Half


class Client:
    """A client for one endpoint and identity, made by `make_s3_client`. Safe under threads.

    `upload_folder`, `download_prefix` and `with_options` are its own, and it has boto3's `upload_file` and
    `download_file`. Every other public attribute is that of a boto3 client of the same config, which is made when the
    first one is asked for. Whatever is put in the path of that boto3
    client (a `Stubber`, an event hook, a replaced method, moto's `mock_aws`) sees all transfers, one call at a time.
    """

    # Of the boto3 half, which type checkers do not ask: with these a client is an `S3Client`.
    head_bucket: Callable[..., Any]
    create_bucket: Callable[..., Any]
    put_object: Callable[..., Any]
    download_fileobj: Callable[..., Any]
    get_paginator: Callable[..., Any]

    def __init__(
        self, config: S3ClientConfig, options: TransferOptions | None, native: _core.NativeClient, boto3_half: Boto3Half
    ) -> None:
        """Puts the halves together; `make_s3_client` is what applications call."""
        self._config = config
        self._options = options
        self._native = native
        self._boto3_half = boto3_half

    @property
    def config(self) -> S3ClientConfig:
        """What the client was made from."""
        return self._config

    @property
    def options(self) -> TransferOptions:
        """The limits of its transfers."""
        return TransferOptions() if self._options is None else self._options

    def with_options(self, options: TransferOptions) -> Client:
        """The same connections and credentials with other limits.

        Attempts that the options leave at their default are those of the environment (`AWS_MAX_ATTEMPTS`), if it says.

        Args:
            options: The limits of the new client's transfers.

        Raises:
            TypeError: It is no `TransferOptions`.
        """
        if not isinstance(options, TransferOptions):
            raise TypeError(f"options must be TransferOptions, not {type(options).__name__}")
        options = self._boto3_half.under(options)
        return Client(self._config, options, self._native.with_options(options), self._boto3_half)

    def upload_folder(self, local_dir: str | os.PathLike[str], bucket: str, key_prefix: str) -> Report:
        """Stores every file below a folder, as the function `upload_folder` does, and reports.

        Args:
            local_dir: An existing folder.
            bucket: Bucket name or ARN.
            key_prefix: What the keys begin with; slashes around it do not count.

        Returns:
            The report, with the keys in the order of the folder.

        Raises:
            ValueError: `local_dir` is no directory.
            botocore.exceptions.ClientError: S3 answered with an error. This and others carry `.report`.
        """
        check_bucket(bucket)
        path = path_of(local_dir)
        way, through = self._boto3_half.ways(bucket, self._options, up=True)
        if way is not None:
            return way.upload_folder(path, key_prefix)
        if through is not None:
            return plain.upload_folder(through, path, bucket, key_prefix)
        with self._boto3_half.error_classes():
            report = Report.of(self._native.upload_folder(path, bucket, key_prefix, content_types(), logger))
        logger.debug(UPLOADED_FOLDER, len(report.done), path, bucket, plain.listing_prefix(key_prefix))
        return report

    def download_prefix(self, bucket: str, key_prefix: str, local_dir: str | os.PathLike[str]) -> Report:
        """Fetches every object below a prefix, as the function `download_prefix_to_folder` does, and reports.

        Args:
            bucket: Bucket name or ARN.
            key_prefix: Prefix; slashes around it do not count, and `foo` does not match `foobar/x`.
            local_dir: Folder to write into; made if need be.

        Returns:
            The report, with the relative paths in the order of the listing.

        Raises:
            ValueError: A key that would lead outside `local_dir`, or two that need the same place.
            botocore.exceptions.ClientError: S3 answered with an error. This and others carry `.report`.
        """
        check_bucket(bucket)
        path = path_of(local_dir)
        way, through = self._boto3_half.ways(bucket, self._options, up=False)
        if way is not None:
            return way.download_prefix(key_prefix, path)
        if through is not None:
            return plain.download_prefix(through, bucket, key_prefix, path, self.options.durable)
        with self._boto3_half.error_classes():
            report = Report.of(self._native.download_prefix(bucket, key_prefix, path, logger))
        logger.debug(DOWNLOADED_PREFIX, len(report.done), bucket, plain.listing_prefix(key_prefix), path)
        return report

    def upload_file(
        self,
        Filename: str | os.PathLike[str],
        Bucket: str,
        Key: str,
        ExtraArgs: dict[str, Any] | None = None,
        Callback: Callable[[int], object] | None = None,
        Config: Any = None,
    ) -> None:
        """boto3's method: natively, unless there is a callback, a `TransferConfig` or more than a `ContentType`.

        Args:
            Filename: A file.
            Bucket: Bucket name or ARN.
            Key: Key of the object.
            ExtraArgs: Arguments of the requests, `{"ContentType": "text/plain"}` for example; without one none is sent.
            Callback: Called with the bytes of each step.
            Config: A `boto3.s3.transfer.TransferConfig`.

        Raises:
            boto3.exceptions.S3UploadFailedError: S3 answered with an error.
            FileNotFoundError: There is no such file.
        """
        from s3bulk import _boto3_files  # not needed to import s3bulk

        through = self._boto3_half.in_the_way(Bucket)
        native = through is None and not Callback and Config is None
        if native and _boto3_files.can_upload(Filename, Bucket, Key, ExtraArgs):
            _boto3_files.upload(self._native, Filename, Bucket, Key, ExtraArgs)
        else:
            self._boto3_half.get().upload_file(Filename, Bucket, Key, ExtraArgs, Callback, Config)

    def download_file(
        self,
        Bucket: str,
        Key: str,
        Filename: str | os.PathLike[str],
        ExtraArgs: dict[str, Any] | None = None,
        Callback: Callable[[int], object] | None = None,
        Config: Any = None,
    ) -> None:
        """boto3's method: natively, unless there is a callback, a `TransferConfig`, an extra argument or a link.

        Args:
            Bucket: Bucket name or ARN.
            Key: Key of the object.
            Filename: Where it goes; the folder must be there. A file that is replaced keeps its mode.
            ExtraArgs: Arguments of the requests, `{"VersionId": "..."}` for example.
            Callback: Called with the bytes of each step.
            Config: A `boto3.s3.transfer.TransferConfig`.

        Raises:
            botocore.exceptions.ClientError: S3 answered with an error; code `404` where there is no such object.
            boto3.exceptions.RetriesExceededError: The body was cut, or came too late, each time.
        """
        from s3bulk import _boto3_files  # not needed to import s3bulk

        through = self._boto3_half.in_the_way(Bucket)
        native = through is None and not Callback and Config is None
        if native and _boto3_files.can_download(Filename, Bucket, Key, ExtraArgs):
            with self._boto3_half.error_classes():
                _boto3_files.download(self._native, Bucket, Key, Filename)
        else:
            self._boto3_half.get().download_file(Bucket, Key, Filename, ExtraArgs, Callback, Config)

    def __getattr__(self, name: str) -> Any:
        """Asks the boto3 half."""
        # Only what the class itself has not. Interpreter, debugger and copy ask for names with "_" in passing.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._boto3_half.get(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Replaces an attribute of the boto3 half, for tests; transfers then go through it."""
        own_name = name.startswith("_") or hasattr(type(self), name)
        owner = self if own_name else self._boto3_half.get()
        # monkeypatch puts back what it read: a bound method, which then stands in nobody's way.
        if getattr(value, "__self__", None) is owner and value.__func__ is getattr(type(owner), name, None):
            vars(owner).pop(name, None)
        elif own_name:
            object.__setattr__(self, name, value)
        else:
            setattr(owner, name, value)

    def __delattr__(self, name: str) -> None:
        """Takes back a replaced attribute of the boto3 half."""
        if name.startswith("_") or hasattr(type(self), name):
            object.__delattr__(self, name)
        else:
            delattr(self._boto3_half.get(), name)

    def __dir__(self) -> list[str]:
        """Its own names and those of the boto3 half."""
        try:
            names = dir(self._boto3_half.get())
        except Exception:  # no boto3 client of this config can be made: dir() still answers
            names = []
        return sorted({*object.__dir__(self), *(name for name in names if not name.startswith("_"))})

    def __repr__(self) -> str:
        """Endpoint and region; no keys."""
        config = self._config
        return f"<s3bulk.Client endpoint_url={config.endpoint_url!r} region={config.region!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles as its config and options."""
        from s3bulk.cache import rebuild_client

        return rebuild_client, (self._config, self._options)

    def __copy__(self) -> Client:
        """Itself: nothing in it is a caller's to change, and a copy would cost a second set of connections."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Client:
        """Itself, as `__copy__`."""
        return self


def is_own(client: Any) -> TypeGuard[Client]:
    """Whether it is a `Client`. `isinstance` takes the word of a `MagicMock(spec=client)` for it."""
    return issubclass(type(client), Client)
