"""How far back the gradient reaches, against how far back the user's own data say something about the answer."""

from typing import Any

import pandas as pd

from experiments.analysis.data_findings import data_reach, lag_shares
from experiments.analysis.single_losses import with_single_losses
from experiments.drawing.lines import draw_line, mark_extremes, rows_by_line
from experiments.drawing.panel import NothingToDraw, Panel

TABLES = ("gradients", "data_lags")
FURTHER_TABLES = ("lags",)
LAG = "lag: timesteps before the loss"
HORIZON = 1e-3
"""Share of the norm at lag 0 that ends the horizon."""


def select_rows(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Select the runs on data of the user's own, and of their last recorded step the gradient in layer 0."""
    gradients = with_single_losses(data["gradients"], data["lags"])
    if len(gradients) and len(data["data_lags"]):
        gradients = gradients[gradients["run_id"].isin(data["data_lags"]["run_id"].unique())]
        steps = gradients.groupby("run_id", observed=True)["step"]
        gradients = lag_shares(gradients[gradients["step"] == steps.transform("max")])
    return {"gradients": gradients, "data_lags": data["data_lags"]}


def draw_gradient(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw the norm of the gradient at each lag relative to that at lag 0."""
    panel.ax.set_yscale("log")
    _set_lags(data, panel)
    panel.title = "the gradient at the last step"
    panel.ax.set(xlabel=LAG, ylabel="gradient norm,\nrelative to lag 0")
    frame = data["gradients"]
    if (frame["readout_steps"] > 1).any() and "losses" not in frame:
        raise NothingToDraw("the task has a loss at several timesteps; record.lags=true shows how far each reaches")
    for value, rows, colour, marker in rows_by_line(panel, frame):
        draw_line(panel, rows, "lag", "share", value=value, colour=colour, marker=marker)
        mark_extremes(panel, rows, "lag", "share", colour)
    panel.ax.axhline(HORIZON, color="0.35", linewidth=1, linestyle=":")
    panel.explain("Gradient: the dotted line is a thousandth, which ends the horizon.")


def draw_data(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw the dependence of the answer on the inputs at each lag, and the bound that noise does not exceed."""
    _set_lags(data, panel)
    panel.ax.set(xlabel=LAG, ylabel="dependence\nof the answer")
    strongest = data["data_lags"].sort_values("dependence").drop_duplicates(["run_id", "lag"], keep="last")
    curves = {value: rows.sort_values("lag") for value, rows, _, _ in rows_by_line(panel, strongest)}
    first = {value: rows[rows["run_id"] == rows["run_id"].iloc[0]] for value, rows in curves.items()}
    same = len({tuple(rows["dependence"]) for rows in first.values()}) == 1
    reaches, top = [], 0.0
    for value, rows in first.items():
        look: dict[str, Any] = {"color": "0.35" if same else panel.colours[value][0]}
        name = "the data" if same else f"{value}, data"
        panel.add_line(rows["lag"], rows["dependence"], name=name, in_legend=False, **look)
        bound: dict[str, Any] = {"in_legend": False, "sets_limits": False, "linestyle": ":"}
        panel.add_line(rows["lag"], rows["bound"], name=f"{name}, bound", **bound, **look)
        reach = data_reach(data["data_lags"][data["data_lags"]["run_id"] == rows["run_id"].iloc[0]])
        top = max(top, rows["dependence"].max(), rows["bound"].clip(upper=1).max())
        reaches.append("none" if reach is None or reach.lag is None else f"lag {reach.lag}")
        above = rows[rows["dependence"] > rows["bound"]]
        panel.ax.plot(above["lag"], above["dependence"], linestyle="", marker="o", markersize=3, **look)
        if same:
            break
    panel.ax.set_ylim(-0.03 * top, 1.05 * top)
    panel.title = f"the data: reach {', '.join(dict.fromkeys(reaches))}"
    panel.explain(
        "Data: how much an input at this lag explains of the answer that no smaller lag explains (semipartial "
        "correlation; the largest over the columns). The dotted line is the bound that noise stays below at all lags "
        "in about 99 of 100 tables; marks are above it, and the last one is the reach of the data."
    )
    if (strongest["bound"] > 1).any():
        panel.explain("Where the bound is above 1, no dependence can be told from noise.")


def _set_lags(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Show the same lags in both panels."""
    most = max(data[name]["lag"].max() for name in TABLES)
    panel.ax.set_xlim(-0.03 * most, 1.03 * most)


IF_MISSING = "no gradient was recorded, or the task has no data of your own"
IF_EMPTY = "no run has a task with data of your own (task=csv or task=text)"
FIRST_AND_LAST_STEP_ONLY = True
PANELS = (draw_gradient, draw_data)
FIRST_LAYER_ONLY = True
CAPTION = (
    "The norm of the gradient by lag, relative to lag 0 (of a cell with several states, the largest), and how much the "
    "answer depends on the inputs at that lag. If the gradient falls below a thousandth before the data's reach, "
    "training hardly uses what the data say there."
)
