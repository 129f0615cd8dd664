"""Which timesteps the gradient of the recurrent weights comes from, as shares that add up to 1."""

from functools import partial
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes

from experiments.drawing.blank_panels import Blank
from experiments.drawing.captions import say, say_if_losses_mix
from experiments.drawing.lines_and_maps import at_recorded_step, draw_line, lines_of
from experiments.drawing.style import Colours

TABLES = ("contributions",)


def select(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The recurrent weights of layer 0, which reads the input."""
    frame = data["contributions"]
    return {"contributions": frame[frame["parameter"] == "layers.0.weight_hh"]}


def draw(
    data: dict[str, pd.DataFrame],
    *,
    compare: str,
    colours: Colours,
    ax: Axes,
    which: Literal["min", "max"] = "max",
    title: str = "",
) -> Axes:
    """One step of each run: the first recorded one (`which` is min) or the last (max)."""
    ax.set(xlabel="timestep at the end of the window", ylabel="share of $dL/dW_{hh}$", title=title)
    frame = at_recorded_step(data["contributions"], which)
    known = frame.dropna(subset="share")
    if known.empty:
        raise Blank("no shares: the whole gradient of the recurrent weights is 0, or not finite")
    for value, line, colour, marker in lines_of(known, compare, colours):
        draw_line(ax, line, "last_timestep", "share", label=value, colour=colour, marker=marker)
    zero = say(ax.axhline(0, color="0.4", linewidth=0.6), "Thin line: a share of 0.")
    if (known["share"] < 0).any():
        say(zero, "A share below 0 points against the whole gradient.")
    if len(known) < len(frame):
        say(zero, "Runs whose whole gradient is 0 or not finite have no shares.")
    say_if_losses_mix(ax, frame, "a share")
    return ax


NOTHING = "contributions.csv has no recurrent weights of layer 0"
ENDS = True
PANELS = (partial(draw, which="min", title="before training"), partial(draw, which="max", title="at the last step"))
READING = "How much each window of the sequence adds to the gradient of the recurrent weights; all shares add up to 1."
