"""The singular values of the Jacobian ds_T/ds_t by lag, and the Lyapunov exponents: what a probe finds."""

import pandas as pd
from matplotlib.axes import Axes

from experiments.drawing.captions import say
from experiments.drawing.lines_and_maps import draw_line, explain, lines_of, mark_extremes
from experiments.drawing.style import Colours

TABLES = ("jacobian", "lyapunov")
RUNS = "probes"

VALUES = {"log10_sv_max": "-", "log10_sv_mean": "--", "log10_sv_min": ":"}
"""The columns that are drawn, and how."""


def select(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Layer 0, which reads the input."""
    return {name: frame[frame["layer"] == 0] for name, frame in data.items()}


def draw(data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes) -> Axes:
    """The largest singular value, their geometric mean and the smallest."""
    for value, line, colour, marker in lines_of(data["jacobian"], compare, colours):
        for column, dashes in VALUES.items():
            label = value if column == "log10_sv_max" else f"_{value}, {column}"
            draw_line(ax, line, "lag", column, label=label, colour=colour, linestyle=dashes, marker=marker)
            mark_extremes(ax, line, "lag", column, colour)
    for name, dashes in zip(("largest", "mean of logarithms", "smallest"), VALUES.values(), strict=True):
        explain(ax, name, linestyle=dashes)
    say(ax, "Singular values: how much each direction of a gradient at the end is stretched on its way back.")
    say(ax.axhline(0, color="0.7", linewidth=0.6), "Thin line: a length that stays.")
    ax.set(xlabel="lag: timesteps before the end", ylabel="$\\log_{10}$ singular value of $ds_T/ds_t$")
    return ax


def draw_exponents(data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes) -> Axes:
    """All exponents, from the largest to the smallest."""
    for value, line, colour, marker in lines_of(data["lyapunov"], compare, colours):
        draw_line(ax, line, "index", "exponent", label=value, colour=colour, marker=marker)
        mark_extremes(ax, line, "index", "exponent", colour)
    zero = ax.axhline(0, color="0.7", linewidth=0.6)
    say(
        zero,
        "Exponents: a direction with one below 0 shrinks on its way back, with one above 0 it grows.",
    )
    ax.set(xlabel="index, largest first", ylabel="Lyapunov exponent, nats per timestep")
    return ax


PANELS = (draw, draw_exponents)
NOTHING = "no probe has a layer 0"
READING = "What a probe finds in a network, as means over sequences."
