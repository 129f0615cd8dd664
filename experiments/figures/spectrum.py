"""What a probe finds: the singular values of the Jacobian ds_T/ds_t by lag, and the Lyapunov exponents."""

import pandas as pd

from experiments.drawing.lines import draw_line, mark_extremes, rows_by_line
from experiments.drawing.panel import Panel

TABLES = ("jacobian", "lyapunov")
RUNS = "probes"

LINE_STYLES = {"log10_sv_max": "-", "log10_sv_mean": "--", "log10_sv_min": ":"}
"""The columns that are drawn, and their line styles."""

ZERO = (
    "Triangles at the bottom: a singular value of 0, or an exponent of minus infinity. Nothing comes back along such a "
    "direction, as from a state that only the read-out reads."
)
"""What the marks for -inf mean."""


def select_rows(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Select layer 0, which reads the input."""
    return {name: frame[frame["layer"] == 0] for name, frame in data.items()}


def draw(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw the largest singular value, the geometric mean of all, and the smallest."""
    for value, line, colour, marker in rows_by_line(panel, data["jacobian"]):
        for column, dashes in LINE_STYLES.items():
            part = "" if dashes == "-" else column
            draw_line(
                panel, line, "lag", column, value=value, part=part, colour=colour, linestyle=dashes, marker=marker
            )
            mark_extremes(panel, line, "lag", column, colour, ZERO)
    for name, dashes in zip(("largest", "mean of logarithms", "smallest"), LINE_STYLES.values(), strict=True):
        panel.add_to_legend(name, linestyle=dashes)
    panel.explain(
        "Singular values: the factors by which the directions of a gradient at the end are stretched on its way back."
    )
    panel.ax.axhline(0, color="0.7", linewidth=0.6)
    panel.explain("Thin line in the panel of singular values: the length stays the same.")
    panel.ax.set(xlabel="lag: timesteps before the end", ylabel="$\\log_{10}$ singular value of $ds_T/ds_t$")


def draw_exponents(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw all Lyapunov exponents, from the largest to the smallest."""
    for value, line, colour, marker in rows_by_line(panel, data["lyapunov"]):
        draw_line(panel, line, "index", "exponent", value=value, colour=colour, marker=marker)
        mark_extremes(panel, line, "index", "exponent", colour, ZERO)
    panel.ax.axhline(0, color="0.7", linewidth=0.6)
    panel.explain("Exponents: on its way back, a direction with an exponent below 0 shrinks, and one above 0 grows.")
    panel.ax.set(xlabel="index, largest first", ylabel="Lyapunov exponent, nats per timestep")


PANELS = (draw, draw_exponents)
IF_EMPTY = "no probe has a layer 0"
FIRST_LAYER_ONLY = True
CAPTION = "What a probe finds in a network, as means over sequences."
