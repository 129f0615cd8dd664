"""How large the model is against the length of the sequence: the number of trained parameters."""

import pandas as pd
from matplotlib.axes import Axes

from experiments.drawing.lines_and_maps import draw_line, lines_of
from experiments.drawing.style import Colours

TABLES = ("summary",)
AXES = {"x": "task.length"}


def draw(data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes, x: str = "task.length") -> Axes:
    """How many numbers are trained."""
    summary = data["summary"]
    ax.set(xscale="log" if summary[x].min() > 0 else "linear", xlabel=x, ylabel="parameters")
    for value, runs, colour, marker in lines_of(summary, compare, colours):
        draw_line(ax, runs, x, "parameters", label=value, colour=colour, marker=marker)
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter("{x:,.0f}")
    return ax


PANELS = (draw,)
READING = "How many numbers are trained. Where the line is level, the model does not grow."
