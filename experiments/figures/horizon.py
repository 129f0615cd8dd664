"""How far back the gradient reaches, against the length of the task, and which lengths training solved."""

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from experiments.marks import draw_line, explain, lines_of, spread_axis
from experiments.style import Colours

TABLES = ("summary",)
AXES = {"x": "task.length"}


def select(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The runs that have a horizon."""
    return {"summary": data["summary"].dropna(subset=["horizon", "horizon_at_init"])}


def draw(
    data: dict[str, pd.DataFrame],
    *,
    compare: str,
    colours: Colours,
    ax: Axes,
    x: str = "task.length",
    column: str = "horizon",
    title: str = "",
) -> Axes:
    """The median horizon at each length, and each run: filled where it solved the task."""
    summary = data["summary"]
    for value, runs, colour, marker in lines_of(summary, compare, colours):
        draw_line(ax, runs, x, column, label=value, colour=colour)
        for solved, fill in ((True, colour), (False, "white")):
            points = runs[(runs["solved"] == 1) == solved]
            look: dict[str, Any] = {"linestyle": "", "marker": marker, "markersize": 4, "markerfacecolor": fill}
            ax.plot(points[x], points[column], color=colour, label=f"_{value}, solved: {solved}", **look)
    whole = summary.groupby(x)["timesteps"].max() - 1
    ax.plot(whole.index, whole, color="0.35", linestyle=":", linewidth=1, label="the whole sequence")
    explain(ax, "solved", linestyle="", marker="o", markersize=4)
    explain(ax, "not solved", linestyle="", marker="o", markersize=4, markerfacecolor="white")
    spread_axis(ax, summary[x])
    apart = summary["horizon_resolution"].max()
    recorded = f"\n(recorded every {apart:.0f} or fewer)" if apart > 1 else ""
    ax.set(xlabel=x, ylabel=f"horizon, timesteps{recorded}", title=title)
    ax.set_ylim(bottom=0)
    return ax


PANELS = (
    partial(draw, column="horizon_at_init", title="before training"),
    partial(draw, column="horizon", title="at the last step"),
)
NOTHING = "no run has a horizon: nothing was recorded"
READING = (
    "Horizon: the largest lag at which the norm of the gradient is at least a thousandth of that at lag 0, "
    "interpolated between recorded lags."
)
