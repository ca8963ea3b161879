"""The check of who may know whom sees every way to write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks.rooms import problems


@pytest.mark.parametrize(
    ("path", "code", "expected"),
    [
        ("keys.rs", "use crate::flow::Window;", ["src/keys.rs:1: keys must not know crate::flow"]),
        ("wire/retry.rs", "\nuse crate::{error::{Error, Kind}, disk, flow};", ["wire must not know crate::disk"]),
        ("wire/retry.rs", "fn f() { crate::client::make() }", ["wire must not know crate::client"]),
        ("wire/retry.rs", "use crate::wire::pool; use crate::config::{A, B};", []),
        ("disk/walk.rs", "/// See [`crate::transfer`].\n// crate::wire", []),
        ("transfer/folder.rs", "use pyo3::Python;", ["only src/python may know pyo3"]),
        ("python/mod.rs", "use pyo3::Python; use crate::transfer::folder;", []),
        ("helpers.rs", "", ["helpers is no room"]),
        ("lib.rs", "pub use crate::wire::X;", []),
    ],
)
def test_a_room_knows_only_whom_it_may(tmp_path: Path, path: str, code: str, expected: list[str]) -> None:
    file = tmp_path / "src" / path
    file.parent.mkdir(parents=True)
    file.write_text(code)
    found = list(problems(tmp_path / "src"))
    assert len(found) == len(expected)
    assert all(part in line for part, line in zip(expected, found, strict=True))
