"""The share of runs that solve the task, against its length: how long a memory can be learned."""

from typing import Any

import numpy as np
import pandas as pd

from experiments.analysis.intervals import wilson_interval
from experiments.drawing.lines import rows_by_line, spread_axis
from experiments.drawing.panel import NothingToDraw, Panel
from experiments.store.status import FINISHED

TABLES = ("summary",)
AXES = {"x": "task.length"}


def select_rows(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Select the finished runs of tasks that have a criterion. Failed and interrupted runs are not counted."""
    summary = data["summary"]
    ended = summary["status"].isin(FINISHED)
    return {"summary": summary[ended & summary["solved"].notna()]}


def draw(data: dict[str, pd.DataFrame], panel: Panel, *, x: str = "task.length") -> None:
    """Draw the share of solved runs and Wilson's 95 % interval at each length."""
    summary, ax = data["summary"], panel.ax
    ax.set(ylim=(-0.03, 1.03), xlabel=x, ylabel="share of runs solved")
    ax.yaxis.set_major_formatter("{x:.0%}")
    if not summary["solved"].any():
        count = len(summary)
        raise NothingToDraw(f"none of {count} runs solved the task" if count > 1 else "the run did not solve the task")
    place = {value: i for i, value in enumerate(panel.colours)}
    for value, runs, colour, marker in rows_by_line(panel, summary):
        above = min(
            len(place) - 1 - place[value], 3
        )  # later lines may cover this one, which is wider to remain visible
        counts = runs.groupby(x)["solved"].agg(["sum", "size"])
        share = counts["sum"] / counts["size"]
        low, high = wilson_interval(counts["sum"].to_numpy(float), counts["size"].to_numpy(float))
        look: dict[str, Any] = {"color": colour}
        if not panel.crowded:
            look |= {"marker": marker, "linewidth": 1.4 + 0.8 * above, "markersize": 4 + above}
        panel.add_line(share.index, share, name=value, value=value, **look)
        if above and not panel.crowded:
            panel.explain("Lines have different widths so that one is visible beneath another.")
        errors = np.maximum([share - low, high - share], 0)
        ax.errorbar(share.index, share, yerr=errors, fmt="none", ecolor=colour, capsize=2, elinewidth=0.8)
        for bound, end in (("lower bound", share - errors[0]), ("upper bound", share + errors[1])):
            panel.record(f"{value}, {bound}", share.index, end)
    spread_axis(panel, summary[x])


PANELS = (draw,)
IF_MISSING = "no finished run with a criterion"
IF_EMPTY = "no run has a verdict: the task has no criterion, or nothing was evaluated"
OVER_SEEDS = "points: share of {seeds} seeds, bars: Wilson's 95 % interval"
CAPTION = "A run has solved the task if it meets the criterion of the task's paper."
