"""What a longer sequence costs: the time of a training step, and the number of parameters."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from experiments.marks import draw_line, explain, lines_of
from experiments.style import Colours

TABLES = ("summary",)
AXES = {"x": "task.length"}


def select(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The runs that ended, with the milliseconds that a step of theirs took."""
    summary = data["summary"]
    ended = summary[summary["seconds"].notna() & (summary["status"] == "completed")]
    return {"summary": ended.assign(milliseconds=1000 * ended["seconds"].astype(float) / ended["steps"].astype(float))}


def draw_time(
    data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes, x: str = "task.length"
) -> Axes:
    """Milliseconds a step, all that the run does included, and a line of slope 1."""
    ax.set(xscale="log", yscale="log")
    summary = data["summary"]
    _draw(ax, summary, x, "milliseconds", compare, colours)
    first, last = summary[x].min(), summary[x].max()
    foot = 0.7 * summary[summary[x] == first]["milliseconds"].min()
    look: dict[str, Any] = {"color": "0.35", "linestyle": ":", "linewidth": 1}
    ax.plot([first, last], [foot, foot * last / first], label="_linear", **look)
    explain(ax, "linear in the length", **look)
    ax.set(xlabel=x, ylabel="a training step, ms")
    return ax


def draw_size(
    data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes, x: str = "task.length"
) -> Axes:
    """How many numbers are trained."""
    ax.set_xscale("log")
    _draw(ax, data["summary"], x, "parameters", compare, colours)
    ax.set(xlabel=x, ylabel="parameters")
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter("{x:,.0f}")
    return ax


def _draw(ax: Axes, summary: pd.DataFrame, x: str, y: str, compare: str, colours: Colours) -> None:
    for value, runs, colour, marker in lines_of(summary, compare, colours):
        draw_line(ax, runs, x, y, label=value, colour=colour, marker=marker)


PANELS = (draw_time, draw_size)
NOTHING = "no run has ended"
READING = (
    "One timestep waits for the other: the time grows with the length, though the parameters stay. It is that of the "
    "run over its steps, measuring and evaluating included."
)
