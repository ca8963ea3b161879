"""Checks docs/reliability.md: every promise and pitfall has its row, every test that a table names is in the tree."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent

# Rows of each section of the list of pitfalls.
ROWS = {0: 11, 1: 28, 2: 22, 3: 14, 4: 12, 5: 12, 6: 7}
# Each is in one row or several.
PROMISES = [f"R{number}" for number in range(1, 14)]
# Here a sentence instead of a test is not enough.
TESTED = {
    *(f"0.{number}" for number in range(1, 12)),
    *(f"1.{number}" for number in (1, 2, 3, 4, 5, 6, 11, 14)),
    *(f"2.{number}" for number in (1, 2, 3, 4, 8, 9, 11, 12, 13, 14)),
    *(f"3.{number}" for number in (1, 2, 3, 7, 8)),
    *(f"5.{number}" for number in (4, 5, 6)),
    *(f"6.{number}" for number in range(1, 8)),
}

_COMMENTS = r"(?:\s*(?:///[^\n]*|#\[[^\]]*\]))*"
_RUST_TEST = re.compile(rf"#\[(?:\w+::)*test\b[^\]]*\]{_COMMENTS}\s*(?:async\s+)?fn\s+(\w+)")
# Tests that a macro makes, one a line: `name: arguments;`.
_RUST_MACRO = re.compile(r"^\w+! \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_RUST_LINE = re.compile(r"^    (\w+): ", re.MULTILINE)
_PYTHON_TEST = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)
_ROW = re.compile(r"^\|\s*((?:R|[0-6]\.)\d+)\s*\|(.*)\|\s*$", re.MULTILINE)
_QUOTED = re.compile(r"`([^`]+)`")


def names_of_tests(root: Path) -> set[str]:
    """Gives the names of all tests, Rust's and Python's."""
    found: set[str] = set()
    for path in [*(root / "src").rglob("*.rs"), *(root / "tests").rglob("*.rs")]:
        text = path.read_text(encoding="utf-8")
        found.update(_RUST_TEST.findall(text))
        for block in _RUST_MACRO.findall(text):
            found.update(_RUST_LINE.findall(block))
    for path in (root / "tests").rglob("test_*.py"):
        found.update(_PYTHON_TEST.findall(path.read_text(encoding="utf-8")))
    return found


def problems(page: str, known: set[str], root: Path) -> Iterator[str]:
    """Gives a line for each promise or pitfall without a row, and for each row that names what is not there."""
    named: dict[str, list[str]] = {}
    for row, cells in _ROW.findall(page):
        if row in named and row not in PROMISES:
            yield f"row {row} is there twice"
        # The last cell names tests, files where a whole file is about the row, and commands.
        last = _QUOTED.findall(cells.rsplit("|", 1)[-1])
        if row in PROMISES and not last:
            yield f"a row of {row} names no test"
        named[row] = last
        for name in last:
            if not _is_there(name, known, root):
                yield f"row {row} names `{name}`, which is not there"
    for row in PROMISES:
        if row not in named:
            yield f"row {row} is missing"
    for section, count in ROWS.items():
        for number in range(1, count + 1):
            row = f"{section}.{number}"
            if row not in named:
                yield f"row {row} is missing"
            elif row in TESTED and not named[row]:
                yield f"row {row} names no test"


def _is_there(name: str, known: set[str], root: Path) -> bool:
    if " " in name:
        return all((root / word).exists() for word in name.split() if "/" in word)
    return (root / name).exists() if "/" in name else name in known


def main() -> int:
    page = (_ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    found = list(problems(page, names_of_tests(_ROOT), _ROOT))
    print("\n".join(found) or "reliability: every promise and pitfall has its row, every test that is named is there")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
