"""A column of summary.csv over two configuration keys, and where the gradient neither vanishes nor explodes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm, Normalize, TwoSlopeNorm
from matplotlib.ticker import NullLocator

from experiments.drawing.blank_panels import Blank
from experiments.drawing.captions import say, say_if_losses_mix
from experiments.drawing.lines_and_maps import draw_map, edges, explain
from experiments.drawing.style import Colours
from experiments.store.config_keys import format_value, rank
from experiments.store.files import Value

TABLES = ("summary",)
AXES = {"x": None, "y": None}
COLOURED = True
GAINS = ("gain_per_timestep", "gain_at_init")

CLOSEST = 0.07
"""Ticks are at least this share of an axis apart."""


class Scale(NamedTuple):
    """Where the values of a key lie on an axis.

    Attributes:
        centres: Of the cells.
        edges: Of the cells, one more.
        name: linear or log, as matplotlib calls it.
        is_number: Whether the centres are the values; otherwise the cells stand side by side.
    """

    centres: np.ndarray
    edges: np.ndarray
    name: str
    is_number: bool


def draw(
    data: dict[str, pd.DataFrame],
    *,
    compare: str,
    colours: Colours,
    ax: Axes,
    x: str,
    y: str,
    column: str = "gain_per_timestep",
    norm: Normalize | None = None,
) -> Axes:
    """Each cell is the median over the runs there, at its place on the scale of the values."""
    summary = data["summary"]
    grid = pivot(summary, x, y, column)
    if grid.isna().all(axis=None):
        raise Blank(f"no run has a value of {column}")
    across, up = place(list(grid.columns)), place(list(grid.index))
    mesh = draw_map(
        ax,
        grid,
        x_edges=across.edges,
        y_edges=up.edges,
        cmap="RdBu_r" if column in GAINS else "viridis",
        norm=norm or scale(summary, column),
        label=column,
        missing="no run there has a value",
    )
    if column in GAINS:
        _say_what_a_gain_is(ax, mesh, summary, grid, column)
    _draw_gain_1(ax, summary, x, y, column if column in GAINS else "gain_at_init", across, up)
    if across.is_number or up.is_number:
        say(ax, "Cells lie to scale, and reach halfway to their neighbours.")
    ax.set(xlabel=x, xscale=across.name, xlim=across.edges[[0, -1]])
    ax.set(ylabel=y, yscale=up.name, ylim=up.edges[[0, -1]])
    texts = _label(ax.xaxis, across, list(grid.columns))
    ax.tick_params("x", rotation=45 if sum(len(text) + 2 for text in texts) > 34 else 0)
    _label(ax.yaxis, up, list(grid.index))
    return ax


def _say_what_a_gain_is(ax: Axes, mesh: QuadMesh, summary: pd.DataFrame, grid: pd.DataFrame, column: str) -> None:
    if column == "gain_at_init":
        say(ax, "The gain is that of the loss's gradient before training.")
    elif (summary["kind"] == "probe").all():
        say(ax, "The gain is that of the Jacobians, in all directions.")
    else:
        say(ax, "The gain is that of the loss's gradient at the last recorded step.")
    if (grid < 1).any(axis=None):
        say(mesh, "Blue: below 1, the gradient shrinks with each timestep on its way back.")
    if (grid > 1).any(axis=None):
        say(mesh, "Red: above 1, it grows.")
    if column == "gain_at_init" or not (summary["kind"] == "probe").all():
        say_if_losses_mix(ax, summary, "that gradient")


def _draw_gain_1(ax: Axes, summary: pd.DataFrame, x: str, y: str, column: str, across: Scale, up: Scale) -> None:
    """The line where the gain is 1, between cells whose values are numbers."""
    gains = np.ma.masked_invalid(pivot(summary, x, y, column).to_numpy(float))
    if not (across.is_number and up.is_number and min(gains.shape) > 1 and gains.count()):
        return
    if gains.min() < 1 < gains.max():
        lines = ax.contour(across.centres, up.centres, np.log(gains), levels=[0], colors="black", linewidths=1.2)
        lines.set_rasterized(True)
        explain(ax, "gain 1", f"Black line: {column} is 1, between the cells' centres.", color="black", linewidth=1.2)


def pivot(summary: pd.DataFrame, x: str, y: str, column: str) -> pd.DataFrame:
    """The medians over the runs, with the values of x and y in their order."""
    grid = summary.pivot_table(index=y, columns=x, values=column, aggfunc="median", dropna=False)
    return grid.reindex(index=sorted(grid.index, key=rank), columns=sorted(grid.columns, key=rank))


def place(values: Sequence[Value]) -> Scale:
    """The places of a key's values on an axis: numbers to scale, on a log axis where that spaces them more evenly."""
    numbers = np.array([value if isinstance(value, int | float) else np.nan for value in values], float)
    if not np.isfinite(numbers).all():
        return Scale(np.arange(len(values)), np.arange(len(values) + 1) - 0.5, "linear", is_number=False)
    if len(numbers) > 1 and numbers.min() > 0:
        logs = np.log(numbers)
        if _unevenness(logs) < _unevenness(numbers) - 1e-9 and (len(numbers) > 2 or numbers[1] >= 10 * numbers[0]):
            return Scale(numbers, np.exp(edges(logs)), "log", is_number=True)
    return Scale(numbers, edges(numbers), "linear", is_number=True)


def _unevenness(places: np.ndarray) -> float:
    """The widest gap between neighbours over the narrowest."""
    gaps = np.diff(places)
    return float(gaps.max() / gaps.min())


def _label(axis: Axis, placed: Scale, values: Sequence[Value]) -> list[str]:
    """Ticks at the cells' centres, with the values as they are written; those that are too close have none."""
    centres, ends = ((np.log(x) if placed.name == "log" else x) for x in (placed.centres, placed.edges[[0, -1]]))
    chosen = [0]
    for i, centre in enumerate(centres):
        if centre - centres[chosen[-1]] >= CLOSEST * (ends[1] - ends[0]):
            chosen.append(i)
    texts = [format_value(values[i]) for i in chosen]
    axis.set_ticks(placed.centres[chosen], texts)
    axis.set_minor_locator(NullLocator())
    return texts


def scale(summary: pd.DataFrame, column: str) -> Normalize:
    """White at a gain of 1, and as far as the gains go, to a third at least of the other side; else all there is."""
    values = summary[column].to_numpy(float)
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    if column in GAINS:
        reach = max(1 - low, high - 1, 1e-3) / 3
        return TwoSlopeNorm(1, vmin=min(low, 1 - reach), vmax=max(high, 1 + reach))
    return LogNorm(low, high) if low > 0 and high > 100 * low else Normalize(low, high)


def norm(data: dict[str, pd.DataFrame], *, x: str, y: str, column: str) -> Normalize:
    """One scale for all panels."""
    return scale(data["summary"], column)


PANELS = (draw,)
EACH = True
SPREAD = "colour: median over {seeds} seeds"
READING = "The median of a column of summary.csv over two keys of the configuration."
