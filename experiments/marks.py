"""What the panels of a figure are made of: lines with bands, maps, marks; and the rows that go into them."""

from collections.abc import Iterator
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize

from experiments.style import OVERFLOW, UNDERFLOW, Colours, is_crowded


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
    ax.plot(median.index, median, color=colour, label=label, **line)
    if len(frame) > len(median) and not is_crowded():
        with np.errstate(invalid="ignore"):
            quartiles = values.quantile(np.array([0.25, 0.75])).unstack()
        ax.fill_between(quartiles.index, quartiles[0.25], quartiles[0.75], color=colour, alpha=0.18, linewidth=0)
        for quartile, name in ((0.25, "lower quartile"), (0.75, "upper quartile")):  # the band's numbers, not drawn
            ax.plot(quartiles.index, quartiles[quartile], linestyle="", label=f"_{label.lstrip('_')}, {name}")


def explain(ax: Axes, name: str, **look: Any) -> None:
    """An entry in the legend for a look that several lines or cells share."""
    ax.plot([], [], **{"color": "0.35", "label": name, **look})


def spread_axis(ax: Axes, places: "pd.Series[float]") -> None:
    """A logarithmic horizontal axis where the places span two decades."""
    if len(places) and places.min() > 0 and places.max() >= 100 * places.min():
        ax.set_xscale("log")


def mark_extremes(ax: Axes, frame: pd.DataFrame, x: str, y: str, colour: str) -> None:
    """What an axis cannot hold: zeros on a log axis (underflow) as triangles at its foot, infinities at its head."""
    low = (frame[y] == -np.inf) | ((frame[y] == 0) & (ax.get_yscale() == "log"))
    high = ~np.isfinite(frame[y]) & ~low
    for extreme, marker, height in ((low, "v", 0.02), (high, "^", 0.98)):
        if extreme.any():
            places = frame.loc[extreme, x].unique()
            at_height: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False}
            ax.plot(places, [height] * len(places), linestyle="", marker=marker, color=colour, **at_height)


def draw_map(
    ax: Axes,
    grid: pd.DataFrame,
    *,
    x_edges: np.ndarray,
    y_edges: np.ndarray,
    cmap: str | Colormap,
    norm: Normalize,
    label: str,
) -> None:
    """Coloured cells. The scale's colour is for finite values only.

    Args:
        ax: where.
        grid: the values, a row for each y and a column for each x. What is missing stays white, -inf (the logarithm of
            an underflow) is grey, inf is pink; both get a word in the legend.
        x_edges: of the cells, one more than there are columns.
        y_edges: of the cells, one more than there are rows.
        cmap: the scale.
        norm: from values to the scale.
        label: what the colour is.
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
    finite = np.ma.masked_array(values, ~(np.isfinite(values) & known))
    ax.pcolormesh(x_edges, y_edges, finite, cmap=cmap, norm=norm, rasterized=True, label=label)
    ax.grid(visible=False)
    ax.locator_params(integer=True)


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
