"""A column of summary.csv over two configuration keys, and where the gradient neither vanishes nor explodes."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, TwoSlopeNorm

from experiments.arrangement import rank
from experiments.marks import draw_map, explain
from experiments.study import shown
from experiments.style import Colours

TABLES = ("summary",)
AXES = {"x": None, "y": None}
COLOURED = True
GAINS = ("gain_per_timestep", "gain_at_init")


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
    """Each cell is the median over the runs there. The cells are as wide as each other, whatever the values."""
    summary = data["summary"]
    grid = pivot(summary, x, y, column)
    draw_map(
        ax,
        grid,
        x_edges=np.arange(len(grid.columns) + 1) - 0.5,
        y_edges=np.arange(len(grid.index) + 1) - 0.5,
        cmap="RdBu_r" if column in GAINS else "viridis",
        norm=norm or scale(summary, column),
        label=column,
    )
    gains = pivot(summary, x, y, column if column in GAINS else "gain_at_init").to_numpy(float)
    finite = np.ma.masked_invalid(gains)
    in_order = all(pd.api.types.is_numeric_dtype(axis) for axis in (grid.index, grid.columns)) and min(gains.shape) > 1
    if in_order and finite.count() and finite.min() < 1 < finite.max():
        ax.contour(np.log(finite), levels=[0], colors="black", linewidths=1.2).set_rasterized(True)
        explain(ax, "gain 1", color="black", linewidth=1.2)
    ax.set_xticks(range(len(grid.columns)), map(shown, grid.columns), rotation=45 if _is_long(grid.columns) else 0)
    ax.set_yticks(range(len(grid.index)), map(shown, grid.index))
    ax.set(xlabel=x, ylabel=y)
    return ax


def pivot(summary: pd.DataFrame, x: str, y: str, column: str) -> pd.DataFrame:
    """The medians over the runs, with the values of x and y in their order."""
    grid = summary.pivot_table(index=y, columns=x, values=column, aggfunc="median", dropna=False)
    return grid.reindex(index=sorted(grid.index, key=rank), columns=sorted(grid.columns, key=rank))


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


def _is_long(values: pd.Index) -> bool:
    return sum(len(shown(value)) + 2 for value in values) > 34


PANELS = (draw,)
EACH = True
SPREAD = "colour: median over {seeds} seeds"
READING = (
    "Blue: the gradient vanishes, red: it explodes, where the colour is a gain. On the black line it does neither."
)
