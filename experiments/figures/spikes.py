"""Steps at which the gradient norm leaves its running distribution, and the timestep at which that begins."""

from typing import Any

import pandas as pd

from experiments.drawing.lines import draw_line, mark_extremes, rows_by_line
from experiments.drawing.panel import NothingToDraw, Panel
from experiments.drawing.training_steps import bin_width, binned

TABLES = ("metrics",)
FURTHER_TABLES = ("spikes",)
NO_TIMESTEP = "No spike begins at a timestep: the read-out's gradient alone is beyond the limit."


def select_rows(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Select the runs that have a spike."""
    metrics, spikes = data["metrics"], data["spikes"]
    if spikes.empty:
        return {"metrics": metrics.iloc[:0]}
    return {"metrics": metrics[metrics["run_id"].isin(spikes["run_id"].unique())], "spikes": spikes}


def draw_norms(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw the median norm over bins of steps, and each spike."""
    panel.ax.set_yscale("log")
    metrics = data["metrics"]
    for value, line, colour, _ in rows_by_line(panel, binned(metrics, "grad_norm", "median", by=panel.compare)):
        draw_line(panel, line, "step", "grad_norm", value=value, colour=colour)
    _draw_spikes(panel, data["spikes"], "grad_norm")
    for _, spikes, colour, _ in rows_by_line(panel, data["spikes"]):
        mark_extremes(panel, spikes, "step", "grad_norm", colour)
    if data["spikes"]["timestep"].isna().all():
        panel.explain(NO_TIMESTEP)
    if (width := bin_width(metrics)) > 1:
        panel.explain(f"Line: the median over bins of {width} steps.")
    panel.ax.set(xlabel="step", ylabel="gradient norm")


def draw_beginnings(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw the timestep at which each spike begins, going back from the end of the sequence."""
    known = data["spikes"].dropna(subset="timestep")
    if known.empty:
        raise NothingToDraw(NO_TIMESTEP)
    _draw_spikes(panel, known, "timestep")
    panel.explain(
        "A spike begins at the timestep with which the gradient, added up from the end of the sequence "
        "backwards, becomes larger than the distribution allows."
    )
    panel.ax.set(xlabel="step", ylabel="timestep where it begins")
    if len(known) < len(data["spikes"]):
        panel.explain("Spikes of the read-out's gradient alone begin at no timestep.")


def _draw_spikes(panel: Panel, spikes: pd.DataFrame, column: str) -> None:
    for value, rows, colour, marker in rows_by_line(panel, spikes):
        name = f"{value}, {column} of spikes"
        look: dict[str, Any] = {
            "linestyle": "",
            "marker": marker,
            "markersize": 3.5,
            "markerfacecolor": "none",
            "color": colour,
        }
        panel.add_line(rows["step"], rows[column].where(rows[column] < float("inf")), name=name, value=value, **look)


PANELS = (draw_norms, draw_beginnings)
IF_MISSING = "no spike was recorded"
IF_EMPTY = "no spike was recorded; record.spikes=true or bptt watch --spikes records them"
OVER_SEEDS = "line: median over {seeds} seeds"
CAPTION = "Open symbols: steps at which the gradient norm leaves the distribution of the norms before it."
