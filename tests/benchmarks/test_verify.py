"""A transfer that went wrong gets no time: what the benchmarks compare, they really compare."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.verify import Wrong, check_download
from benchmarks.workload import KIB, MIB, Workload, make


def _remove_a_file(copy: Path) -> None:
    (copy / "000/00001.bin").unlink()


def _add_a_file(copy: Path) -> None:
    (copy / "000/new").touch()


def _empty_a_file(copy: Path) -> None:
    (copy / "000/00001.bin").write_bytes(b"")


def _change_a_byte(copy: Path) -> None:
    with (copy / "000/00001.bin").open("r+b") as file:
        file.seek(-1, 2)
        (last,) = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))


def _exchange_two_files(copy: Path) -> None:
    (copy / "000/00001.bin").rename(copy / "kept")
    (copy / "000/00002.bin").rename(copy / "000/00001.bin")
    (copy / "kept").rename(copy / "000/00002.bin")


def _exchange_two_mebibytes(copy: Path) -> None:
    path = copy / "000/00000.bin"
    content = path.read_bytes()
    path.write_bytes(content[MIB:] + content[:MIB])


@pytest.mark.parametrize(
    ("damage", "file_bytes"),
    [
        (_remove_a_file, KIB),
        (_add_a_file, KIB),
        (_empty_a_file, KIB),
        (_change_a_byte, KIB),
        (_exchange_two_files, KIB),
        (_exchange_two_mebibytes, 2 * MIB),
    ],
)
def test_a_damaged_download_is_noticed(tmp_path: Path, damage: Callable[[Path], None], file_bytes: int) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    make(Workload("few", 3, file_bytes), source)
    shutil.copytree(source, copy)
    check_download(source, copy)
    damage(copy)
    with pytest.raises(Wrong):
        check_download(source, copy)
