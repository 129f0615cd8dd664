"""When the gates open: the mean of each gate at each timestep, and where the task marks it."""

from functools import partial
from typing import Any, Literal

import pandas as pd

from experiments.drawing.lines import draw_line, rows_by_line
from experiments.drawing.panel import Panel
from experiments.drawing.training_steps import at_recorded_step
from experiments.figures.gate_means import line_styles, without_candidates

TABLES = ("gates",)
SYMBOLS = ("o", "^", "s", "D")
"""Symbols of the gates, in the order of their lines in the legend; they start again after the last."""


def select_rows(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Select the gates of layer 0 in the runs whose task marks timesteps."""
    gates = data["gates"]
    has_marks = gates.groupby("run_id", observed=True)["marked"].transform("max") > 0
    return {"gates": without_candidates(gates[(gates["layer"] == 0) & has_marks])}


def draw(data: dict[str, pd.DataFrame], panel: Panel, *, which: Literal["min", "max"] = "max", title: str = "") -> None:
    """Draw the means by timestep, at each run's first recorded step (`which` is min) or its last (max).

    The line is the mean over the sequences that do not mark the timestep, and the symbols over those that do.
    """
    panel.title = title
    gates = at_recorded_step(data["gates"], which)
    for place, (gate, look) in enumerate(line_styles(gates).items()):
        symbol: dict[str, Any] = {
            "marker": SYMBOLS[place % len(SYMBOLS)],
            "markersize": 3.5,
            "markerfacecolor": "white",
        }
        for value, rows, colour, _ in rows_by_line(panel, gates[gates["gate"] == gate]):
            others = rows[rows["mean_unmarked"].notna()]
            draw_line(panel, others, "timestep", "mean_unmarked", value=value, part=gate, colour=colour, linestyle=look)
            marked = rows[rows["mean_marked"].notna()].groupby("timestep")["mean_marked"].median()
            name = f"{value}, {gate}, marked"
            panel.add_line(marked.index, marked, name=name, value=value, color=colour, linestyle="", **symbol)
        panel.add_to_legend(f"{gate} gate", linestyle=look, **symbol)
    panel.ax.set(ylim=(0, 1.02), xlabel="timestep", ylabel="gate, mean")


PANELS = (partial(draw, which="min", title="before training"), partial(draw, which="max", title="at the last step"))
IF_MISSING = "no gates were recorded, or the task marks no timesteps"
IF_EMPTY = "no task of the runs marks timesteps, or no gates were recorded"
FIRST_AND_LAST_STEP_ONLY = True
FIRST_LAYER_ONLY = True
CAPTION = (
    "The mean of each gate over units at each timestep. Lines: over the sequences in which the task does not mark the "
    "timestep. Symbols: over those in which it does, such as the two numbers of the adding problem."
)
