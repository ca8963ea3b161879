"""Checks what the dependency tree must not contain: a way to Python without its feature, a second HTTP or TLS stack."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

_EXACTLY_ONE = ("hyper", "rustls")
# Other TLS stacks. aws-lc-rs would be a second cryptography beside ring, with a C build of its own.
_NONE = ("openssl", "openssl-sys", "native-tls", "boring", "s2n-tls", "aws-lc-rs", "hyper-tls")


def versions(*options: str) -> dict[str, set[str]]:
    """Gives name and versions of every crate that would be linked in, as `cargo tree` sees it."""
    command = ["cargo", "tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}", *options]
    root = Path(__file__).resolve().parent.parent
    tree = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = defaultdict(set)
    for line in tree.splitlines():
        name, version, *_ = line.split()
        found[name].add(version)
    return found


def problems() -> list[str]:
    """Gives a line for each broken rule."""
    engine, extension = versions(), versions("--features", "python")
    found = [f"{name} is there without the feature python" for name in sorted(engine) if name.startswith("pyo3")]
    if "pyo3" not in extension:
        found.append("pyo3 is missing with the feature python: does this check still see anything?")
    for name in _EXACTLY_ONE:
        if len(extension[name]) != 1:
            found.append(f"expected exactly one {name}, found {sorted(extension[name])}: cargo tree -i {name}")
    found += [f"{name} is a second TLS stack: cargo tree -i {name}" for name in _NONE if name in extension]
    if any(version.startswith("v0.") for version in extension["hyper"]):
        found.append("hyper 0.14 is there: some aws crate has default features on")
    return found


def main() -> int:
    found = problems()
    print("\n".join(found) or "dependencies: no pyo3 without its feature; one hyper, one rustls, no other TLS")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
