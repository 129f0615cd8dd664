"""The share of runs that solve the task, against its length: how long a memory can be learned."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from experiments.analysis.intervals import wilson_interval
from experiments.drawing.blank_panels import Blank
from experiments.drawing.captions import say
from experiments.drawing.lines_and_maps import lines_of, spread_axis
from experiments.drawing.style import Colours, is_crowded
from experiments.store.status import FINISHED

TABLES = ("summary",)
AXES = {"x": "task.length"}


def select(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The runs of tasks that have a criterion. What failed or was cut off is not counted."""
    summary = data["summary"]
    ended = summary["status"].isin(FINISHED)
    return {"summary": summary[ended & summary["solved"].notna()]}


def draw(data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes, x: str = "task.length") -> Axes:
    """The share and Wilson's 95 % interval at each length."""
    summary = data["summary"]
    ax.set(ylim=(-0.03, 1.03), xlabel=x, ylabel="share of runs solved")
    ax.yaxis.set_major_formatter("{x:.0%}")
    if not summary["solved"].any():
        raise Blank(f"none of {len(summary)} runs solved the task" if len(summary) > 1 else "the run is not solved")
    place = {value: i for i, value in enumerate(colours)}
    for value, runs, colour, marker in lines_of(summary, compare, colours):
        above = min(len(colours) - 1 - place[value], 3)  # lines that may lie upon this one: it shows at their sides
        counts = runs.groupby(x)["solved"].agg(["sum", "size"])
        share = counts["sum"] / counts["size"]
        low, high = wilson_interval(counts["sum"].to_numpy(float), counts["size"].to_numpy(float))
        errors = np.maximum([share - low, high - share], 0)
        look: dict[str, Any] = {} if is_crowded() else {"marker": marker, "lw": 1.4 + 0.8 * above, "ms": 4 + above}
        (line,) = ax.plot(share.index, share, color=colour, label=value, **look)
        if above and not is_crowded():
            say(line, "Lines are of different widths so that one shows beneath another.")
        ax.errorbar(share.index, share, yerr=errors, fmt="none", ecolor=colour, capsize=2, elinewidth=0.8)
    spread_axis(ax, summary[x])
    return ax


PANELS = (draw,)
NOTHING = "no run was held against a criterion: the task has none, or nothing was evaluated"
SPREAD = "points: share of {seeds} seeds, bars: Wilson's 95 % interval"
READING = "Solved is what the task's paper calls so."
