"""Whether a transfer moved everything. What it did wrong makes its time worthless."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from benchmarks.server import Endpoint
from benchmarks.workload import MIB


class Wrong(Exception):
    """The files or objects are not what they should be."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def check_upload(source: Path, endpoint: Endpoint, prefix: str, discarded: bool) -> None:
    """Holds the objects against the files: names and sizes, and every byte where the endpoint has kept them."""
    expected = _sizes(source)
    _check_names(expected, endpoint.listed(prefix))
    if not discarded:
        for name, response in endpoint.contents(prefix, iter(expected)):
            with (source / name).open("rb") as file:
                _check_bytes(name, file, response)


def check_download(source: Path, copy: Path) -> None:
    """Holds the copy against the files, every byte."""
    expected = _sizes(source)
    _check_names(expected, _sizes(copy))
    for name in expected:
        with (source / name).open("rb") as file, (copy / name).open("rb") as other:
            _check_bytes(name, file, other)


def _sizes(folder: Path) -> dict[str, int]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}


def _check_names(expected: dict[str, int], found: dict[str, int]) -> None:
    if different := sorted(expected.items() ^ found.items()):
        name, size = different[0]
        raise Wrong(f"{len(found):,} of {len(expected):,} there; the first that differs: {name}, {size:,} bytes")


def _check_bytes(name: str, file: _Readable, other: _Readable) -> None:
    while True:
        piece = file.read(MIB)
        if piece != other.read(MIB):
            raise Wrong(f"{name} has other bytes")
        if not piece:
            return
