"""Checks the built wheel as a user meets it: in an empty virtual environment, moving a file up and down.

Run as `python -m checks.wheel dist/s3bulk-*.whl` in the environment that has moto.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

from tests.servers import moto_server

_MOVES_A_FILE = Path(__file__).with_name("moves_a_file.py")
# By the ends of their names; the folder of the metadata carries the version.
_CONTAINS = (
    "s3bulk/__init__.py",
    "s3bulk/_core.pyi",
    "s3bulk/py.typed",
    ".dist-info/licenses/LICENSE",
    ".dist-info/licenses/THIRD-PARTY-NOTICES.md",
)


def main(wheel: Path) -> int:
    names = zipfile.ZipFile(wheel).namelist()
    if missing := [end for end in _CONTAINS if not any(name.endswith(end) for name in names)]:
        print(f"{wheel.name} lacks {missing}")
        return 1
    if "-abi3-" not in wheel.name:
        print(f"{wheel.name} is for one version of Python only")
        return 1
    with tempfile.TemporaryDirectory() as name, moto_server() as server:
        environment = Path(name) / "environment"
        venv.create(environment, with_pip=True)
        python = environment / "bin" / "python"
        subprocess.run([python, "-I", "-m", "pip", "install", "--quiet", wheel.resolve()], check=True)
        # -I and another working folder: only what the wheel brought can be imported.
        arguments = (server.endpoint_url, server.access_key, server.secret_key)
        subprocess.run([python, "-I", _MOVES_A_FILE, *arguments], check=True, cwd=name, timeout=60)
    print(f"wheel: {wheel.name}, {wheel.stat().st_size / 1e6:.1f} MB, moves a file in an empty environment")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
