"""How far back the gradient reaches, against the length of the task, and which runs solved it."""

from functools import partial
from typing import Any

import pandas as pd

from experiments.drawing.lines import draw_line, rows_by_line, spread_axis
from experiments.drawing.panel import NothingToDraw, Panel

TABLES = ("summary",)
AXES = {"x": "task.length"}

OUTCOMES: dict[str, dict[str, Any]] = {
    "solved": {},
    "not solved": {"markerfacecolor": "white"},
    "no criterion": {"fillstyle": "bottom", "markerfacecoloralt": "white"},
}
"""Whether a run solved the task, and how its marker is filled."""


def select_rows(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Select the runs that have a horizon."""
    return {"summary": data["summary"].dropna(subset=["horizon", "horizon_at_init"])}


def draw(
    data: dict[str, pd.DataFrame], panel: Panel, *, x: str = "task.length", column: str = "horizon", title: str = ""
) -> None:
    """Draw the median horizon at each length, and a mark for each run, which is filled if the run solved the task."""
    summary = data["summary"]
    panel.title = title
    panel.ax.set(xlabel=x, ylabel="horizon, timesteps")
    if column == "horizon" and not _trained(summary).any():
        raise NothingToDraw("no run was trained for more than one step")
    outcomes = summary["solved"].map({1: "solved", 0: "not solved"}).fillna("no criterion")
    for value, runs, colour, marker in rows_by_line(panel, summary):
        draw_line(panel, runs, x, column, value=value, colour=colour)
        for outcome, fill in OUTCOMES.items():
            points = runs[outcomes.loc[runs.index] == outcome]
            if len(points):
                look: dict[str, Any] = {"linestyle": "", "marker": marker, "markersize": 4, "color": colour, **fill}
                panel.add_line(points[x], points[column], name=f"{value}, {outcome}", value=value, **look)
    for outcome, fill in OUTCOMES.items():
        if (outcomes == outcome).any():
            panel.add_to_legend(outcome, linestyle="", marker="o", markersize=4, **fill)
    panel.explain("Each mark is a run.")
    lengths = summary.groupby(x)["timesteps"].agg(["min", "max"]) - 1
    if (lengths["min"] == lengths["max"]).all():
        look = {"color": "0.35", "linestyle": ":", "linewidth": 1}
        panel.add_line(lengths.index, lengths["max"], name="the whole sequence", **look)
        panel.explain("Dotted: the whole sequence, which is the largest possible lag.")
    if (summary["readout_steps"] > 1).any():
        panel.explain(
            "With a loss at several timesteps, the horizon is that of a single timestep's loss: of the mean over "
            "several such losses."
        )
    spread_axis(panel, summary[x])
    if (apart := summary["horizon_resolution"].max()) > 1:
        panel.explain(f"Interpolated between recorded lags, which are at most {apart:.0f} timesteps apart.")
    panel.ax.set_ylim(bottom=0)


def _trained(summary: pd.DataFrame) -> "pd.Series[bool]":
    """Whether each run was updated between its first recorded step and its last."""
    started = summary["diverged_at_step"].isna() | (summary["diverged_at_step"] > 1)
    return (summary["kind"] == "training") & (summary["steps"] > 1) & started


PANELS = (
    partial(draw, column="horizon_at_init", title="before training"),
    partial(draw, column="horizon", title="at the last step"),
)
IF_MISSING = "the horizon is not known"
IF_EMPTY = (
    "no run has a horizon: no gradients were recorded, they are not finite, or the task has a loss at several "
    "timesteps and record.lags was false"
)
FIRST_LAYER_ONLY = True
CAPTION = (
    "The horizon is the number of timesteps before the loss at which the gradient has fallen to a thousandth of its "
    "norm at the timestep of the loss. The title of a panel says when in training it was measured."
)
