"""Writes THIRD-PARTY-NOTICES.md: every crate linked into the wheel, with the licence that we take it under.

`python -m checks.notices` says whether the committed file is current, `python -m checks.notices --write` makes it so.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

_ROOT = Path(__file__).resolve().parent.parent
_FILE = _ROOT / "THIRD-PARTY-NOTICES.md"
# What wheels are made for; the crates are the same on both processor families.
_PLATFORMS = ("x86_64-unknown-linux-gnu", "aarch64-apple-darwin")
# What a library under Apache-2.0 may link in without asking its users for anything but these notices.
_ACCEPTED = {
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}
_LICENCE_FILE = re.compile(r"(licen[cs]e|copying|unlicense)", re.IGNORECASE)
_NOTICE_FILE = re.compile(r"notice", re.IGNORECASE)

_HEAD = """# Third-party notices

The extension module of `s3bulk` is linked from the crates below. Made from `cargo metadata` by `checks/notices.py`,
not edited by hand. Where a crate leaves the choice, it is taken under Apache-2.0, whose text is the file LICENSE beside
this one. The other texts, and notices that Apache-2.0 asks to pass on, follow the table.

| crate | version | licence | taken under |
| --- | --- | --- | --- |
"""


class Crate(NamedTuple):
    """One crate as the notices show it."""

    name: str
    version: str
    repository: str
    offered: str
    taken: str
    texts: tuple[str, ...]


def crates() -> list[Crate]:
    """Gives the crates linked into the extension module, by name and version."""
    linked = set[tuple[str, str]]()
    command = ["cargo", "tree", "--locked", "--features", "python", "--edges", "normal", "--prefix", "none"]
    for platform in _PLATFORMS:
        for line in _output(*command, "--format", "{p}", "--target", platform).splitlines():
            name, version, *_ = line.split()
            linked.add((name, version.removeprefix("v")))
    filters = [argument for platform in _PLATFORMS for argument in ("--filter-platform", platform)]
    command = ["cargo", "metadata", "--locked", "--features", "python", "--format-version", "1"]
    packages = json.loads(_output(*command, *filters))["packages"]
    found = [
        _crate(package) for package in packages if package["source"] and (package["name"], package["version"]) in linked
    ]
    return sorted(found)


def notices() -> str:
    """Gives the text of the file."""
    parts, by_text = [_HEAD], dict[str, list[str]]()
    for crate in crates():
        name = f"[{crate.name}]({crate.repository})" if crate.repository else crate.name
        parts.append(f"| {name} | {crate.version} | {crate.offered} | {crate.taken} |\n")
        for text in crate.texts:
            by_text.setdefault(text, []).append(f"{crate.name} {crate.version}")
    for text, names in by_text.items():
        fence = "`" * (3 + max((len(run) for run in re.findall(r"`{3,}", text)), default=0))
        parts.append(f"\n## {', '.join(names)}\n\n{fence}text\n{text}\n{fence}\n")
    return "".join(parts)


def _crate(package: dict[str, Any]) -> Crate:
    name, version, offered = package["name"], package["version"], package["license"] or ""
    # "MIT/Apache-2.0" is how alternatives were written before SPDX expressions.
    alternatives = [part.strip("() ") for part in re.split(r" OR |/", offered)] if " AND " not in offered else []
    taken = "Apache-2.0" if "Apache-2.0" in alternatives else offered
    required = re.split(r" AND | OR ", taken.replace("(", "").replace(")", ""))
    if unknown := [licence for licence in required if licence not in _ACCEPTED]:
        raise SystemExit(f"{name} {version}: licence {offered!r} has {unknown}, which nobody has looked at yet")
    wanted = _NOTICE_FILE if taken == "Apache-2.0" else re.compile(f"{_LICENCE_FILE.pattern}|notice", re.IGNORECASE)
    folder = Path(package["manifest_path"]).parent
    paths = sorted(path for path in folder.iterdir() if wanted.match(path.name) and path.is_file())
    texts = tuple(dict.fromkeys(_tidy(path.read_text(encoding="utf-8")) for path in paths))
    return Crate(name, version, package["repository"] or "", offered, taken, texts)


def _tidy(text: str) -> str:
    """The same text whatever its line ends and trailing blanks, so that equal texts are printed once."""
    return "\n".join(line.rstrip() for line in text.expandtabs().strip("\ufeff\n").splitlines())


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> int:
    current = notices()
    if sys.argv[1:] == ["--write"]:
        _FILE.write_text(current, encoding="utf-8")
    elif not _FILE.exists() or _FILE.read_text(encoding="utf-8") != current:
        print("THIRD-PARTY-NOTICES.md is not current: make format")
        return 1
    print("notices: current")
    return 0


if __name__ == "__main__":
    sys.exit(main())
