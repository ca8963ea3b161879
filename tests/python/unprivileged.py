"""Permission tests when the suite runs as root: what they try happens in a child that is not."""

from __future__ import annotations

import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# `nobody` on every Linux and on macOS a user without rights as well.
_NOBODY = 65534


@contextmanager
def folder_of_somebody() -> Iterator[Path]:
    """A folder that a user without privileges owns and can reach: pytest's own are closed to all but their maker."""
    name = tempfile.mkdtemp(prefix="s3bulk-unprivileged-")
    try:
        if os.geteuid() == 0:
            os.chown(name, _NOBODY, _NOBODY)
        yield Path(name)
    finally:
        shutil.rmtree(name)


def without_privileges(attempt: Callable[[], None]) -> None:
    """Runs `attempt` as a user for whom permissions hold; what it raises fails the test."""
    if os.geteuid() != 0:
        attempt()
        return
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        status = 1
        try:
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
            assert os.geteuid() == _NOBODY
            attempt()
            status = 0
        except BaseException:  # everything is told to the parent
            os.write(writer, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        what = told.read().decode()
    _, ended = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(ended) == 0, what
