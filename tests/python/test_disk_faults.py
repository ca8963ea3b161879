"""Disks that fail or are full: the old file or the new one, success only for the new one, nothing else left."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.python.conftest import boto3_client, new_bucket, put_all, write_all
from tests.servers import Server

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="strace and mount namespaces are Linux's"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="NOT TESTED: there is no strace to make faults"),
]

# Small ones are written at once, the large one in pieces, with room reserved for it.
_SIZES = {"a": 3_000, "folder/b": 3_000, "c": 3 << 19}
_ROOT = Path(__file__).parents[2]


@pytest.fixture
def server_arguments(seaweedfs: Server, tmp_path: Path) -> dict[str, Any]:
    judge = boto3_client(seaweedfs)
    bucket = new_bucket(judge)
    for version in (b"old", b"new"):
        put_all(judge, bucket, {f"{version.decode()}/{name}": version * (size // 3) for name, size in _SIZES.items()})
    put_all(judge, bucket, {"warm/x": b"x" * 3})
    keys = {"endpoint": seaweedfs.endpoint_url, "key": seaweedfs.access_key, "secret": seaweedfs.secret_key}
    return {**keys, "bucket": bucket, "folder": str(tmp_path)}


# Each fault costs an strace: one error for each call in `make test`, all three in `make test-all`.
_each_error = pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.large)])


def _faults(arguments: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.python.faulty_disk", json.dumps({**arguments, **more})]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, timeout=580)
    assert done.returncode == 0
    return [json.loads(line) for line in done.stdout.splitlines()]


def _check(faults: list[dict[str, Any]], steps: list[str], on_disk_too_late: str | None = None) -> None:
    for fault in faults:
        files = fault["files"]
        assert sorted(files) == sorted(_SIZES), f"something is left or lost: {fault}"
        assert set(files.values()) <= {"old", "new"}, f"a file is neither old nor new: {fault}"
        assert fault["right"], f"another error than the disk's: {fault}"
        if fault["raised"] is None:
            assert set(files.values()) == {"new"}, f"success was reported and an old file is there: {fault}"
        elif fault["step"] != on_disk_too_late:
            assert "old" in files.values(), f"a failure was reported and all is new: {fault}"
    happened = Counter(fault["step"] for fault in faults)
    raised = Counter(fault["step"] for fault in faults if fault["raised"])
    print(f"{len(faults)} faults happened {dict(happened)}, {dict(raised)} of them were errors, no file was lost")
    assert set(happened) == set(steps), "a fault did not happen"
    assert set(raised) == set(steps), "a fault was not noticed"


@pytest.mark.timeout(600)
@_each_error
def test_an_old_file_survives_a_disk_that_fails_at_any_call(server_arguments: dict[str, Any], every: bool) -> None:
    steps = ["open", "write", "reserve", "attributes", "close", "link", "rename"]
    _check(_faults(server_arguments, named=False, durable=False, steps=steps, every=every), steps)


@pytest.mark.timeout(120)
def test_files_are_whole_without_a_descriptor_to_spare(server_arguments: dict[str, Any]) -> None:
    want = {"named": False, "durable": False, "steps": ["duplicate"], "every": True, "errors": ["EMFILE"]}
    faults = _faults(server_arguments, **want)
    assert faults, "no call failed"
    for fault in faults:
        assert (fault["raised"], fault["files"]) == (None, dict.fromkeys(_SIZES, "new"))


@pytest.mark.timeout(600)
@_each_error
def test_an_old_file_survives_a_failing_disk_without_unnamed_files(
    server_arguments: dict[str, Any], every: bool
) -> None:
    steps = ["open", "write", "close", "rename"]
    _check(_faults(server_arguments, named=True, durable=False, steps=steps, every=every), steps)


@pytest.mark.timeout(600)
@_each_error
def test_an_old_file_survives_a_wait_for_the_disk_that_fails(server_arguments: dict[str, Any], every: bool) -> None:
    # The last wait is for the name that the new file has by then: a failure all the same.
    faults = _faults(server_arguments, named=False, durable=True, steps=["fsync"], every=every)
    _check(faults, ["fsync"], on_disk_too_late="fsync")
    assert all(fault["raised"] for fault in faults), "a failed fsync was passed over"
    assert any("old" in fault["files"].values() for fault in faults), "no wait for content was among them"


@pytest.mark.timeout(600)
def test_a_lack_of_memory_at_any_call_is_waited_for_and_no_byte_is_missing(server_arguments: dict[str, Any]) -> None:
    steps = ["open", "write", "attributes", "link", "rename"]
    faults = _faults(server_arguments, named=False, durable=False, steps=steps, every=False, errors=["ENOMEM"])
    for fault in faults:
        assert fault["raised"] is None, fault
        assert fault["files"] == dict.fromkeys(_SIZES, "new"), fault
    assert {fault["step"] for fault in faults} == set(steps), "a fault did not happen"


# A folder with a link to a file elsewhere; strace lets each thread's first look at the link fail for want of memory.
_LINKS = """
import json, sys
from pathlib import Path
from s3bulk import S3ClientConfig, make_s3_client, upload_folder
from tests.python.faulty_disk import traced
arguments = json.loads(sys.argv[1])
client = make_s3_client(S3ClientConfig(
    arguments["endpoint"], "us-east-1", "auto", arguments["key"], arguments["secret"]))
folder, bucket = Path(arguments["folder"]), arguments["bucket"]
for name in ["warm/x", "elsewhere", *(f"source/f{number}" for number in range(10))]:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(name)
link = folder / "source" / "f3-link"
link.symlink_to(folder / "elsewhere")
calls = "statx,newfstatat,fstat"
fault = ["-P", str(link), "-e", f"trace={calls}", "-e", f"inject={calls}:error=ENOMEM:when=1"]
warm_up = lambda: upload_folder(client, folder / "warm", bucket, "warm")
with traced(warm_up, *fault, whole_process=True) as log:
    keys = upload_folder(client, folder / "source", bucket, "p")
print(json.dumps([keys, [line for line in log if "INJECTED" in line]]))
"""


def test_a_lack_of_memory_while_a_folder_is_read_is_waited_for_and_no_file_is_missing(
    server_arguments: dict[str, Any],
) -> None:
    command = [sys.executable, "-c", _LINKS, json.dumps(server_arguments)]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    keys, injected = json.loads(done.stdout)
    assert injected, "the fault did not happen"  # nothing but the link and what it leads to is traced
    assert keys == sorted(["p/f3-link", *(f"p/f{number}" for number in range(10))])


# Downloads in a disk of its own, of a few MiB or a few files; says what it raised and what is there.
_FULL = """
import json, os, subprocess, sys
from pathlib import Path
from s3bulk import S3ClientConfig, download_file_to_path, download_prefix_to_folder, make_s3_client
from tests.python.faulty_disk import files_of
from tests.python.no_unnamed_files import forbid_links
arguments = json.loads(sys.argv[1])
if arguments["named"]:
    forbid_links()
client = make_s3_client(S3ClientConfig(
    arguments["endpoint"], "us-east-1", "auto", arguments["key"], arguments["secret"]))
target = Path(arguments["folder"]) / "disk"
download_prefix_to_folder(client, arguments["bucket"], "old", target)
free = os.statvfs(target).f_bavail, os.statvfs(target).f_favail
if arguments["read_only"]:
    subprocess.run(["mount", "-o", "remount,ro", target], check=True)
raised = None
try:
    if arguments["one"]:
        download_file_to_path(client, arguments["bucket"], arguments["one"], target / "c")
    else:
        download_prefix_to_folder(client, arguments["bucket"], "new", target)
except OSError as error:
    raised = error.errno
left = os.statvfs(target).f_bavail, os.statvfs(target).f_favail
print(json.dumps([raised, files_of(target), list(free), list(left)]))
"""


def _on_a_small_disk(arguments: dict[str, Any], options: str, **more: Any) -> tuple[Any, ...]:
    disk = Path(arguments["folder"]) / "disk"
    disk.mkdir()
    whole = {**arguments, "named": False, "one": None, "read_only": False, **more}
    mount = f'mount -t tmpfs -o {options} tmpfs "$1" || exit 77; shift; exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh", str(disk)]
    done = subprocess.run(
        [*command, sys.executable, "-c", _FULL, json.dumps(whole)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=50,
    )
    if done.returncode == 77 or (done.returncode != 0 and "unshare" in done.stderr):
        pytest.skip(f"NOT TESTED, this machine mounts nothing for us: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(done.stdout))


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("one", [None, "new/c"])
def test_old_files_survive_a_full_disk_and_the_room_is_given_back(
    server_arguments: dict[str, Any], named: bool, one: str | None
) -> None:
    # Room for one of the large file, not for two.
    raised, files, free, left = _on_a_small_disk(server_arguments, "size=2m", named=named, one=one)
    assert raised == 28, "the fault (ENOSPC) did not happen"
    assert files["c"] == "old"
    assert sorted(files) == sorted(_SIZES)
    assert set(files.values()) <= {"old", "new"}
    assert left == free, "room is still taken"


@pytest.mark.parametrize("named", [False, True])
def test_old_files_survive_a_disk_that_takes_no_more_files(server_arguments: dict[str, Any], named: bool) -> None:
    # The disk's own folder, another folder, three files.
    raised, files, free, left = _on_a_small_disk(server_arguments, "size=9m,nr_inodes=5", named=named)
    assert raised == 28, "the fault (ENOSPC) did not happen"
    assert files == dict.fromkeys(_SIZES, "old")
    assert left == free


def test_old_files_survive_a_disk_that_became_read_only(server_arguments: dict[str, Any]) -> None:
    raised, files, _, _ = _on_a_small_disk(server_arguments, "size=9m", read_only=True)
    assert raised == 30, "the fault (EROFS) did not happen"
    assert files == dict.fromkeys(_SIZES, "old")


_LIMITED = """
import json, resource, sys
from pathlib import Path
from s3bulk import S3ClientConfig, download_prefix_to_folder, make_s3_client
from tests.python.faulty_disk import files_of
arguments = json.loads(sys.argv[1])
client = make_s3_client(S3ClientConfig(
    arguments["endpoint"], "us-east-1", "auto", arguments["key"], arguments["secret"]))
target = Path(arguments["folder"]) / "target"
download_prefix_to_folder(client, arguments["bucket"], "old", target)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
raised = None
try:
    download_prefix_to_folder(client, arguments["bucket"], "new", target)
except OSError as error:
    raised = error.errno
print(json.dumps([raised, files_of(target)]))
"""


def test_an_old_file_survives_a_limit_on_the_size_of_files(server_arguments: dict[str, Any]) -> None:
    command = [sys.executable, "-c", _LIMITED, json.dumps(server_arguments)]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, timeout=50)
    assert done.returncode == 0
    raised, files = json.loads(done.stdout)
    assert raised == 27, "the fault (EFBIG) did not happen"
    assert files["c"] == "old"
    assert sorted(files) == sorted(_SIZES)


# What all threads do to the disk for one download, in order, with the paths of their descriptors.
_WATCHED = """
import json, sys
from pathlib import Path
from s3bulk import S3ClientConfig, TransferOptions, download_prefix_to_folder, make_s3_client
from tests.python.faulty_disk import traced
arguments = json.loads(sys.argv[1])
client = make_s3_client(S3ClientConfig(
    arguments["endpoint"], "us-east-1", "auto", arguments["key"], arguments["secret"]))
client = client.with_options(TransferOptions(durable=arguments["durable"]))
folder, bucket = Path(arguments["folder"]), arguments["bucket"]
calls = "trace=fsync,fdatasync,linkat,rename,renameat,renameat2,mkdir,mkdirat"
warm_up = lambda: download_prefix_to_folder(client, bucket, "warm", folder / "warm")
with traced(warm_up, "-y", "-e", calls, whole_process=True) as log:
    download_prefix_to_folder(client, bucket, "new", folder / "target" / "made")
for line in log:
    print(line)
"""


def _watched(arguments: dict[str, Any], durable: bool) -> list[str]:
    command = [sys.executable, "-c", _WATCHED, json.dumps({**arguments, "durable": durable})]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, timeout=50)
    assert done.returncode == 0
    calls, begun = [], {}
    for line in done.stdout.splitlines():
        thread, call = line.split(maxsplit=1)
        if call.endswith("<unfinished ...>"):
            begun[thread] = call.removesuffix("<unfinished ...>")
        else:  # where it ended, whole
            calls.append(begun.pop(thread, "") + re.sub(r"^<\.\.\. \w+ resumed>", "", call))
    return calls


def test_a_durable_download_waits_for_content_names_and_folders(
    server_arguments: dict[str, Any], tmp_path: Path
) -> None:
    write_all(tmp_path / "target" / "made", {"a": b"old"})
    calls = _watched(server_arguments, durable=True)
    made = tmp_path / "target" / "made"
    assert [line for line in calls if "mkdirat" in line and '"folder"' in line], calls
    for folder, name in ((made, "a"), (made / "folder", "b"), (made, "c")):
        named = [at for at, line in enumerate(calls) if re.match(r"(linkat|rename\w*)\(", line) and f'"{name}"' in line]
        assert named, f"{name} got no name: {calls}"
        before, after = calls[: named[-1]], calls[named[-1] :]
        waits = [line for line in before if line.startswith("fsync(") and f"{folder}/" in line and " = 0" in line]
        assert waits, f"{name} had its name before its content was on the disk: {calls}"
        assert any(line.startswith("fsync(") and f"<{folder}>" in line for line in after), f"{name}: {calls}"
    # The folder that was made has its own name on the disk.
    assert sum(line.startswith("fsync(") and f"<{made}>" in line for line in calls) >= 3, calls


def test_without_that_option_nothing_waits_for_the_disk(server_arguments: dict[str, Any]) -> None:
    calls = _watched(server_arguments, durable=False)
    assert any(line.startswith("linkat(") for line in calls), calls
    assert not [line for line in calls if "sync" in line]
