"""Checks who knows whom: every `crate::<room>` in src/ against the table of CONTRIBUTING.md."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

MAY_KNOW: dict[str, set[str]] = {
    "keys": {"error"},
    "plan": {"error"},
    "error": set(),
    "config": {"error", "plan"},
    "flow": {"error"},
    "disk": {"keys", "error"},
    "wire": {"config", "error", "flow"},
    "client": {"wire", "config", "error", "flow"},
    "transfer": {"keys", "plan", "error", "config", "flow", "disk", "wire", "client"},
    "python": {"transfer", "client", "config", "error"},
}

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_FROM_ROOT = re.compile(r"(?<![\w$])crate::(?:(\w+)|\{)")
_PYO3 = re.compile(r"\bpyo3\b")


def problems(source: Path) -> Iterator[str]:
    """Gives a line for everything under `source` that breaks the rules."""
    for path in sorted(source.rglob("*.rs")):
        room = path.relative_to(source).parts[0].removesuffix(".rs")
        where = path.relative_to(source.parent).as_posix()
        if room == "lib":
            continue
        if room not in MAY_KNOW:
            yield f"{where}: {room} is no room; add it to the table in checks/rooms.py and CONTRIBUTING.md"
            continue
        # A comment gives way to its line ends, so that line numbers stay right.
        text = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), path.read_text(encoding="utf-8"))
        for position, known in _known(text):
            if known != room and known not in MAY_KNOW[room]:
                yield f"{where}:{_line(text, position)}: {room} must not know crate::{known}"
        if room != "python" and (found := _PYO3.search(text)):
            yield f"{where}:{_line(text, found.start())}: only src/python may know pyo3"


def _known(text: str) -> Iterator[tuple[int, str]]:
    """Gives position and first name of every path from the root, those within `use crate::{a::B, c}` included."""
    for match in _FROM_ROOT.finditer(text):
        if match[1]:
            yield match.start(), match[1]
            continue
        depth, name_may_begin = 1, True
        for token in re.finditer(r"[{},]|\w+", text[match.end() :]):
            depth += {"{": 1, "}": -1}.get(token[0], 0)
            if depth == 0:
                break
            if token[0] == ",":
                name_may_begin = depth == 1
            elif name_may_begin and token[0] not in "{}":
                yield match.end() + token.start(), token[0]
                name_may_begin = False


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def main() -> int:
    found = list(problems(Path(__file__).resolve().parent.parent / "src"))
    print("\n".join(found) or "rooms: nobody knows whom they must not")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
