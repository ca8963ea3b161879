"""CONTRACT.md, "Client cache"."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import threading
import traceback
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from s3bulk import S3ClientConfig, TransferOptions, _environment, make_s3_client, upload_file

from tests.python.conftest import config_of, stored
from tests.servers import Server

_CONFIG = S3ClientConfig("http://127.0.0.1:1", "us-east-1", "path", "key", "secret")


def _configs(count: int) -> list[S3ClientConfig]:
    return [replace(_CONFIG, region=f"region-{number}") for number in range(count)]


def test_the_same_config_gives_the_same_object() -> None:
    assert make_s3_client(_CONFIG) is make_s3_client(config=replace(_CONFIG))


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint_url": "http://127.0.0.1:2"},
        {"region": "eu-central-1"},
        {"addressing_style": "virtual"},
        {"access_key": "other"},
        {"secret_key": "other"},
    ],
)
def test_every_field_is_part_of_the_key(change: dict[str, Any]) -> None:
    assert make_s3_client(_CONFIG) is not make_s3_client(replace(_CONFIG, **change))


def test_four_clients_are_kept_and_the_least_recently_used_goes_first() -> None:
    first, second, *others = _configs(5)
    first_client, second_client = make_s3_client(first), make_s3_client(second)
    for config in others[:2]:
        make_s3_client(config)
    assert make_s3_client(first) is first_client  # used again: now `second` is the oldest
    make_s3_client(others[2])
    assert make_s3_client.cache_info().currsize == 4
    assert make_s3_client(first) is first_client
    assert make_s3_client(second) is not second_client


def test_cache_info_and_cache_clear_are_those_of_lru_cache() -> None:
    assert make_s3_client.cache_info() == (0, 0, 4, 0)
    client = make_s3_client(_CONFIG)
    make_s3_client(_CONFIG)
    info = make_s3_client.cache_info()
    assert (info.hits, info.misses, info.maxsize, info.currsize) == (1, 1, 4, 1)
    assert repr(info) == "CacheInfo(hits=1, misses=1, maxsize=4, currsize=1)"
    assert make_s3_client.cache_parameters() == {"maxsize": 4, "typed": False}
    make_s3_client.cache_clear()
    assert make_s3_client.cache_info() == (0, 0, 4, 0)
    assert make_s3_client(_CONFIG) is not client


def test_the_function_pickles_and_copies_by_name() -> None:
    assert pickle.loads(pickle.dumps(make_s3_client)) is make_s3_client
    assert copy.deepcopy(make_s3_client) is make_s3_client
    assert make_s3_client.__name__ == "make_s3_client"


def test_concurrent_first_calls_get_one_object() -> None:
    threads = 16
    for config in _configs(20):
        barrier = threading.Barrier(threads)

        def first_call(config: S3ClientConfig = config, barrier: threading.Barrier = barrier) -> Any:
            barrier.wait()
            return make_s3_client(config)

        with ThreadPoolExecutor(threads) as pool:
            clients = [call.result() for call in [pool.submit(first_call) for _ in range(threads)]]
        assert all(client is clients[0] for client in clients)
        info = make_s3_client.cache_info()
        assert info.currsize <= 4
    assert (info.hits, info.misses) == (20 * (threads - 1), 20)


def test_an_evicted_client_goes_on_working(server: Server, bucket: str, judge: Any, folder: Path) -> None:
    client = make_s3_client(config_of(server))
    for config in _configs(4):
        make_s3_client(config)
    assert make_s3_client(config_of(server)) is not client
    upload_file(client, folder / "f", bucket, "k")
    assert stored(judge, bucket) == {"k": b"body"}


def test_an_evicted_client_is_freed() -> None:
    gone = weakref.ref(make_s3_client(_CONFIG))
    make_s3_client.cache_clear()
    gc.collect()
    assert gone() is None


def test_a_client_pickles_as_its_config() -> None:
    client = make_s3_client(_CONFIG)
    assert pickle.loads(pickle.dumps(client)) is client
    data = pickle.dumps(client)
    make_s3_client.cache_clear()
    again = pickle.loads(data)
    assert again.config == _CONFIG
    assert make_s3_client(_CONFIG) is again


def test_a_client_pickles_with_its_options() -> None:
    options = TransferOptions(max_attempts=2)
    client = make_s3_client(_CONFIG).with_options(options)
    again = pickle.loads(pickle.dumps(client))
    assert (again.config, again.options) == (_CONFIG, options)


def test_a_copy_is_the_client_itself() -> None:
    client = make_s3_client(_CONFIG)
    assert copy.copy(client) is client
    assert copy.deepcopy({"client": client})["client"] is client


class _OtherConfig(NamedTuple):
    endpoint_url: str
    region: str
    addressing_style: str
    access_key: str | None
    secret_key: str | None


def test_a_config_is_anything_hashable_with_the_five_attributes() -> None:
    other: Any = _OtherConfig("http://127.0.0.1:1", "us-east-1", "path", "key", "secret")
    assert make_s3_client(other) is make_s3_client(_CONFIG)


def test_a_config_that_is_not_hashable_is_refused() -> None:
    class Mutable:
        endpoint_url, region, addressing_style, access_key, secret_key = "http://h", "r", "auto", None, None
        __hash__ = None  # type: ignore[assignment]

    with pytest.raises(TypeError, match="unhashable"):
        make_s3_client(Mutable())  # type: ignore[arg-type]


def test_a_config_that_fails_is_not_kept() -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="Invalid endpoint"):
            make_s3_client(S3ClientConfig("localhost:9000", "us-east-1"))
    assert make_s3_client.cache_info().currsize == 0


def test_a_client_may_be_made_while_another_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    config, inner = _CONFIG, replace(_CONFIG, region="eu-west-1")
    made: list[Any] = []
    real = _environment.read_environment

    def reentrant(**arguments: bool) -> Any:
        if not made:
            made.append(None)
            made.append(make_s3_client(inner))
        return real(**arguments)

    monkeypatch.setattr(_environment, "read_environment", reentrant)
    assert make_s3_client(config) is not make_s3_client(inner)
    assert made[1] is make_s3_client(inner)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_that_is_forked_while_a_client_is_made_makes_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    building, forked = threading.Event(), threading.Event()
    real = _environment.read_environment

    def slow(**arguments: bool) -> Any:
        building.set()
        assert forked.wait(20)
        return real(**arguments)

    monkeypatch.setattr(_environment, "read_environment", slow)
    thread = threading.Thread(target=make_s3_client, args=(_CONFIG,))
    thread.start()
    assert building.wait(20)
    child = os.fork()
    if child == 0:
        forked.set()
        signal.alarm(20)  # a child that hangs is a child that failed
        os._exit(0 if make_s3_client(_CONFIG) is make_s3_client(_CONFIG) else 1)
    forked.set()
    thread.join(20)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


_WITH_PASSWORD = [
    "http://user:hush@127.0.0.1:1",
    "https://hush@host/path",
    "HTTP://a:hush@h",
    "user:hush@h:1",
    "http://user:hush/2@h",
    "http://user:hush 2@h",
]


@pytest.mark.parametrize("endpoint", _WITH_PASSWORD)
def test_a_password_in_an_endpoint_is_refused_and_not_shown(endpoint: str) -> None:
    config = replace(_CONFIG, endpoint_url=endpoint)
    assert "hush" not in repr(config)
    with pytest.raises(ValueError, match="user name or password") as caught:
        make_s3_client(config)
    assert "hush" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("endpoint", _WITH_PASSWORD)
def test_a_password_in_an_endpoint_of_the_environment_is_refused_and_not_shown(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(ValueError, match="user name or password") as caught:
        make_s3_client(replace(_CONFIG, endpoint_url=None))  # type: ignore[arg-type]
    assert "hush" not in "".join(traceback.format_exception(caught.value))
