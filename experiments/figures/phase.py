"""A column of summary.csv over two configuration keys, and where the gradient neither vanishes nor explodes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axis import Axis
from matplotlib.colors import LogNorm, Normalize, TwoSlopeNorm
from matplotlib.ticker import NullLocator

from experiments.drawing.maps import draw_map, edges
from experiments.drawing.panel import NothingToDraw, Panel
from experiments.store.config_keys import format_value, rank
from experiments.store.files import Value

TABLES = ("summary",)
AXES = {"x": None, "y": None}
USES_COLOUR_OPTION = True
GAINS = ("gain_per_timestep", "gain_at_init")

CLOSEST = 0.07
"""The smallest distance between two ticks, as a share of the axis."""


class Cells(NamedTuple):
    """The places of cells along one axis.

    Attributes:
        centres: Centres of the cells.
        edges: Edges of the cells, one more than there are centres.
        scale: Scale of the axis, 'linear' or 'log'.
        is_number: Whether the centres are the values of the key; otherwise the cells stand side by side.
    """

    centres: np.ndarray
    edges: np.ndarray
    scale: str
    is_number: bool


def draw(data: dict[str, pd.DataFrame], panel: Panel, *, x: str, y: str, column: str = "gain_per_timestep") -> None:
    """Draw the median over the runs in each cell, at its place on the scale of the values."""
    summary = data["summary"]
    grid = medians(summary, x, y, column)
    if grid.isna().all(axis=None):
        raise NothingToDraw(f"no run has a value of {column}")
    across, up = place_cells(list(grid.columns)), place_cells(list(grid.index))
    draw_map(
        panel,
        grid,
        x_edges=across.edges,
        y_edges=up.edges,
        cmap="RdBu_r" if column in GAINS else "viridis",
        colour_scale=panel.colour_scale or colour_scale(data, x=x, y=y, column=column),
        label=column,
        missing="no run there has a value",
    )
    if column in GAINS:
        _explain_gain(panel, summary, grid, column)
    _draw_gain_1(panel, summary, x, y, column if column in GAINS else "gain_at_init", across, up)
    if across.is_number or up.is_number:
        panel.explain("Cells lie to scale, and extend halfway to their neighbours.")
    ax = panel.ax
    ax.set(xlabel=x, xscale=across.scale, xlim=across.edges[[0, -1]])
    ax.set(ylabel=y, yscale=up.scale, ylim=up.edges[[0, -1]])
    texts = _label_ticks(ax.xaxis, across, list(grid.columns))
    ax.tick_params("x", rotation=45 if sum(len(text) + 2 for text in texts) > 34 else 0)
    _label_ticks(ax.yaxis, up, list(grid.index))


def _explain_gain(panel: Panel, summary: pd.DataFrame, grid: pd.DataFrame, column: str) -> None:
    if column == "gain_at_init":
        panel.explain("The gain is that of the loss's gradient before training.")
    elif (summary["kind"] == "probe").all():
        panel.explain("The gain is that of the Jacobians, in all directions.")
    else:
        panel.explain("The gain is that of the loss's gradient at the last recorded step.")
    if (grid < 1).any(axis=None):
        panel.explain("Blue: below 1, the gradient shrinks with each timestep on its way back.")
    if (grid > 1).any(axis=None):
        panel.explain("Red: above 1, it grows.")
    if column == "gain_at_init" or not (summary["kind"] == "probe").all():
        panel.explain_several_losses(summary, "that gradient")


def _draw_gain_1(panel: Panel, summary: pd.DataFrame, x: str, y: str, column: str, across: Cells, up: Cells) -> None:
    """Draw the line where the gain is 1, if both axes are numbers."""
    gains = np.ma.masked_invalid(medians(summary, x, y, column).to_numpy(float))
    if not (across.is_number and up.is_number and min(gains.shape) > 1 and gains.count()):
        return
    if gains.min() < 1 < gains.max():
        lines = panel.ax.contour(across.centres, up.centres, np.log(gains), levels=[0], colors="black", linewidths=1.2)
        lines.set_rasterized(True)
        panel.add_to_legend("gain 1", color="black", linewidth=1.2)
        panel.explain(f"Black line: {column} is 1, interpolated between the centres of the cells.")


def medians(summary: pd.DataFrame, x: str, y: str, column: str) -> pd.DataFrame:
    """Return the medians over the runs, with the values of x and y in order."""
    grid = summary.pivot_table(index=y, columns=x, values=column, aggfunc="median", dropna=False)
    return grid.reindex(index=sorted(grid.index, key=rank), columns=sorted(grid.columns, key=rank))


def place_cells(values: Sequence[Value]) -> Cells:
    """Return the places of a key's values on an axis: numbers to scale, on a log axis if they are more even there."""
    numbers = np.array([value if isinstance(value, int | float) else np.nan for value in values], float)
    if not np.isfinite(numbers).all():
        return Cells(np.arange(len(values)), np.arange(len(values) + 1) - 0.5, "linear", is_number=False)
    if len(numbers) > 1 and numbers.min() > 0:
        logs = np.log(numbers)
        if _unevenness(logs) < _unevenness(numbers) - 1e-9 and (len(numbers) > 2 or numbers[1] >= 10 * numbers[0]):
            return Cells(numbers, np.exp(edges(logs)), "log", is_number=True)
    return Cells(numbers, edges(numbers), "linear", is_number=True)


def _unevenness(places: np.ndarray) -> float:
    """Return the widest gap between neighbours over the narrowest."""
    gaps = np.diff(places)
    return float(gaps.max() / gaps.min())


def _label_ticks(axis: Axis, cells: Cells, values: Sequence[Value]) -> list[str]:
    """Label the centres of the cells with their values, except for those too close to the one before."""
    centres, ends = ((np.log(x) if cells.scale == "log" else x) for x in (cells.centres, cells.edges[[0, -1]]))
    chosen = [0]
    for i, centre in enumerate(centres):
        if centre - centres[chosen[-1]] >= CLOSEST * (ends[1] - ends[0]):
            chosen.append(i)
    texts = [format_value(values[i]) for i in chosen]
    axis.set_ticks(cells.centres[chosen], texts)
    axis.set_minor_locator(NullLocator())
    return texts


def colour_scale(data: dict[str, pd.DataFrame], *, x: str, y: str, column: str) -> Normalize:
    """Return a scale over all values; for gains, white is 1, and each side is at least a third of the other."""
    values = data["summary"][column].to_numpy(float)
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    if column in GAINS:
        reach = max(1 - low, high - 1, 1e-3) / 3
        return TwoSlopeNorm(1, vmin=min(low, 1 - reach), vmax=max(high, 1 + reach))
    return LogNorm(low, high) if low > 0 and high > 100 * low else Normalize(low, high)


PANELS = (draw,)
ONE_PANEL_PER_LINE = True
OVER_SEEDS = "colour: median over {seeds} seeds"
CAPTION = "The median of a column of summary.csv over two configuration keys."
