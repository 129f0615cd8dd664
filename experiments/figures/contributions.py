"""Which timesteps the gradient of the recurrent weights comes from, as shares that add up to 1."""

from functools import partial
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes

from experiments.marks import at_recorded_step, draw_line, lines_of
from experiments.style import Colours

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
    frame = at_recorded_step(data["contributions"], which)
    for value, line, colour, marker in lines_of(frame, compare, colours):
        draw_line(ax, line, "last_timestep", "share", label=value, colour=colour, marker=marker)
    ax.axhline(0, color="0.4", linewidth=0.6)
    ax.set(xlabel="timestep at the end of the window", ylabel="share of $dL/dW_{hh}$", title=title)
    return ax


NOTHING = "contributions.csv has no recurrent weights of layer 0"
ENDS = True
PANELS = (partial(draw, which="min", title="before training"), partial(draw, which="max", title="at the last step"))
READING = "A share near 0 is a stretch of the sequence that does not train the weights; below 0, one against the rest."
