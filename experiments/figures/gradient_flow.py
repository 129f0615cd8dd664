"""The gradient of the loss with respect to the state, by how far back in time: does it reach step 1?"""

from functools import partial
from typing import Any, Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from experiments.analysis.gradient_law import with_law
from experiments.drawing.blank_panels import Blank
from experiments.drawing.captions import say, say_if_losses_mix
from experiments.drawing.lines_and_maps import at_recorded_step, draw_line, explain, lines_of, mark_extremes
from experiments.drawing.style import Colours, is_crowded

TABLES = ("gradients",)

LAWS = {
    "predicted": ("_theory_gain", ":", "Dotted lines: what theory gives for this initialisation, from lag 0 on."),
    "bound": (
        "_theory_bound",
        "-.",
        "Dash-dotted lines: an upper bound by the largest singular values of the weights.",
    ),
}
"""The columns that theory gives, how their lines are called and drawn, and what the caption says of them."""


def select(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Layer 0, which reads the input, with what theory says of it."""
    return {"gradients": with_law(data["gradients"])}


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
                    _draw_theory(ax, line, colour)
    if (frame["state"] == "c").any():
        sentence = (
            f"Dashed{'' if is_crowded() else ', hollow'}: the cell state c of an LSTM; solid: the hidden state h."
        )
        explain(ax, "state c", sentence, linestyle="--")
    say_if_losses_mix(ax, frame, "the gradient")
    return ax


def _draw_theory(ax: Axes, line: pd.DataFrame, colour: str) -> None:
    """The norms that theory gives the initialisation, dotted, and their bound, dash-dotted: medians, as the measured.

    Neither sets the limits of the axis: a bound may be many orders of magnitude above what it bounds.
    """
    for column, (label, dashes, sentence) in LAWS.items():
        norms = line.groupby("lag")[column].median().dropna()
        if len(norms):
            look: dict[str, Any] = {"color": colour, "linestyle": dashes, "linewidth": 1}
            say(ax.add_artist(Line2D(norms.index, norms, label=label, transform=ax.transData, **look)), sentence)


NOTHING = "gradients.csv has no layer 0"
ENDS = True
PANELS = (partial(draw, which="min", title="before training"), partial(draw, which="max", title="at the last step"))
READING = (
    "How large the gradient of the loss is with respect to the state, so many timesteps before the end. On this axis a "
    "gradient that vanishes exponentially is a straight line down to the right, one that explodes a line up."
)
