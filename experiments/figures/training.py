"""Training loss and held-out error against the step, with what chance scores."""

import pandas as pd
from matplotlib.axes import Axes

from experiments.marks import binned, draw_line, lines_of, mark_extremes
from experiments.style import Colours

TABLES = ("metrics", "evaluation")


def draw_loss(data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes) -> Axes:
    """The training loss: the median over stretches of the steps."""
    ax.set_yscale("log")
    metrics = data["metrics"]
    losses = binned(metrics, "loss", "median", by=compare)
    for value, line, colour, _ in lines_of(losses, compare, colours):
        draw_line(ax, line, "step", "loss", label=value, colour=colour)
    for _, steps, colour, _ in lines_of(metrics, compare, colours):
        mark_extremes(ax, steps, "step", "loss", colour)
    _draw_chance(ax, data["evaluation"], "chance_loss")
    ax.set(xlabel="step", ylabel="training loss")
    return ax


def draw_error(data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes) -> Axes:
    """The error on held-out sequences."""
    frame = data["evaluation"]
    for value, line, colour, marker in lines_of(frame, compare, colours):
        draw_line(ax, line, "step", "error", label=value, colour=colour, marker=marker)
    _draw_chance(ax, frame, "chance_error")
    ax.set(ylim=(0, 1), xlabel="step", ylabel="held-out error")
    ax.yaxis.set_major_formatter("{x:.0%}")
    return ax


def _draw_chance(ax: Axes, evaluation: pd.DataFrame, column: str) -> None:
    for i, chance in enumerate(sorted(evaluation[column].unique())):
        ax.axhline(chance, color="0.35", linestyle=":", linewidth=1, label=None if i else "chance")


PANELS = (draw_loss, draw_error)
READING = "At the dotted line the network does no better than without a memory."
