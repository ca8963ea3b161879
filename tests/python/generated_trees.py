"""Trees of files and sets of keys, made from a seed."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

# What sorts otherwise by components than as text, what URLs and XML encode, what is hidden, what is none of ASCII.
_STEMS = (
    "a",
    "a-b",
    "a.b",
    "A",
    "b c",
    "b+c",
    "b%20c",
    "b&c=d",
    "b#c?d",
    "<e>",
    "e'f\"g",
    "~h",
    ".hidden",
    "ü",
    "日本",
    "x" * 60,
)
_ENDINGS = ("", ".txt", ".json", ".html", ".bin", ".gz", ".tar.gz", ".JPG", ".unknown", ".")
_SIZES = (0, 1, 17, 4096, 70_000)
_DEEPEST = 4


def names_of(random: Random, count: int) -> list[str]:
    """Gives relative names with `/` between; none is the folder of another."""
    names: set[str] = set()
    folders = {""}
    for _ in range(count):
        parent = random.choice(sorted(folders))
        if parent.count("/") < _DEEPEST and random.random() < 0.4:
            parent = f"{parent}{random.choice(_STEMS)}/"
        name = f"{parent}{random.choice(_STEMS)}{random.choice(_ENDINGS)}"
        above = {f"{'/'.join(parent.split('/')[:depth])}/" for depth in range(1, parent.count("/") + 1)}
        if f"{name}/" not in folders and not {folder.rstrip("/") for folder in above} & names:
            names.add(name)
            folders |= above
    return sorted(names)


def body_of(random: Random) -> bytes:
    return random.randbytes(random.choice(_SIZES))


def grow(root: Path, random: Random, count: int) -> None:
    """Makes a tree with links, broken ones too, and with folders in which nothing is."""
    root.mkdir()
    names = names_of(random, count)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body_of(random))
    folders = sorted({path for path in root.rglob("*") if path.is_dir()} | {root})
    for number, target in enumerate(("file", "folder", "nothing", "itself")):
        link = random.choice(folders) / f"link{number}.txt"
        match target:
            case "file":
                to = os.path.relpath(root / random.choice(names), link.parent)
            case "folder":
                to = os.path.relpath(random.choice(folders), link.parent)
            case "nothing":
                to = "missing"
            case _:
                to = link.name
        link.symlink_to(to)
    (random.choice(folders) / "empty" / "too").mkdir(parents=True)
