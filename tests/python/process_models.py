"""Programs that transfer in each of the ways in which processes and threads come and go.

Run as `python -m tests.python.process_models <arguments as JSON>`. What hangs ends with a traceback of all its threads.
"""

from __future__ import annotations

import atexit
import gc
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from s3bulk import download_prefix_to_folder, make_s3_client, remove_stale_temporary_files, upload_folder

from tests.python.process_case import PATIENCE, Case, ended_well, forked, meanwhile, watch


def fork_before(case: Case) -> None:
    client = case.client()
    child = forked(lambda: case.both(client))
    case.load(client)
    ended_well(child)


def fork_during(case: Case) -> None:
    client = case.client()
    with meanwhile(lambda: case.both(client)):
        for _ in range(3):
            ended_well(forked(lambda: case.both(client)))


def fork_during_the_first_transfer(case: Case) -> None:
    """What is made once in a process may be half made. In a new process each time."""
    client = case.client()
    with meanwhile(lambda: case.store(client)):
        children = [forked(lambda: case.both(client)) for _ in range(3)]
    ended_well(*children)


def fork_after(case: Case) -> None:
    client = case.client()
    case.both(client)
    ended_well(forked(lambda: case.both(client)))
    case.both(client)


def fork_of_a_fork(case: Case) -> None:
    client = case.client()
    case.load(client)

    def child() -> None:
        case.load(client)
        ended_well(forked(lambda: case.load(client)))
        case.load(client)

    ended_well(forked(child))


def prefork_server(case: Case) -> None:
    client = case.client()
    case.both(client)
    reader, writer = os.pipe()

    def worker() -> None:
        os.close(writer)
        os.read(reader, 1)  # all at once
        case.both(client)

    workers = [forked(worker) for _ in range(4)]
    os.close(writer)
    os.close(reader)
    case.both(client)
    ended_well(*workers)


def loader(case: Case) -> None:
    """Workers that begin when they are needed, load for ever, and are killed."""
    client = case.client()
    case.load(client)
    for _ in range(3):
        reader, writer = os.pipe()

        def work(writer: int = writer) -> None:
            while True:
                case.load(client)
                os.write(writer, b"l")

        worker = forked(work)
        os.close(writer)
        assert os.read(reader, 1) == b"l"
        # Anywhere in its second load.
        threading.Event().wait(random.random() / 50)
        os.kill(worker, signal.SIGKILL)
        assert os.waitpid(worker, 0)[1] == signal.SIGKILL
        os.close(reader)
        case.load(client)


def _both_in_child(client: Any, case: Case) -> None:
    watch()
    case.both(client)


def _multiprocessing(case: Case, method: str) -> None:
    client = case.client()
    case.load(client)
    context: Any = multiprocessing.get_context(method)
    with meanwhile(lambda: case.load(client)):
        children = [context.Process(target=_both_in_child, args=(client, case)) for _ in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join()
    assert [child.exitcode for child in children] == [0, 0]


def multiprocessing_fork(case: Case) -> None:
    _multiprocessing(case, "fork")


def multiprocessing_forkserver(case: Case) -> None:
    _multiprocessing(case, "forkserver")


def multiprocessing_spawn(case: Case) -> None:
    _multiprocessing(case, "spawn")


def fork_in_a_thread(case: Case) -> None:
    client = case.client()
    with meanwhile(lambda: case.both(client), threads=2), ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: ended_well(forked(lambda: case.both(client)))).result()


def child_that_does_nothing(case: Case) -> None:
    client = case.client()
    with meanwhile(lambda: case.both(client)):
        ended_well(forked(lambda: None))
        ended_well(forked(lambda: sys.exit(0)))  # with all exit handlers
    case.both(client)


def child_that_clears_the_cache(case: Case) -> None:
    client = case.client()

    def child() -> None:
        nonlocal client
        del client
        make_s3_client.cache_clear()
        gc.collect()
        case.both(case.client())

    with meanwhile(lambda client=client: case.load(client)):  # type: ignore[misc]
        ended_well(forked(child))
    case.load(client)


_hook: Callable[[], object] | None = None


def _run_hook() -> None:
    if _hook is not None:
        _hook()


# They can't be taken back.
os.register_at_fork(before=_run_hook, after_in_parent=_run_hook, after_in_child=_run_hook)


def hooks_of_a_fork(case: Case) -> None:
    global _hook
    client = case.client()
    case.load(client)
    _hook = lambda: case.load(client)  # noqa: E731
    try:
        with meanwhile(lambda: case.load(client)):
            ended_well(forked(lambda: case.load(client)))
    finally:
        _hook = None


def threads_share_a_client(case: Case) -> None:
    client = case.client()
    with meanwhile(lambda: case.both(client), threads=4):
        for _ in range(20):
            gc.collect()


def client_that_goes_while_it_works(case: Case) -> None:
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(lambda: case.both(case.client()))
        while not call.done():
            make_s3_client.cache_clear()
            gc.collect()
        call.result()


def daemon_thread_at_exit(case: Case) -> None:
    """The end of the interpreter finds it anywhere. In a new process each time."""
    # Threads lend each other the GIL wherever they can.
    sys.setswitchinterval(1e-6)
    moved = threading.Event()

    def for_ever() -> None:
        client = case.client()
        while True:
            case.both(client)
            moved.set()

    threading.Thread(target=for_ever, daemon=True).start()
    assert moved.wait(PATIENCE)
    threading.Event().wait(random.random() / 20)


class Memory:
    """A client of nobody's: the package calls it, and does the work on the disk."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def get_paginator(self, _name: str) -> Memory:
        return self

    def paginate(self, **_arguments: Any) -> Iterator[dict[str, Any]]:
        yield {"Contents": [{"Key": f"p/{name}"} for name in self.files]}

    def download_fileobj(self, **arguments: Any) -> None:
        arguments["Fileobj"].write(self.files[arguments["Key"].removeprefix("p/")])

    def put_object(self, **arguments: Any) -> None:
        assert arguments["Key"].removeprefix("p/") in self.files


class Lingering:
    """What takes its time to go while the interpreter ends: meanwhile other threads may run."""

    def __del__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        sleep(0.1)


def daemon_thread_with_another_client_at_exit(case: Case) -> None:
    """The end of the interpreter finds it at its work on the disk. In a new process each time."""
    sys.setswitchinterval(1e-6)
    # What a module of the program holds does not go while one of its threads runs.
    vars(json)["lingering"] = Lingering()
    moved = threading.Event()
    client = Memory({f"{number % 7}/{number}": b"x" for number in range(50)})

    def for_ever() -> None:
        target = Path(tempfile.mkdtemp(dir=case.folder))
        while True:
            download_prefix_to_folder(client, "b", "p", target)
            upload_folder(client, target, "b", "p")
            remove_stale_temporary_files(target)
            moved.set()

    for _ in range(4):
        threading.Thread(target=for_ever, daemon=True).start()
    assert moved.wait(PATIENCE)
    threading.Event().wait(random.random() / 20)


def thread_at_exit(case: Case) -> None:
    """It is waited for. In a new process each time."""
    client = case.client()
    threading.Thread(target=lambda: _both_at_last(case, client)).start()


def exit_handlers(case: Case) -> None:
    """The package's own handler runs between those of this program. In a new process each time."""
    client = case.client()
    case.load(client)
    atexit.register(lambda: _both_at_last(case, client))


# What an exit handler does that was registered before the package was imported, hence runs after the package's own.
last_words: list[Callable[[], object]] = []


def exit_handler_that_is_the_last(case: Case) -> None:
    """In a new process each time."""
    client = case.client()
    case.load(client)
    last_words.append(lambda: _both_at_last(case, client))


def thread_of_an_exit_handler_that_is_the_last(case: Case) -> None:
    """What begins after the end, and is waited for, works. In a new process each time."""
    client = case.client()
    case.load(client)

    def join_one() -> None:
        thread = threading.Thread(target=lambda: _both_at_last(case, client))
        thread.start()
        thread.join()

    last_words.append(join_one)


def _both_at_last(case: Case, client: Any) -> None:
    case.both(client)
    print("whole", flush=True)


MODELS: dict[str, Callable[[Case], None]] = {
    model.__name__: model
    for model in (
        fork_before,
        fork_during,
        fork_after,
        fork_of_a_fork,
        fork_in_a_thread,
        prefork_server,
        loader,
        multiprocessing_fork,
        multiprocessing_forkserver,
        multiprocessing_spawn,
        child_that_does_nothing,
        child_that_clears_the_cache,
        hooks_of_a_fork,
        threads_share_a_client,
        client_that_goes_while_it_works,
    )
}
# These are about the beginning or the end of a process, which has one of each.
ONCE_IN_A_PROCESS: dict[str, Callable[[Case], None]] = {
    model.__name__: model
    for model in (
        fork_during_the_first_transfer,
        daemon_thread_at_exit,
        daemon_thread_with_another_client_at_exit,
        thread_at_exit,
        exit_handlers,
        exit_handler_that_is_the_last,
        thread_of_an_exit_handler_that_is_the_last,
    )
}


def main(model: str, rounds: int, **case: str) -> None:
    """Plays a model so many times."""
    work = {**MODELS, **ONCE_IN_A_PROCESS}[model]
    for _ in range(rounds):
        watch()
        work(Case(**case))
    if model in MODELS:
        signal.alarm(0)
        print(f"{rounds} rounds", flush=True)


if __name__ == "__main__":
    # What is pickled for another process names its module.
    from tests.python import process_models

    process_models.main(**json.loads(sys.argv[1]))
