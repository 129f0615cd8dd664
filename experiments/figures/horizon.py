"""How far back the gradient reaches, against the length of the task, and which runs solved it."""

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from experiments.drawing.blank_panels import Blank
from experiments.drawing.captions import say, say_if_losses_mix
from experiments.drawing.lines_and_maps import draw_line, explain, lines_of, spread_axis
from experiments.drawing.style import Colours

TABLES = ("summary",)
AXES = {"x": "task.length"}

OUTCOMES: dict[str, dict[str, Any]] = {
    "solved": {},
    "not solved": {"markerfacecolor": "white"},
    "no criterion": {"fillstyle": "bottom", "markerfacecoloralt": "white"},
}
"""What became of a run, and how its mark is filled."""


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
    ax.set(xlabel=x, ylabel="horizon, timesteps", title=title)
    if column == "horizon" and not _trained(summary).any():
        raise Blank("no run was trained for more than one step")
    outcome = summary["solved"].map({1: "solved", 0: "not solved"}).fillna("no criterion")
    for value, runs, colour, marker in lines_of(summary, compare, colours):
        draw_line(ax, runs, x, column, label=value, colour=colour)
        for what, fill in OUTCOMES.items():
            points = runs[outcome.loc[runs.index] == what]
            if len(points):
                look: dict[str, Any] = {"linestyle": "", "marker": marker, "markersize": 4, **fill}
                ax.plot(points[x], points[column], color=colour, label=f"_{value}, {what}", **look)
    for what, fill in OUTCOMES.items():
        if (outcome == what).any():
            explain(ax, what, linestyle="", marker="o", markersize=4, **fill)
    say(ax, "Each mark is a run.")
    lengths = summary.groupby(x)["timesteps"].agg(["min", "max"]) - 1
    if (lengths["min"] == lengths["max"]).all():
        look = {"color": "0.35", "linestyle": ":", "linewidth": 1}
        (whole,) = ax.plot(lengths.index, lengths["max"], label="the whole sequence", **look)
        say(whole, "Dotted: the whole sequence, the largest lag there is.")
    say_if_losses_mix(ax, summary, "the gradient")
    spread_axis(ax, summary[x])
    if (apart := summary["horizon_resolution"].max()) > 1:
        say(ax, f"Interpolated between recorded lags up to {apart:.0f} timesteps apart.")
    ax.set_ylim(bottom=0)
    return ax


def _trained(summary: pd.DataFrame) -> "pd.Series[bool]":
    """Which runs were updated between their first recorded step and their last."""
    started = summary["diverged_at_step"].isna() | (summary["diverged_at_step"] > 1)
    return (summary["kind"] == "training") & (summary["steps"] > 1) & started


PANELS = (
    partial(draw, column="horizon_at_init", title="before training"),
    partial(draw, column="horizon", title="at the last step"),
)
NOTHING = "no run has a horizon: nothing was recorded"
READING = (
    "The horizon is how many timesteps before the end the gradient has fallen to a thousandth of its norm at the last "
    "timestep, at the moment in the panel's title."
)
