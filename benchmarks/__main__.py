"""`make bench`: the matrix of workloads, operations, latencies and peers, as tables, JSON and a plot."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from benchmarks.machine import machine
from benchmarks.measure import Cell, measure, peers_for
from benchmarks.peers import PEERS, versions
from benchmarks.plot import plot
from benchmarks.table import cell_table, facts_table, peers_table
from benchmarks.workload import TABLE, WORKLOADS, make, scratch_root

_RESULTS = Path(__file__).resolve().parent / "results"
_OPERATIONS = ("up", "down")
_WITH_LATENCY_MS = 20
_Value = TypeVar("_Value")


def main() -> int:
    options = _parser().parse_args()
    # As Ctrl-C: gigabytes of memory are given back by the end of a block.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if options.discard and options.operations != ["up"]:
        raise SystemExit("--discard: what is not kept can't be downloaded and compared; add --operations up")
    facts = machine()
    peers = {
        name: {"version": version, "flags": PEERS[name].flags} for name, version in versions(options.peers).items()
    }
    text = [facts_table(facts), peers_table(peers)]
    print("\n".join(text), flush=True)

    results, failed = [], False
    for cell in _cells(options.workloads, options.operations, options.latency, options.tls):
        # The files, and a download's copy of them.
        root = scratch_root(2 * cell.workload.total_bytes)
        with tempfile.TemporaryDirectory(prefix="s3bulk-bench-", dir=root) as name:
            source = Path(name) / "source"
            make(cell.workload, source)
            chosen = peers_for(cell.workload, list(peers))
            found = measure(cell, chosen, options.rounds, source, Path(name), options.discard, options.descriptors)
        text.append(cell_table(cell, found))
        print(text[-1], flush=True)
        results.append(
            {"title": str(cell), **asdict(cell), "peers": {peer: asdict(runs) for peer, runs in found.items()}}
        )
        failed = failed or any(runs.error for runs in found.values())

    figures = {
        "machine": facts,
        "peers": peers,
        "discard": options.discard,
        "descriptors": options.descriptors,
        "cells": results,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "performance.json").write_text(json.dumps(figures, indent=1) + "\n")
    (options.output / "performance.md").write_text("\n".join(text))
    plot(figures, options.output / "performance.svg")
    print(f"Written to {options.output}: performance.md, performance.json, performance.svg")
    return 1 if failed else 0


def _cells(
    workloads: Sequence[str], operations: Sequence[str], latencies: Sequence[int] | None, is_tls: bool
) -> list[Cell]:
    """All combinations; left to itself, latency only where there are many requests."""
    cells = []
    for name in workloads:
        default = (0, _WITH_LATENCY_MS) if name == "small" else (0,)
        for latency_ms in default if latencies is None else latencies:
            cells += [Cell(WORKLOADS[name], operation, latency_ms, is_tls) for operation in operations]
    return cells


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)

    def several(option: str, known: Sequence[str], what: str, default: Sequence[str] | None = None) -> None:
        parser.add_argument(
            option, type=_list_of(_one_of(known)), default=list(default or known), help=f"{what}: {','.join(known)}"
        )

    several("--workloads", list(WORKLOADS), "which files", default=TABLE)
    # Without: all that are installed.
    parser.add_argument("--peers", type=_list_of(_one_of(list(PEERS))), help=f"who moves them: {','.join(PEERS)}")
    several("--operations", _OPERATIONS, "in which direction")
    parser.add_argument("--latency", type=_list_of(int), metavar="MS,...", help="0, and for small 20 as well")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--discard", action="store_true", help="the endpoint keeps sizes only; uploads")
    parser.add_argument("--tls", action="store_true", help="over https, with a certificate of the endpoint's own")
    parser.add_argument("--descriptors", type=int, metavar="N", help="RLIMIT_NOFILE of each process that transfers")
    parser.add_argument("--output", type=Path, default=_RESULTS)
    return parser


def _list_of(convert: Callable[[str], _Value]) -> Callable[[str], list[_Value]]:
    return lambda text: [convert(item) for item in text.split(",")]


def _one_of(known: Sequence[str]) -> Callable[[str], str]:
    def chosen(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(known)}")
        return text

    return chosen


if __name__ == "__main__":
    sys.exit(main())
