"""Training loss and held-out error against the step, with the score of chance."""

from typing import Any

import numpy as np
import pandas as pd

from experiments.drawing.lines import draw_line, mark_extremes, rows_by_line
from experiments.drawing.panel import Panel
from experiments.drawing.training_steps import bin_width, binned

TABLES = ("metrics", "evaluation")

JUMP = 10
"""A single run's loss is marked if it is more than this many times the drawn median."""


def draw_loss(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw the training loss: the median over bins of steps, and single losses far above it."""
    panel.ax.set_yscale("log")
    metrics = data["metrics"]
    losses = binned(metrics, "loss", "median", by=panel.compare)
    peaks = binned(metrics, "loss", "max", by=panel.compare)
    width = bin_width(metrics)
    for value, line, colour, _ in rows_by_line(panel, losses):
        draw_line(panel, line, "step", "loss", value=value, colour=colour)
        _mark_jumps(panel, line, peaks[peaks[panel.compare] == value], value, colour)
    for _, steps, colour, _ in rows_by_line(panel, metrics):
        mark_extremes(panel, steps, "step", "loss", colour)
    if width > 1:
        panel.explain(f"Loss: the median over bins of {width} steps.")
    _draw_chance(panel, data["evaluation"], "chance_loss")
    panel.ax.set(xlabel="step", ylabel="training loss")


def _mark_jumps(panel: Panel, line: pd.DataFrame, peaks: pd.DataFrame, value: str, colour: str) -> None:
    """Mark the largest loss of each run and bin if the median of the line hides how large it was."""
    medians = line.groupby("step")["loss"].median()
    jumps = peaks[np.isfinite(peaks["loss"]) & (peaks["loss"] > JUMP * peaks["step"].map(medians))]
    if len(jumps):
        look: dict[str, Any] = {"linestyle": "", "marker": "x", "markersize": 3, "markeredgewidth": 0.8}
        panel.add_line(jumps["step"], jumps["loss"], name=f"{value}, jumps", value=value, color=colour, **look)
        panel.explain(f"Crosses: a run's largest loss near that step, if it is more than {JUMP} times the median.")


def draw_error(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw the error on held-out sequences."""
    frame = data["evaluation"]
    for value, line, colour, marker in rows_by_line(panel, frame):
        draw_line(panel, line, "step", "error", value=value, colour=colour, marker=marker)
    _draw_chance(panel, frame, "chance_error")
    panel.ax.set(ylim=(-0.03, 1.03), xlabel="step", ylabel="held-out error")
    panel.ax.yaxis.set_major_formatter("{x:.0%}")


def _draw_chance(panel: Panel, evaluation: pd.DataFrame, column: str) -> None:
    for chance in sorted(evaluation[column].dropna().unique()):
        panel.add_to_legend(
            "chance", panel.ax.axhline(chance, color="0.35", linestyle=":", linewidth=1, label="chance")
        )
        panel.explain("Dotted: chance, the score of the best answer without memory of the sequence.")


PANELS = (draw_loss, draw_error)
CAPTION = "The training loss, and the error on held-out sequences, which are not used for training."
