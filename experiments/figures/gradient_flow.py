"""The gradient of the loss with respect to the state, by how far back in time: does it reach step 1?"""

from functools import partial
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes

from experiments.marks import at_recorded_step, draw_line, explain, lines_of, mark_extremes
from experiments.style import Colours

TABLES = ("gradients",)


def select(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Layer 0, which reads the input."""
    frame = data["gradients"]
    return {"gradients": frame[frame["layer"] == 0]}


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
    ax.set_yscale("log")
    frame = at_recorded_step(data["gradients"], which)
    for value, states, colour, marker in lines_of(frame, compare, colours):
        for state, look in (("h", {}), ("c", {"linestyle": "--", "markerfacecolor": "white"})):
            line = states[states["state"] == state]
            if len(line):
                label = value if state == "h" else f"_{value}, state {state}"
                draw_line(ax, line, "lag", "grad_norm", label=label, colour=colour, marker=marker, **look)
                mark_extremes(ax, line, "lag", "grad_norm", colour)
                if which == "min":
                    _draw_theory(ax, line[line["theory_state"] == state], colour)
    if (frame["state"] == "c").any():
        explain(ax, "state c", linestyle="--")
    ax.set(xlabel="lag: timesteps before the end", ylabel="gradient norm $\\|dL/ds_t\\|$", title=title)
    return ax


def _draw_theory(ax: Axes, line: pd.DataFrame, colour: str) -> None:
    """The gain that theory gives the initialisation, dotted, and its bound, dash-dotted, from the norm at lag 0 on."""
    if line.empty or line[["theory_gain", "theory_bound"]].isna().all(axis=None):
        return
    lags = sorted(line["lag"].unique())
    start = line.loc[line["lag"] == 0, "grad_norm"].median()
    for column, dashes in (("theory_gain", ":"), ("theory_bound", "-.")):
        if line[column].notna().any():
            gain = float(line[column].astype(float).median())
            norms = [start * gain**lag for lag in lags]
            ax.plot(lags, norms, color=colour, linestyle=dashes, linewidth=1, label=f"_{column}")


NOTHING = "gradients.csv has no layer 0"
ENDS = True
PANELS = (partial(draw, which="min", title="before training"), partial(draw, which="max", title="at the last step"))
READING = (
    "A straight line falling to the right is a gradient that vanishes exponentially; a rising one explodes. "
    "Dotted: theory, where it says something; dash-dotted: the bound by the largest singular value."
)
