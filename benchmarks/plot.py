"""The same figures as bars: `python -m benchmarks.plot FIGURES.json PLOT.svg`, or at the end of `make bench`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

_COLUMNS = 2
_OURS, _OTHERS = "#c2410c", "#94a3b8"


def plot(figures: dict[str, Any], path: Path) -> None:
    """Draws seconds by peer, one panel for each cell; peers that failed are left out."""
    import matplotlib

    # The same figures make the same file.
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "s3bulk", "svg.fonttype": "none", "font.size": 8})
    from matplotlib import pyplot

    cells = figures["cells"]
    rows = -(-len(cells) // _COLUMNS)
    figure, axes = pyplot.subplots(rows, _COLUMNS, figsize=(9, 1.9 * rows), squeeze=False, layout="constrained")
    for panel in axes.flat[len(cells) :]:
        panel.set_axis_off()
    for panel, cell in zip(axes.flat, cells, strict=False):
        seconds = {name: median(runs["seconds"]) for name, runs in cell["peers"].items() if not runs["error"]}
        names = sorted(seconds, key=lambda name: seconds[name], reverse=True)
        colours = [_OURS if name.startswith("s3bulk") else _OTHERS for name in names]
        bars = panel.barh(names, [seconds[name] for name in names], color=colours)
        panel.bar_label(bars, fmt="%.2f", padding=2)
        panel.margins(x=0.12)
        panel.set_title(f"{cell['title']}: seconds", fontsize=8, loc="left")
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main() -> int:
    figures, path = sys.argv[1:]
    plot(json.loads(Path(figures).read_text()), Path(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
