"""What a longer sequence costs: the time of a training step against the length."""

import pandas as pd

from experiments.drawing.lines import draw_line, rows_by_line
from experiments.drawing.panel import Panel

TABLES = ("summary",)
AXES = {"x": "task.length"}
CLOCKS = {
    "processor_seconds": "The time is processor time, to which other work of the machine hardly adds.",
    "seconds": "The time is wall time, to which other work of the machine adds.",
}
"""What the figure says of the time, by the column of summary.csv that it is from."""


def select_rows(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Select the completed runs, and add the milliseconds per step, of processor time if it is known of all of them."""
    summary = data["summary"]
    ended = summary[summary["seconds"].notna() & (summary["status"] == "completed")]
    steps = ended["stopped_at_step"].fillna(ended["steps"]).astype(float)
    clock = "processor_seconds" if ended["processor_seconds"].notna().all() else "seconds"
    return {"summary": ended.assign(milliseconds=1000 * ended[clock].astype(float) / steps, clock=clock)}


def draw(data: dict[str, pd.DataFrame], panel: Panel, *, x: str = "task.length") -> None:
    """Draw the milliseconds per step, everything that the run does included, and a line of slope 1."""
    panel.ax.set(xscale="log", yscale="log", xlabel=x, ylabel="a training step, ms")
    summary = data["summary"]
    for value, runs, colour, marker in rows_by_line(panel, summary):
        draw_line(panel, runs, x, "milliseconds", value=value, colour=colour, marker=marker)
    first, last = summary[x].min(), summary[x].max()
    start = 0.7 * summary[summary[x] == first]["milliseconds"].min()
    if first > 0:
        name = f"proportional to {x}"
        panel.add_line(
            [first, last], [start, start * last / first], name=name, color="0.35", linestyle=":", linewidth=1
        )
        panel.explain(f"Dotted: a time proportional to {x}; only its slope matters.")
    panel.explain(CLOCKS[summary["clock"].iloc[0]])


PANELS = (draw,)
IF_MISSING = "no completed run"
IF_EMPTY = "no run is completed"
CAPTION = "The time of a whole run, with measurements and evaluations, divided by its number of steps."
