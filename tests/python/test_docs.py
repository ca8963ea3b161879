"""The Python blocks of the pages for users, run as they stand but for the endpoint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.python.conftest import write_all
from tests.servers import Server

_ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENDPOINT = "http://localhost:9000"


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md"])
def test_the_examples_run(page: str, moto: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = _BLOCK.findall((_ROOT / page).read_text(encoding="utf-8"))
    program = "\n".join(blocks)
    assert _ENDPOINT in program
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto.secret_key)
    monkeypatch.chdir(tmp_path)
    write_all(tmp_path / "run-17", {"a": b"1", "b/c": b"2"})
    exec(compile(program.replace(_ENDPOINT, moto.endpoint_url), page, "exec"), {})
    copies = [path for path in tmp_path.iterdir() if path.name != "run-17"]
    assert [(copy / "b" / "c").read_bytes() for copy in copies] == [b"2"]
