"""Whatever the keys and the links in the target are: every inode that a download makes is below the target.

The kernel's word for it, by strace: what was made elsewhere on the machine shows as well.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from s3bulk import download_prefix_to_folder, make_s3_client

from tests.python.conftest import boto3_client, config_of, new_bucket, put_all
from tests.python.faulty_disk import traced
from tests.servers import Server

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="strace is Linux's"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="NOT TESTED: there is no strace to see what is made"),
]

_MAKING = (
    "open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,link,linkat,symlink,symlinkat,rename,renameat,renameat2"
)
# A name that is given, and the folder that it is relative to.
_NAMED = re.compile(r'(?:AT_FDCWD|\d+)<([^>]*)>, "((?:[^"\\]|\\.)*)"')
_OPENED = re.compile(r"= \d+<([^>]*)>")

# Each is a listing of its own: a page with one that is refused is not begun.
_KEYS = [
    ["a/b/c/good", "good", "large"],
    ["in/good", "in/new/good"],
    ["../x"],
    ["a/../../x"],
    ["/etc/s3bulk-x"],
    ["a/../../../../../../../../tmp/s3bulk-x"],
    ["out/x", "a/x"],
    ["out/new/x"],
    ["up/x"],
    ["top/tmp/s3bulk-x"],
    ["file"],
    ["new"],
    ["dangling/x"],
]


def _whole(log: list[str]) -> Iterator[str]:
    """The calls of a log, also those that strace has written in two pieces because another thread came in between."""
    begun: dict[str, str] = {}
    for line in log:
        thread, call = line.strip().split(maxsplit=1)
        if call.endswith("<unfinished ...>"):
            begun[thread] = call.removesuffix("<unfinished ...>")
        elif call.startswith("<... "):
            yield begun.pop(thread, "") + call.partition(" resumed>")[2]
        else:
            yield call


def _made(line: str) -> str | None:
    """The path of the inode, or of the name, that a call has made; nothing for a call that made none."""
    if re.search(r"= -1 E[A-Z]+", line) or "(" not in line or line.startswith(("+++", "---")):
        return None
    if "open" in line.split("(")[0] or "creat(" in line:
        opened = _OPENED.search(line)
        is_made = "O_CREAT" in line or "O_TMPFILE" in line or "creat(" in line
        return str(opened[1]).removesuffix("(deleted)") if is_made and opened else None
    named = _NAMED.findall(line)
    assert named, f"not understood: {line}"
    return os.path.normpath(os.path.join(*map(str, named[-1])))


def _furnish(target: Path, outside: Path) -> None:
    outside.mkdir()
    (target / "a").mkdir(parents=True)
    (target / "a" / "inner").mkdir()
    for name, text in [
        ("in", "a/inner"),
        ("out", str(outside)),
        ("up", ".."),
        ("top", "/"),
        ("file", str(outside / "file")),
        ("new", "../outside/new"),
        ("dangling", "missing/folder"),
    ]:
        (target / name).symlink_to(text)


def test_every_inode_is_made_below_the_target(moto: Server, tmp_path: Path) -> None:
    judge = boto3_client(moto)
    bucket = new_bucket(judge)
    for number, keys in enumerate(_KEYS):
        put_all(judge, bucket, {f"{number}/{key}": b"x" * (3 << 20 if key == "large" else 9) for key in keys})
    put_all(judge, bucket, {"warm/x": b"x"})
    target, outside = (tmp_path / "target").resolve(), tmp_path / "outside"
    _furnish(target, outside)
    client = make_s3_client(config_of(moto))
    ended: list[Any] = []

    def warm_up() -> None:
        download_prefix_to_folder(client, bucket, "warm", tmp_path / "warm")

    with traced(warm_up, "-y", "-s", "4096", "-e", f"trace={_MAKING}", whole_process=True) as log:
        for number in range(len(_KEYS)):
            try:
                ended.append(download_prefix_to_folder(client, bucket, str(number), target))
            except (ValueError, OSError) as error:
                ended.append(error)

    assert ended[:2] == _KEYS[:2], "what leads nowhere is done"
    assert all(isinstance(error, Exception) for error in ended[2:6]), ended
    made = [path for path in map(_made, _whole(log)) if path is not None]
    # An inode and a name for each of them, and folders.
    assert len(made) > 2 * sum(map(len, _KEYS[:2])), f"strace has seen too little: {made}"
    elsewhere = [path for path in made if not Path(path).is_relative_to(target)]
    assert elsewhere == []
    assert list(outside.iterdir()) == []
