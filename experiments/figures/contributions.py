"""Which timesteps the gradient of the recurrent weights comes from, as shares that add up to 1."""

from functools import partial
from typing import Literal

import pandas as pd

from experiments.drawing.lines import draw_line, rows_by_line
from experiments.drawing.panel import NothingToDraw, Panel
from experiments.drawing.training_steps import at_recorded_step

TABLES = ("contributions",)


def select_rows(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Select the recurrent weights of layer 0, which reads the input."""
    frame = data["contributions"]
    return {"contributions": frame[frame["parameter"] == "layers.0.weight_hh"]}


def draw(data: dict[str, pd.DataFrame], panel: Panel, *, which: Literal["min", "max"] = "max", title: str = "") -> None:
    """Draw the shares at each run's first recorded step (`which` is min) or its last (max)."""
    panel.title = title
    panel.ax.set(xlabel="timestep at the end of the window", ylabel="share of $dL/dW_{hh}$")
    frame = at_recorded_step(data["contributions"], which)
    known = frame.dropna(subset="share")
    if known.empty:
        raise NothingToDraw("no shares: the whole gradient of the recurrent weights is 0, or not finite")
    for value, line, colour, marker in rows_by_line(panel, known):
        draw_line(panel, line, "last_timestep", "share", value=value, colour=colour, marker=marker)
    panel.ax.axhline(0, color="0.4", linewidth=0.6)
    panel.explain("Thin line: a share of 0.")
    if (known["share"] < 0).any():
        panel.explain("A window with a share below 0 points against the whole gradient.")
    if len(known) < len(frame):
        panel.explain("Runs whose whole gradient is 0 or not finite have no shares.")
    panel.explain_several_losses(frame, "a share")


IF_MISSING = "no recurrent matrix (weight_hh) was recorded"
IF_EMPTY = "contributions.csv has no recurrent weights of layer 0"
FIRST_AND_LAST_STEP_ONLY = True
PANELS = (partial(draw, which="min", title="before training"), partial(draw, which="max", title="at the last step"))
FIRST_LAYER_ONLY = True
CAPTION = "How much each window of the sequence adds to the gradient of the recurrent weights; all shares add up to 1."
