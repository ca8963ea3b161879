"""A server as a child process: started under a guard, waited for by a condition, gone at the end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_GUARD = Path(__file__).with_name("guard.py")
_LINES_SHOWN = 40


class ServerDied(RuntimeError):
    """The server ended by itself; the message has the end of its log."""


class ServerProcess:
    """A running server and its log."""

    def __init__(self, guard: subprocess.Popen[bytes], name: str, log: Path) -> None:
        self._guard = guard
        self._name = name
        self.log = log

    def check_alive(self) -> None:
        """Raises `ServerDied` when the server is no longer there."""
        if self._guard.poll() is not None:
            raise ServerDied(f"{self._name} ended by itself:\n{self.end_of_log()}")

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Asks `ready` until it says yes; `TimeoutError` after `seconds`, `ServerDied` as soon as nobody is there."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.check_alive()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._name} is not ready after {seconds:.0f} s:\n{self.end_of_log()}")
            time.sleep(0.02)

    def end_of_log(self) -> str:
        """The last lines that the server wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_LINES_SHOWN:])


@contextmanager
def server_process(
    name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]
) -> Iterator[ServerProcess]:
    """Runs `command` until the block ends; when the block fails, the end of the log goes to standard error."""
    with log.open("wb") as output:
        guard = subprocess.Popen(
            [sys.executable, "-I", str(_GUARD), *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env=dict(environment),
            start_new_session=True,  # a Ctrl-C on the terminal is for the tests; they end the server
        )
    process = ServerProcess(guard, name, log)
    try:
        yield process
        process.check_alive()
    except (Exception, KeyboardInterrupt):
        print(f"---- end of {name}'s log ----\n{process.end_of_log()}", file=sys.stderr)
        raise
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        try:
            guard.wait(timeout=10)
        except subprocess.TimeoutExpired:
            guard.kill()
            guard.wait()
