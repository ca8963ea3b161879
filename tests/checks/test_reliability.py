"""The check of docs/reliability.md sees what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks.reliability import PROMISES, ROWS, TESTED, names_of_tests, problems

_RUST = """
arriving! {
    made_by_a_macro: SMALL, rule();
}

#[tokio::test(flavor = "multi_thread")]
/// A comment.
#[ignore = "long"]
async fn asynchronous() {}

proptest! {
    #[test]
    fn generated(a in any::<u8>()) {}
}

fn no_test() {}
"""


def _page(**changes: str) -> str:
    rows = {f"{section}.{number}": "`known`" for section, count in ROWS.items() for number in range(1, count + 1)}
    rows.update(dict.fromkeys(PROMISES, "`known`, `pytest -k known`"))
    rows.update({name.removeprefix("row_").replace("_", "."): cell for name, cell in changes.items()})
    return "\n".join(f"| {row} | what is done | {cell} |" for row, cell in rows.items() if cell)


def test_every_way_to_write_a_test_is_seen(tmp_path: Path) -> None:
    for folder in ("src", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "src" / "one.rs").write_text(_RUST)
    (tmp_path / "tests" / "test_two.py").write_text("def test_a() -> None: ...\n\n\ndef helper() -> None: ...\n")
    assert names_of_tests(tmp_path) == {"made_by_a_macro", "asynchronous", "generated", "test_a"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"row_1_1": ""}, ["row 1.1 is missing"]),
        ({"row_6_7": "later"}, ["row 6.7 names no test"]),
        ({"row_1_7": "later"}, []),
        ({"row_2_2": "`known`, `gone`"}, ["row 2.2 names `gone`, which is not there"]),
        ({"row_4_1": "`checks/gone.py`"}, ["row 4.1 names `checks/gone.py`, which is not there"]),
        ({"row_R5": "`gone`"}, ["row R5 names `gone`, which is not there"]),
        ({"row_R13": ""}, ["row R13 is missing"]),
        ({"row_R13": "later"}, ["a row of R13 names no test"]),
        ({"row_0_11": "later"}, ["row 0.11 names no test"]),
        ({"row_R2": "`pytest checks/gone.py`"}, ["row R2 names `pytest checks/gone.py`, which is not there"]),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, changes: dict[str, str], expected: list[str]) -> None:
    assert list(problems(_page(**changes), {"known"}, tmp_path)) == expected


def test_what_must_be_tested_are_rows_of_the_list() -> None:
    assert all(int(number) <= ROWS[int(section)] for section, number in (row.split(".") for row in TESTED))


def test_each_row_of_a_promise_names_a_test(tmp_path: Path) -> None:
    for more in ("| R2 | the same on another disk | later |\n", "| R2 | the same on another disk | `gone` |\n"):
        page = more + _page()
        (found,) = problems(page, {"known"}, tmp_path)
        assert found in ("a row of R2 names no test", "row R2 names `gone`, which is not there")
