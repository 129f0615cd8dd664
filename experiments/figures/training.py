"""Training loss and held-out error against the step, with what chance scores."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from experiments.drawing.captions import say
from experiments.drawing.lines_and_maps import bin_width, binned, draw_line, lines_of, mark_extremes
from experiments.drawing.style import Colours

TABLES = ("metrics", "evaluation")

JUMP = 10
"""So many times the drawn median a single run's loss is marked."""


def draw_loss(data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes) -> Axes:
    """The training loss: the median over stretches of the steps, and single losses far above it."""
    ax.set_yscale("log")
    metrics = data["metrics"]
    losses = binned(metrics, "loss", "median", by=compare)
    peaks = binned(metrics, "loss", "max", by=compare)
    width = bin_width(metrics)
    for value, line, colour, _ in lines_of(losses, compare, colours):
        draw_line(ax, line, "step", "loss", label=value, colour=colour)
        _mark_jumps(ax, line, peaks[peaks[compare] == value], value, colour)
    for _, steps, colour, _ in lines_of(metrics, compare, colours):
        mark_extremes(ax, steps, "step", "loss", colour)
    if width > 1:
        say(ax, f"Loss: the median over stretches of {width} steps.")
    _draw_chance(ax, data["evaluation"], "chance_loss")
    ax.set(xlabel="step", ylabel="training loss")
    return ax


def _mark_jumps(ax: Axes, line: pd.DataFrame, peaks: pd.DataFrame, value: str, colour: str) -> None:
    """The largest loss of each run and stretch, where the line's median hides how large it was."""
    medians = line.groupby("step")["loss"].median()
    jumps = peaks[np.isfinite(peaks["loss"]) & (peaks["loss"] > JUMP * peaks["step"].map(medians))]
    if len(jumps):
        look: dict[str, Any] = {"linestyle": "", "marker": "x", "markersize": 3, "markeredgewidth": 0.8}
        (mark,) = ax.plot(jumps["step"], jumps["loss"], color=colour, label=f"_{value}, jumps", **look)
        say(mark, f"Crosses: a run's largest loss near that step, where it is over {JUMP} times the median.")


def draw_error(data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes) -> Axes:
    """The error on held-out sequences."""
    frame = data["evaluation"]
    for value, line, colour, marker in lines_of(frame, compare, colours):
        draw_line(ax, line, "step", "error", label=value, colour=colour, marker=marker)
    _draw_chance(ax, frame, "chance_error")
    ax.set(ylim=(-0.03, 1.03), xlabel="step", ylabel="held-out error")
    ax.yaxis.set_major_formatter("{x:.0%}")
    return ax


def _draw_chance(ax: Axes, evaluation: pd.DataFrame, column: str) -> None:
    for i, chance in enumerate(sorted(evaluation[column].dropna().unique())):
        mark = ax.axhline(chance, color="0.35", linestyle=":", linewidth=1, label="_chance" if i else "chance")
        say(mark, "Dotted: chance, the score of the best answer without a memory of the sequence.")


PANELS = (draw_loss, draw_error)
READING = "The error is that of sequences that were not trained on."
