"""Figures as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from benchmarks.measure import Cell, Runs
from benchmarks.workload import MIB

_REFERENCE = "s3bulk"


def cell_table(cell: Cell, found: dict[str, Runs]) -> str:
    """Gives a cell, the fastest peer first, and those that failed at the end."""
    reference = found.get(_REFERENCE, Runs())
    rows = []
    for name, runs in sorted(found.items(), key=lambda item: _order(item[1])):
        if runs.error:
            rows.append((name, f"failed: {runs.error.replace('|', ' ')}", "", "", "", "", ""))
            continue
        seconds = runs.median_seconds
        ratio = "" if reference.error or not reference.seconds else f"{seconds / reference.median_seconds:.2f}"
        rows.append(
            (
                f"{name}, {runs.aborts} aborted" if runs.aborts else name,
                f"{seconds:.2f}",
                f"{min(runs.seconds):.2f} to {max(runs.seconds):.2f}",
                ratio,
                _speed(cell, seconds),
                f"{median(runs.cpu_seconds):.2f}",
                f"{median(runs.peak_rss_bytes) / MIB:.0f}",
            )
        )
    head = ("", "seconds", "range", f"of {_REFERENCE}'s", "speed", "CPU s", "RSS MiB")
    return f"### {cell}\n\n{_table(head, rows)}"


def facts_table(facts: dict[str, str]) -> str:
    """Gives the machine."""
    return _table(("", ""), list(facts.items()))


def peers_table(peers: dict[str, dict[str, str]]) -> str:
    """Gives what each peer is and how it was called."""
    return _table(("peer", "version", "called with"), [(name, p["version"], p["flags"]) for name, p in peers.items()])


def _order(runs: Runs) -> float:
    return float("inf") if runs.error else runs.median_seconds


def _speed(cell: Cell, seconds: float) -> str:
    workload = cell.workload
    if workload.file_bytes < MIB:
        return f"{workload.files / seconds:,.0f} files/s"
    return f"{workload.total_bytes / MIB / seconds:,.0f} MiB/s"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    # The first column names, the others are figures, but where there is one other it is text.
    rule = ["---"] + ["---:" if len(head) > 3 else "---"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows)) + "\n"
