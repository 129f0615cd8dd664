"""How large the model is against the length of the sequence: the number of trained parameters."""

import pandas as pd

from experiments.drawing.lines import draw_line, rows_by_line
from experiments.drawing.panel import Panel

TABLES = ("summary",)
AXES = {"x": "task.length"}


def draw(data: dict[str, pd.DataFrame], panel: Panel, *, x: str = "task.length") -> None:
    """Draw the number of trained parameters."""
    summary = data["summary"]
    panel.ax.set(xscale="log" if summary[x].min() > 0 else "linear", xlabel=x, ylabel="parameters")
    for value, runs, colour, marker in rows_by_line(panel, summary):
        draw_line(panel, runs, x, "parameters", value=value, colour=colour, marker=marker)
    panel.ax.set_ylim(bottom=0)
    panel.ax.yaxis.set_major_formatter("{x:,.0f}")


PANELS = (draw,)
CAPTION = "The number of trained parameters. Where the line is level, the model does not grow."
