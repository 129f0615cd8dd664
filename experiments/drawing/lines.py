"""Lines of a panel: the median over runs with its band, and marks for values that the axis cannot show."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from experiments.drawing.panel import Panel


def rows_by_line(panel: Panel, frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, str, str]]:
    """Yield each compared value that has rows, in the order of the colours, with its rows, colour and marker."""
    rows = dict(iter(frame.groupby(panel.compare, observed=True)))
    for value, (colour, marker) in panel.colours.items():
        if value in rows:
            yield value, rows[value], colour, marker


def draw_line(
    panel: Panel, frame: pd.DataFrame, x: str, y: str, *, value: str, colour: str, part: str = "", **look: Any
) -> None:
    """Draw the median of y over the runs at each x, and the band between its quartiles.

    On a log axis the line ends where the median is 0, and the band continues to the bottom of the axis. A crowded panel
    has medians only, without markers, because overlapping bands cannot be told apart.

    Args:
        panel: Panel to draw in.
        frame: Rows of one compared value.
        x: Column of the horizontal axis.
        y: Column of the vertical axis.
        value: Compared value.
        colour: Colour of the line.
        part: What the line shows of the value if it has several lines, such as 'clipped'.
        look: Properties of `matplotlib.lines.Line2D`.
    """
    name = f"{value}, {part}" if part else value
    values = frame.groupby(x)[y]
    with np.errstate(invalid="ignore"):  # the median of two infinities of opposite sign is not a number
        medians = values.median()
    if panel.crowded and len(medians) > 1:
        look["marker"] = None
    look.setdefault("markevery", max(1, len(medians) // 20))
    if len(medians) == 1:
        look.setdefault("marker", "o")
    shown = medians.where((medians > 0) | (panel.ax.get_yscale() != "log"))
    panel.add_line(shown.index, shown, name=name, value=value, color=colour, **look)
    counts = values.count()
    if x == "step" and counts.min() < counts.max():
        panel.explain("Where a run has no value, for example after it has ended, the median is over the other runs.")
    if len(frame) > len(shown) and not panel.crowded:
        with np.errstate(invalid="ignore"):
            quartiles = values.quantile(np.array([0.25, 0.75])).unstack()
        if (quartiles[0.75] > quartiles[0.25]).any():
            panel.ax.fill_between(quartiles.index, *quartiles.to_numpy().T, color=colour, alpha=0.18, linewidth=0)
            panel.explain("Bands: from the lower to the upper quartile.")
        panel.record(f"{name}, lower quartile", quartiles.index, quartiles[0.25])
        panel.record(f"{name}, upper quartile", quartiles.index, quartiles[0.75])


def spread_axis(panel: Panel, places: "pd.Series[float]") -> None:
    """Make the horizontal axis logarithmic if the places span two decades or more."""
    if len(places) and places.min() > 0 and places.max() >= 100 * places.min():
        panel.ax.set_xscale("log")


def mark_extremes(
    panel: Panel,
    frame: pd.DataFrame,
    x: str,
    y: str,
    colour: str,
    zero: str = "Triangles at the bottom: 0, which a logarithmic axis cannot show.",
) -> None:
    """Mark values that the axis cannot show: zeros on a log axis and -inf at the bottom, other infinities at the top.

    Args:
        panel: Panel to draw in.
        frame: Rows of one compared value.
        x: Column of the horizontal axis.
        y: Column of the vertical axis.
        colour: Colour of the marks.
        zero: Sentence of the caption about the marks at the bottom.
    """
    low = (frame[y] == -np.inf) | ((frame[y] == 0) & (panel.ax.get_yscale() == "log"))
    high = ~np.isfinite(frame[y]) & ~low
    for extreme, marker, height, sentence in (
        (low, "v", 0.02, zero),
        (high, "^", 0.98, "Triangles at the top: values that are not finite."),
    ):
        if extreme.any():
            places = frame.loc[extreme, x].unique()
            at_height: dict[str, Any] = {"transform": panel.ax.get_xaxis_transform(), "clip_on": False}
            panel.ax.plot(places, [height] * len(places), linestyle="", marker=marker, color=colour, **at_height)
            panel.explain(sentence)
