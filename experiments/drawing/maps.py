"""Maps of a panel: coloured cells over two axes."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import Colormap, Normalize
from matplotlib.patches import Rectangle

from experiments.drawing.colours import OVERFLOW, UNDERFLOW
from experiments.drawing.panel import ColourBar, Panel


def draw_map(
    panel: Panel,
    grid: pd.DataFrame,
    *,
    x_edges: np.ndarray,
    y_edges: np.ndarray,
    cmap: str | Colormap,
    colour_scale: Normalize,
    label: str,
    missing: str = "nothing was recorded there",
) -> None:
    """Draw a map of coloured cells. Only finite values have a colour of the scale.

    Missing values are hatched, -inf (the logarithm of an underflow) is grey, and inf is pink; the legend names them.

    Args:
        panel: Panel to draw in.
        grid: Values, with a row for each y and a column for each x.
        x_edges: Edges of the cells along x, one more than there are columns.
        y_edges: Edges of the cells along y, one more than there are rows.
        cmap: Colours.
        colour_scale: Map from values to positions in `cmap`.
        label: Name of the quantity.
        missing: Why a cell may have no value, for the caption.
    """
    values = grid.to_numpy(float)
    known = ~grid.isna().to_numpy()
    x, y = np.meshgrid((x_edges[:-1] + x_edges[1:]) / 2, (y_edges[:-1] + y_edges[1:]) / 2)
    for here, colour, name in (
        (values == -np.inf, UNDERFLOW, "0: underflow"),
        (values == np.inf, OVERFLOW, "not finite"),
    ):
        if here.any():
            one = mpl.colors.ListedColormap([colour])
            zeros = np.ma.masked_array(np.zeros_like(values), ~here)
            panel.ax.pcolormesh(x_edges, y_edges, zeros, cmap=one, rasterized=True, label=name)
            panel.record(name, x, y, np.where(here, 0.0, np.nan))
            panel.add_to_legend(name, color=colour, linestyle="", marker="s")
    if not known.all():
        look: dict[str, Any] = {"hatch": "////", "edgecolor": "0.75", "facecolor": "none", "linewidth": 0, "zorder": 0}
        panel.ax.add_patch(Rectangle((0, 0), 1, 1, transform=panel.ax.transAxes, **look))
        panel.explain(f"Hatched: {missing}.")
    finite = np.isfinite(values) & known
    cells = np.ma.masked_array(values, ~finite)
    mesh = panel.ax.pcolormesh(x_edges, y_edges, cells, cmap=cmap, norm=colour_scale, rasterized=True, label=label)
    panel.record(label, x, y, np.where(finite, values, np.nan))
    panel.colour_bar = ColourBar(mesh, label)
    panel.ax.grid(visible=False)
    panel.ax.locator_params(integer=True)


def edges(centres: np.ndarray) -> np.ndarray:
    """Return the edges of cells: halfway between sorted centres, and equally far outside the first and the last."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middles = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middles[0]], middles, [2 * centres[-1] - middles[-1]]])


def step_edges(steps: "pd.Index[int]") -> np.ndarray:
    """Return the edges of cells for training steps: as `edges`, but the first and the last cell end at their step."""
    borders = edges(steps.to_numpy(float))
    borders[0], borders[-1] = steps[0] - 0.5, steps[-1] + 0.5
    return borders
