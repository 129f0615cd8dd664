"""The gradient of the loss with respect to the state, by how far back in time: does it reach step 1?"""

from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from experiments.blanks import Blank
from experiments.captions import say, say_if_losses_mix
from experiments.marks import at_recorded_step, draw_line, explain, lines_of, mark_extremes
from experiments.style import Colours, is_crowded

TABLES = ("gradients",)

LAWS = {
    "theory_gain": (":", "Dotted lines: the gain that theory gives this initialisation, from the norm at lag 0."),
    "theory_bound": (
        "-.",
        "Dash-dotted lines: growth by the recurrent matrix's largest singular value, the most that a timestep can add.",
    ),
}
"""What theory says of an untrained network, how it is drawn, and what the caption says of it."""


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
    ax.set(xlabel="lag: timesteps before the end", ylabel="gradient norm $\\|dL/ds_t\\|$", title=title)
    ax.set_yscale("log")
    frame = at_recorded_step(data["gradients"], which)
    if (frame["grad_norm"] == 0).all():
        raise Blank("the gradient is 0 at every recorded timestep")
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
        sentence = (
            f"Dashed{'' if is_crowded() else ', hollow'}: the cell state c of an LSTM; solid: the hidden state h."
        )
        explain(ax, "state c", sentence, linestyle="--")
    say_if_losses_mix(ax, frame, "the gradient")
    return ax


def _draw_theory(ax: Axes, line: pd.DataFrame, colour: str) -> None:
    """What theory says, from the norm at lag 0 on, as far as it stays near what was measured: that sets the axis."""
    start = line.loc[line["lag"] == 0, "grad_norm"].median()
    measured = line["grad_norm"][(line["grad_norm"] > 0) & np.isfinite(line["grad_norm"])]
    lags = np.sort(line["lag"].unique())
    for column, (dashes, sentence) in LAWS.items():
        if line[column].notna().any() and len(measured):
            with np.errstate(over="ignore"):
                norms = start * float(line[column].astype(float).median()) ** lags.astype(float)
            norms[(norms < measured.min() / 10) | (norms > measured.max() * 10)] = np.nan
            (law,) = ax.plot(lags, norms, color=colour, linestyle=dashes, linewidth=1, label=f"_{column}")
            say(law, sentence)
            if np.isnan(norms).any():
                say(law, "A line of theory ends where it is ten times outside of what was measured.")


NOTHING = "gradients.csv has no layer 0"
ENDS = True
PANELS = (partial(draw, which="min", title="before training"), partial(draw, which="max", title="at the last step"))
READING = (
    "How large the gradient of the loss is with respect to the state, so many timesteps before the end. On this axis a "
    "gradient that vanishes exponentially is a straight line down to the right, one that explodes a line up."
)
