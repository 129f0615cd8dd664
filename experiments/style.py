"""How the figures look: one style, colour-blind safe, readable at a column's width."""

from collections.abc import Sequence
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

COLUMN_INCHES = 3.3

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours (2008), without the yellow that white paper swallows."""

CELLS = {"rnn": "#D55E00", "lstm": "#0072B2", "gru": "#009E73"}
"""A cell keeps its colour in every figure."""

MARKERS = "osD^vPX"

RC: dict[Any, Any] = {
    "figure.dpi": 150,
    "savefig.dpi": 200,
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e5e5",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 3,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "bptt",
    "axes.formatter.useoffset": False,
}

Colours = dict[str, tuple[str, str]]
"""The colour and the marker of each compared value."""


def colours(values: Sequence[str]) -> Colours:
    """A colour and a marker for each value: a cell's own, else Okabe and Ito's; a scale where there are many."""
    if len(values) > len(OKABE_ITO):
        scale = mpl.colormaps["viridis"](np.linspace(0, 0.9, len(values)))
        chosen = [mpl.colors.to_hex(colour) for colour in scale]
    else:
        spare = [colour for colour in OKABE_ITO if not any(colour == CELLS.get(value) for value in values)]
        chosen = [CELLS[value] if value in CELLS else spare.pop(0) for value in values]
    return {
        value: (colour, MARKERS[i % len(MARKERS)]) for i, (value, colour) in enumerate(zip(values, chosen, strict=True))
    }


def draw_line(ax: Axes, frame: pd.DataFrame, x: str, y: str, *, label: str, colour: str, **line: Any) -> None:
    """The median of y over the runs at each x, and the band between its quartiles.

    On a log axis the line ends where the median is 0, and the band goes on to the axis's foot.
    """
    quartiles = frame.groupby(x)[y].quantile(np.array([0.25, 0.5, 0.75])).unstack()
    median = quartiles[0.5].where((quartiles[0.5] > 0) | (ax.get_yscale() != "log"))
    line.setdefault("markevery", max(1, len(quartiles) // 20))
    if len(quartiles) == 1:
        line.setdefault("marker", "o")
    ax.plot(quartiles.index, median, color=colour, label=label, **line)
    if frame.groupby(x).size().max() > 1:
        ax.fill_between(quartiles.index, quartiles[0.25], quartiles[0.75], color=colour, alpha=0.18, linewidth=0)


def mark_extremes(ax: Axes, frame: pd.DataFrame, x: str, y: str, colour: str) -> None:
    """What a log axis cannot hold: zeros (underflow) as triangles at its foot, infinities and nan at its head."""
    for extreme, marker, height in ((frame[y] == 0, "v", 0.02), (~np.isfinite(frame[y]), "^", 0.98)):
        if extreme.any():
            places = frame.loc[extreme, x].unique()
            at_height: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False}
            ax.plot(places, [height] * len(places), linestyle="", marker=marker, color=colour, **at_height)


def at_recorded_step(frame: pd.DataFrame, which: Literal["min", "max"]) -> pd.DataFrame:
    """The rows of each run's own first (min) or last (max) recorded step."""
    return frame[frame["step"] == frame.groupby("run_id")["step"].transform(which)]


def bin_width(metrics: pd.DataFrame) -> int:
    """A fiftieth of the steps: as many points as a line can show."""
    return max(1, int(metrics["step"].max()) // 50) if len(metrics) else 1


def binned(frame: pd.DataFrame, column: str, how: Literal["median", "max", "mean"], *, by: str) -> pd.DataFrame:
    """A row for each run and stretch of `bin_width` steps, named by its middle; `how` is median, max or mean."""
    width = bin_width(frame)
    middles = (frame["step"] - 1) // width * width + (width + 1) / 2
    stretches = frame.assign(step=middles).groupby([by, "run_id", "step"])[column]
    return stretches.agg(how).reset_index()


def label_short_log_axis(ax: Axes) -> None:
    """Plain numbers at 1, 2 and 5 where a log axis spans less than two decades."""
    low, high = ax.get_ylim()
    if ax.get_yscale() == "log" and high < 100 * low:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
