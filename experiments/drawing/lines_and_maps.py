"""What the panels of a figure are made of: lines with bands, maps, marks; and the rows that go into them."""

from collections.abc import Iterator
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from experiments.drawing.blank_panels import Blank
from experiments.drawing.captions import say
from experiments.drawing.style import OVERFLOW, UNDERFLOW, Colours, is_crowded


def lines_of(frame: pd.DataFrame, compare: str, colours: Colours) -> Iterator[tuple[str, pd.DataFrame, str, str]]:
    """Each compared value that there is, in the order of the colours: its rows, colour and marker."""
    rows = dict(iter(frame.groupby(compare, observed=True)))
    for value, (colour, marker) in colours.items():
        if value in rows:
            yield value, rows[value], colour, marker


def draw_line(ax: Axes, frame: pd.DataFrame, x: str, y: str, *, label: str, colour: str, **line: Any) -> None:
    """The median of y over the runs at each x, and the band between its quartiles.

    On a log axis the line ends where the median is 0, and the band goes on to the axis's foot. Of many lines there are
    the medians only, without markers: bands over bands cannot be told apart.
    """
    values = frame.groupby(x)[y]
    with np.errstate(invalid="ignore"):  # between two infinities there is no median
        middle = values.median()
    if is_crowded() and len(middle) > 1:
        line["marker"] = None
    line.setdefault("markevery", max(1, len(middle) // 20))
    if len(middle) == 1:
        line.setdefault("marker", "o")
    median = middle.where((middle > 0) | (ax.get_yscale() != "log"))
    (drawn,) = ax.plot(median.index, median, color=colour, label=label, **line)
    counts = values.count()
    if x == "step" and counts.min() < counts.max():
        say(drawn, "Where a run has no value, as after it has ended, the median is over the others.")
    if len(frame) > len(median) and not is_crowded():
        with np.errstate(invalid="ignore"):
            quartiles = values.quantile(np.array([0.25, 0.75])).unstack()
        if (quartiles[0.75] > quartiles[0.25]).any():
            band = ax.fill_between(quartiles.index, *quartiles.to_numpy().T, color=colour, alpha=0.18, linewidth=0)
            say(band, "Bands: from the lower to the upper quartile.")
        for quartile, name in ((0.25, "lower quartile"), (0.75, "upper quartile")):  # the band's numbers, not drawn
            ax.plot(quartiles.index, quartiles[quartile], linestyle="", label=f"_{label.lstrip('_')}, {name}")


def explain(ax: Axes, name: str, sentence: str = "", **look: Any) -> Line2D:
    """An entry in the legend for a look that several lines or cells share, and its sentence in the caption."""
    (entry,) = ax.plot([], [], **{"color": "0.35", "label": name, **look})
    return say(entry, sentence) if sentence else entry


def spread_axis(ax: Axes, places: "pd.Series[float]") -> None:
    """A logarithmic horizontal axis where the places span two decades."""
    if len(places) and places.min() > 0 and places.max() >= 100 * places.min():
        ax.set_xscale("log")


def mark_extremes(ax: Axes, frame: pd.DataFrame, x: str, y: str, colour: str) -> None:
    """What an axis cannot hold: zeros on a log axis (underflow) as triangles at its foot, infinities at its head."""
    low = (frame[y] == -np.inf) | ((frame[y] == 0) & (ax.get_yscale() == "log"))
    high = ~np.isfinite(frame[y]) & ~low
    for extreme, marker, height, sentence in (
        (low, "v", 0.02, "Triangles at the bottom: 0, which a logarithm cannot show."),
        (high, "^", 0.98, "Triangles at the top: not finite."),
    ):
        if extreme.any():
            places = frame.loc[extreme, x].unique()
            at_height: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False}
            (mark,) = ax.plot(places, [height] * len(places), linestyle="", marker=marker, color=colour, **at_height)
            say(mark, sentence)


def draw_map(
    ax: Axes,
    grid: pd.DataFrame,
    *,
    x_edges: np.ndarray,
    y_edges: np.ndarray,
    cmap: str | Colormap,
    norm: Normalize,
    label: str,
    missing: str = "nothing was recorded there",
) -> QuadMesh:
    """Coloured cells. The scale's colour is for finite values only.

    Args:
        ax: where.
        grid: the values, a row for each y and a column for each x. What is missing is hatched, -inf (the logarithm of
            an underflow) is grey, inf is pink; each gets a word in the legend.
        x_edges: of the cells, one more than there are columns.
        y_edges: of the cells, one more than there are rows.
        cmap: the scale.
        norm: from values to the scale.
        label: what the colour is.
        missing: why a cell may have no value.

    Returns:
        The cells that have the scale's colour.
    """
    values = grid.to_numpy(float)
    known = ~grid.isna().to_numpy()
    for here, colour, name in (
        (values == -np.inf, UNDERFLOW, "0: underflow"),
        (values == np.inf, OVERFLOW, "not finite"),
    ):
        if here.any():
            one = mpl.colors.ListedColormap([colour])
            cells = np.ma.masked_array(np.zeros_like(values), ~here)
            ax.pcolormesh(x_edges, y_edges, cells, cmap=one, rasterized=True, label=f"_{name}")
            explain(ax, name, color=colour, linestyle="", marker="s")
    if not known.all():
        look: dict[str, Any] = {"hatch": "////", "edgecolor": "0.75", "facecolor": "none", "linewidth": 0, "zorder": 0}
        ground = ax.add_patch(Rectangle((0, 0), 1, 1, transform=ax.transAxes, label="_no value", **look))
        say(ground, f"Hatched: {missing}.")
    finite = np.ma.masked_array(values, ~(np.isfinite(values) & known))
    mesh = ax.pcolormesh(x_edges, y_edges, finite, cmap=cmap, norm=norm, rasterized=True, label=label)
    ax.grid(visible=False)
    ax.locator_params(integer=True)
    return mesh


def edges(centres: np.ndarray) -> np.ndarray:
    """The borders halfway between sorted places, and as far outside the first and the last."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middles = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middles[0]], middles, [2 * centres[-1] - middles[-1]]])


def step_edges(steps: "pd.Index[int]") -> np.ndarray:
    """The same for training steps, of which there is none before the first."""
    borders = edges(steps.to_numpy(float))
    borders[0] = steps[0] - 0.5
    return borders


def at_recorded_step(frame: pd.DataFrame, which: Literal["min", "max"]) -> pd.DataFrame:
    """The rows of each run's own first (min) or last (max) recorded step; where that is one step, it is the first.

    Raises:
        Blank: No run has a later step than its first.
    """
    steps = frame.groupby("run_id", observed=True)["step"]
    first = steps.transform("min")
    if which == "min":
        return frame[frame["step"] == first]
    rows = frame[(frame["step"] == steps.transform("max")) & (frame["step"] > first)]
    if rows.empty:
        raise Blank("recorded at one step only")
    return rows


def bin_width(metrics: pd.DataFrame) -> int:
    """A fiftieth of the steps: as many points as a line can show."""
    return max(1, int(metrics["step"].max()) // 50) if len(metrics) else 1


def binned(frame: pd.DataFrame, column: str, how: Literal["median", "max", "mean"], *, by: str) -> pd.DataFrame:
    """A row for each run and stretch of `bin_width` steps, named by its middle; `how` is median, max or mean."""
    width = bin_width(frame)
    middles = (frame["step"] - 1) // width * width + (width + 1) / 2
    stretches = frame.assign(step=middles).groupby([by, "run_id", "step"])[column]
    return stretches.agg(how).reset_index()
