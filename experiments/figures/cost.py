"""What a longer sequence costs: the time of a training step against the length."""

import pandas as pd
from matplotlib.axes import Axes

from experiments.drawing.captions import say
from experiments.drawing.lines_and_maps import draw_line, lines_of
from experiments.drawing.style import Colours

TABLES = ("summary",)
AXES = {"x": "task.length"}


def select(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The runs that ended, with the milliseconds that a step of theirs took."""
    summary = data["summary"]
    ended = summary[summary["seconds"].notna() & (summary["status"] == "completed")]
    return {"summary": ended.assign(milliseconds=1000 * ended["seconds"].astype(float) / ended["steps"].astype(float))}


def draw(data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes, x: str = "task.length") -> Axes:
    """Milliseconds a step, all that the run does included, and a line of slope 1."""
    ax.set(xscale="log", yscale="log", xlabel=x, ylabel="a training step, ms")
    summary = data["summary"]
    for value, runs, colour, marker in lines_of(summary, compare, colours):
        draw_line(ax, runs, x, "milliseconds", label=value, colour=colour, marker=marker)
    first, last = summary[x].min(), summary[x].max()
    foot = 0.7 * summary[summary[x] == first]["milliseconds"].min()
    if first > 0:
        label = f"proportional to {x}"
        (slope,) = ax.plot([first, last], [foot, foot * last / first], color="0.35", ls=":", lw=1, label=label)
        say(slope, "Dotted: a time proportional to what is on the axis; only its slope counts.")
    return ax


PANELS = (draw,)
NOTHING = "no run has ended"
READING = "The wall time of a whole run over its number of steps, measuring and evaluating included."
