"""The gradient of the loss with respect to the state, by how far back in time: does it reach step 1?"""

from functools import partial
from typing import Any, Literal

import pandas as pd

from experiments.analysis.gradient_law import with_law
from experiments.drawing.lines import draw_line, mark_extremes, rows_by_line
from experiments.drawing.panel import NothingToDraw, Panel
from experiments.drawing.training_steps import at_recorded_step

TABLES = ("gradients",)

LAWS = {
    "predicted": ("theory_gain", ":", "Dotted lines: the gradient that theory predicts for this initialisation."),
    "bound": (
        "theory_bound",
        "-.",
        "Dash-dotted lines: an upper bound, from the largest singular values of the weights.",
    ),
}
"""The columns from theory, with the name of their lines, their line style, and their sentence in the caption."""

OTHER_STATES = ("--", (0, (6, 2, 2, 2, 2, 2)), (0, (1, 3)))
"""Line styles of the states other than h, in the order of their names; the last one repeats."""


def select_rows(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Select layer 0, which reads the input, and add what theory says about it."""
    return {"gradients": with_law(data["gradients"])}


def draw(data: dict[str, pd.DataFrame], panel: Panel, *, which: Literal["min", "max"] = "max", title: str = "") -> None:
    """Draw the norms at each run's first recorded step (`which` is min) or its last (max)."""
    panel.title = title
    panel.ax.set(xlabel="lag: timesteps before the end", ylabel="gradient norm $\\|dL/ds_t\\|$")
    panel.ax.set_yscale("log")
    frame = at_recorded_step(data["gradients"], which)
    if (frame["grad_norm"] == 0).all():
        raise NothingToDraw("the gradient is 0 at every recorded timestep")
    others = sorted(str(state) for state in frame["state"].unique() if state != "h")
    looks: dict[str, dict[str, Any]] = {"h": {}}
    for i, state in enumerate(others):
        looks[state] = {"linestyle": OTHER_STATES[min(i, len(OTHER_STATES) - 1)], "markerfacecolor": "white"}
    for value, states, colour, marker in rows_by_line(panel, frame):
        for state, look in looks.items():
            line = states[states["state"] == state]
            if len(line):
                part = "" if state == "h" else f"state {state}"
                draw_line(panel, line, "lag", "grad_norm", value=value, part=part, colour=colour, marker=marker, **look)
                mark_extremes(panel, line, "lag", "grad_norm", colour)
                if which == "min":
                    _draw_theory(panel, line, colour)
    for state in others:
        panel.add_to_legend(f"state {state}", linestyle=looks[state]["linestyle"])
    if others:
        names = f"the state {others[0]}" if len(others) == 1 else f"the states {' and '.join(others)}"
        panel.explain(f"Dashed{'' if panel.crowded else ', hollow'}: {names}; solid: the hidden state h.")
    panel.explain_several_losses(frame, "the gradient")


def _draw_theory(panel: Panel, line: pd.DataFrame, colour: str) -> None:
    """Draw the norms that theory predicts, dotted, and their bound, dash-dotted, as medians over the runs.

    They do not set the limits of the axes, because a bound may be many orders of magnitude above the norms.
    """
    for column, (name, dashes, sentence) in LAWS.items():
        norms = line.groupby("lag")[column].median().dropna()
        if len(norms):
            look: dict[str, Any] = {"color": colour, "linestyle": dashes, "linewidth": 1}
            panel.add_line(norms.index, norms, name=name, in_legend=False, sets_limits=False, **look)
            panel.explain(sentence)


IF_EMPTY = "gradients.csv has no layer 0"
FIRST_AND_LAST_STEP_ONLY = True
PANELS = (partial(draw, which="min", title="before training"), partial(draw, which="max", title="at the last step"))
CAPTION = (
    "The norm of the gradient of the loss with respect to the state, by the number of timesteps before the end. On "
    "these axes, a gradient that vanishes exponentially is a straight line down to the right, and one that explodes "
    "a line up."
)
